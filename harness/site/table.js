// The table: a row per method and setting, a column per domain. Rows are made once and then only moved.

const SUMMARIES = 4; // columns at most
const order = { key: "mean", metric: null, domain: null, down: true };
const made = new Map();

/** The current columns: their heads, sort values and cell renderers. */
function columns(rows) {
  const metric = state.metric;
  const models = distinct(rows.map((row) => row.backbone)).length;
  const ranked = models < 2 ? shotsShown() : null;
  const known = metricsInSetting().map(([id]) => id);
  const usual = data.summary.filter((id) => known.includes(id));
  const places = domains();
  const summary = distinct([metric, ...(usual.length ? usual : known).slice(0, SUMMARIES)]);
  return [
    { id: "rank", head: "Rank", value: (row) => rankOf(row, metric, ranked), up: true, cell: (row) => rankCell(row, ranked) },
    { id: "name", head: "Method", value: (row) => row.label, up: true, name: true },
    { id: "shots", head: "Shots", value: (row) => row.shots, up: true, cell: (row) => h("td", { class: "side" }, row.shots || "–"), side: true },
    models > 1 && { id: "backbone", head: "Model", value: (row) => row.backbone, up: true, cell: (row) => h("td", { class: "text side" }, row.backbone), side: true, text: true },
    ...summary.map((m, i) => {
      const comparable = together(rows, m);
      return {
        id: `mean ${m}`, up: lowerIsBetter.has(m), head: metricName.get(m), group: "mean over domains", edge: !i, value: (row) => (comparable.has(row) ? row.mean[m][0] : null),
        cell: (row) => meanCell(row, m, !i, places.length),
      };
    }),
    ...places.map((d, i) => ({
      id: `domain ${d}`, up: lowerIsBetter.has(metric), head: shortDomain(d), group: `${metricName.get(metric)} of each domain`, edge: !i,
      value: (row) => ((row.domains[d] || {})[metric] || [null])[0], cell: (row) => domainCell(row, d, metric, !i),
    })),
  ].filter(Boolean);
}

/** The domains of the chosen setting. */
function domains() {
  const known = new Set(inSetting().flatMap((row) => [...Object.keys(row.domains), ...row.holes.map((hole) => hole[0])]));
  return data.domains.filter((domain) => known.has(domain));
}

function rankCell(row, ranked) {
  const rank = rankOf(row, state.metric, ranked);
  const why = !row.complete ? "incomplete: not ranked" : ranked === null ? "choose one model and number of images to see ranks" : "not ranked: other domains or images than most rows, or a missing figure";
  return tip(h("td", {}, rank ?? "–"), () => (rank === null ? why : `rank ${rank}: one more than the number of significantly better rows`));
}

function nameCell(row) {
  const button = h("button", { class: "open", type: "button", "aria-haspopup": "dialog", "data-row": row.id }, row.label);
  const holes = new Set(row.holes.map((hole) => hole[0])).size;
  return h("th", { scope: "row", class: "name" }, button, h("div", { class: "tags" },
    h("span", {}, row.needs.length ? row.needs.join(", ") : "names only"),
    row.verified ? h("span", { class: "good" }, "✓ verified") : row.verification ? h("span", {}, "verification claimed") : null,
    holes ? h("span", { class: "bad" }, `incomplete: ${holes} ${holes === 1 ? "domain" : "domains"}`) : null));
}

function meanCell(row, metric, edge, places) {
  const figure = row.mean[metric];
  const marks = ["figure", metric === state.metric ? "chosen" : "", edge ? "edge" : ""];
  if (!figure) {
    const why = row.complete ? "not measured" : "no mean: the row is incomplete";
    return tip(h("td", { class: edge ? "edge" : null }, "–"), () => `${metricName.get(metric)}: ${why}`);
  }
  const spread = metric === state.metric && figure[1] > 0 ? h("span", { class: "spread" }, ` ±${percent(figure[1])}`) : null;
  const own = Object.keys(row.domains).length;
  const over = own === places ? null : h("span", { class: "spread" }, ` (${own} of ${places})`);
  return bar(h("td", { class: marks.join(" ").trim() }, percent(figure[0]), spread, over), figure, () => `${metricName.get(metric)}, mean over ${own} of ${places} domains: ${inWords(figure)}`);
}

function domainCell(row, domain, metric, edge) {
  const figure = (row.domains[domain] || {})[metric];
  const holes = holesOf(row, domain);
  const why = () => holes.map(holeInWords).join("; ");
  if (!figure) {
    const said = holes.some((hole) => hole[2] === "error") ? "failed" : holes.some((hole) => hole[2] === "missing") ? "not run" : "n/a";
    const cell = h("td", { class: `${holes.length ? "hole" : ""}${edge ? " edge" : ""}` }, holes.length ? said : "–");
    return tip(cell, () => (holes.length ? why() : `${domain}: not measured`));
  }
  const cell = h("td", { class: `figure${holes.length ? " partly" : ""}${edge ? " edge" : ""}` }, percent(figure[0]));
  return bar(cell, figure, () => `${domain}, ${metricName.get(metric)}: ${inWords(figure)}${holes.length ? `; incomplete: ${why()}` : ""}`);
}

function bar(cell, figure, text) {
  cell.style.setProperty("--value", Math.max(0, Math.min(1, figure[0] / (100 * PERCENT))));
  return tip(cell, text);
}

function drawTable() {
  const rows = filtered();
  const shown = columns(rows);
  const chosen = shown.find((column) => column.id === order.key) || shown.find((column) => column.id === `mean ${state.metric}`);
  if (chosen.id !== order.key) Object.assign(order, { key: chosen.id, down: !chosen.up });
  drawHead(shown, chosen);
  const look = `${state.setting} ${state.metric} ${state.shots} ${distinct(rows.map((row) => row.backbone)).length}`;
  if (made.look !== look) {
    made.clear();
    made.look = look;
  }
  const body = byId("table").tBodies[0];
  const lines = sorted(rows, chosen).map((row) => {
    if (!made.has(row.id)) made.set(row.id, h("tr", { "data-row": row.id }, shown.map((column) => (column.name ? nameCell(row) : column.cell(row)))));
    return made.get(row.id);
  });
  body.replaceChildren(...(lines.length ? lines : [h("tr", {}, h("td", { colspan: shown.length, class: "none" }, "No row fits these filters."))]));
  const [protocol, dataset] = JSON.parse(state.setting);
  const shots = { null: "any number of images per class", 0: "no images per class" }[shotsShown()] || `${state.shots} images per class, and methods that need none`;
  const models = distinct(rows.map((row) => row.backbone));
  const model = models.length === 1 ? `, model ${models[0]}` : "";
  byId("table").caption.replaceChildren(h("span", {}, `${dataset}, protocol ${protocol}${model}, ${shots}. Figures in percent.`));
  byId("count").textContent = `${rows.length} of ${inSetting().length} rows`;
}

function drawHead(shown, chosen) {
  const groups = [];
  for (const column of shown) {
    const last = groups[groups.length - 1];
    if (last && last.name === column.group) last.span += column.side ? 0 : 1;
    else groups.push({ name: column.group, span: 1 });
  }
  const plain = shown.filter((column) => !column.group);
  const top = h("tr", {}, plain.map((column) => (column.side ? h("td", { class: "side head" }) : column.name ? h("th", { class: "name" }) : h("td", { class: "head" }))),
    groups.filter((group) => group.name).map((group) => h("th", { class: "group", colspan: group.span, scope: "colgroup" }, group.name)));
  const heads = shown.map((column) => {
    const sort = column === chosen ? (order.down ? "descending" : "ascending") : "none";
    const button = h("button", { type: "button", class: "sort", "data-sort": column.id }, column.head);
    const marks = [column.name ? "name" : "", column.side ? "side" : "", column.text ? "text" : "", column.edge ? "edge" : ""].join(" ").trim();
    button.addEventListener("click", () => {
      Object.assign(order, { key: column.id, down: column === chosen ? !order.down : !column.up });
      drawTable();
      document.querySelector(`[data-sort="${CSS.escape(column.id)}"]`).focus();
    });
    return h("th", { scope: "col", class: marks || null, "aria-sort": sort }, button);
  });
  byId("table").tHead.replaceChildren(top, h("tr", {}, heads));
}

/** Sorted by a column; what has no figure comes last either way, and incomplete rows after whole ones. */
function sorted(rows, column) {
  const sign = order.down ? -1 : 1;
  const keyed = rows.map((row) => [column.value(row), row]);
  keyed.sort(([a, x], [b, y]) => {
    if ((a === null) !== (b === null)) return a === null ? 1 : -1;
    if (a !== null && a !== b) return sign * (a < b ? -1 : 1);
    return y.complete - x.complete || (x.label < y.label ? -1 : x.label > y.label ? 1 : x.shots - y.shots || (x.id < y.id ? -1 : 1));
  });
  return keyed.map(([, row]) => row);
}

function startTable() {
  const body = byId("table").tBodies[0];
  body.addEventListener("click", (event) => {
    const line = event.target.closest("tr[data-row]");
    if (line && !String(getSelection())) openRow(line.dataset.row);
  });
  body.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    const step = steps[event.key];
    const cell = event.target.closest("td, th");
    if (!cell) return;
    if (event.key === "Enter" && cell.tagName === "TD") {
      event.preventDefault(); // the key would go on to press the button that the dialog gives the focus to
      openRow(cell.parentNode.dataset.row);
    }
    if (!step) return;
    event.preventDefault();
    let line = cell.parentNode;
    if (step[0]) line = step[0] > 0 ? line.nextElementSibling : line.previousElementSibling;
    const visible = (node) => node && node.offsetParent !== null;
    let next = line && line.children[cell.cellIndex];
    if (step[1]) do next = step[1] > 0 ? (next || cell).nextElementSibling : (next || cell).previousElementSibling; while (next && !visible(next));
    if (next) focusCell(next);
  });
}

function focusCell(cell) {
  const button = cell.querySelector("button");
  if (!button) cell.tabIndex = -1;
  (button || cell).focus();
}
