// The table: a row per method and setting. Rows are made once for the same columns and then only moved.

const made = new Map();
let best = new Map(); // column -> its best rows

function drawTable() {
  const rows = filtered(), shown = columns(rows), order = ordering(shown);
  drawHead(shown, order);
  const look = JSON.stringify([state.setting, state.metric, state.shots, shown.map((column) => column.id)]); // whatever cells depend on
  if (made.look !== look) {
    made.clear();
    made.look = look;
  }
  best = bestRows(rows, shown);
  const lines = sorted(rows, order).map((row) => {
    if (!made.has(row.id)) made.set(row.id, h("tr", { "data-row": row.id }, shown.map((column) => column.cell(row, column))));
    const line = made.get(row.id);
    shown.forEach((column, i) => column.metric && line.children[i].classList.toggle("best", best.get(column.id).has(row)));
    return line;
  });
  const reference = [...together(rows, state.metric)].find((row) => row.method === data.reference);
  byId("table").style.setProperty("--reference", reference ? share(reference.mean[state.metric][0]) : -1);
  byId("table").tBodies[0].replaceChildren(...(lines.length ? lines : [h("tr", {}, h("td", { colspan: shown.length, class: "none" }, "No row fits these filters."))]));
  byId("table").caption.replaceChildren(h("span", {}, captionOf(rows)));
  byId("count").textContent = `${rows.length} of ${inSetting().length} rows`;
}

function captionOf(rows) {
  const [protocol, dataset] = JSON.parse(state.setting);
  const shots = { null: "any number of images per class", 0: "no images per class" }[shotsShown()] || `${state.shots} images per class, and methods that need none`;
  const models = distinct(rows.map((row) => row.backbone));
  const model = models.length === 1 ? `, model ${models[0]}` : "";
  return `${dataset}, protocol ${protocol}${model}, ${shots}. Figures in percent.`;
}

function drawHead(shown, order) {
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
    const sort = column === order.column ? (order.down ? "descending" : "ascending") : "none";
    const button = h("button", { type: "button", class: "sort", "data-sort": column.id }, column.head);
    const marks = classes(column.name && "name", column.side && "side", column.text && "text", column.edge && "edge", column.wide && "chosen");
    button.addEventListener("click", () => {
      sortBy(column, order);
      document.querySelector(`[data-sort="${CSS.escape(column.id)}"]`).focus();
    });
    return h("th", { scope: "col", class: marks || null, "aria-sort": sort }, column.says ? tip(button, () => column.says) : button);
  });
  byId("table").tHead.replaceChildren(top, h("tr", {}, heads));
}

/** Sorted by a column; what has no figure comes last either way, and incomplete rows after whole ones. */
function sorted(rows, { column, down }) {
  const sign = down ? -1 : 1;
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
    if (line && !event.target.closest("a") && !String(getSelection())) openRow(line.dataset.row);
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
