// Cells of the table: a rank, a name, a figure with its bar, or the reason why there is none.

const linkTo = (address, text, tooltip) => {
  const link = h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text);
  return tooltip ? tip(link, () => tooltip) : link;
};

/** The paper of a method, linked if it has an address; null if it declares none. */
function paperLink(method, said) {
  const { text, citation, link } = data.links[method] || {};
  if (!text) return null;
  return link ? linkTo(link, said || text, citation) : said ? null : tip(h("span", {}, text), () => citation);
}

/** A name that may be broken after an underscore. */
const breakable = (name) => name.split(/(?<=_)/).flatMap((part, i) => (i ? [h("wbr"), part] : [part]));

function rankCell(row, ranked) {
  const rank = rankOf(row, state.metric, ranked);
  const why = !row.complete ? "incomplete: not ranked" : ranked === null ? "choose one model and number of images to see ranks" : "not ranked: other domains or images than most rows, or a missing figure";
  return tip(h("td", { class: "rank" }, rank ?? "–"), () => (rank === null ? why : `rank ${rank}: one more than the number of significantly better rows`));
}

function nameCell(row) {
  const button = h("button", { class: "open", type: "button", "aria-haspopup": "dialog", "data-row": row.id }, breakable(row.label));
  const holes = new Set(row.holes.map((hole) => hole[0])).size;
  const paper = paperLink(row.method, "paper");
  return h("th", { scope: "row", class: "name" }, h("div", { class: "title" }, badge(methodLook(row.method)), button, paper && h("span", { class: "paper" }, paper)), h("div", { class: "tags" },
    h("span", {}, row.needs.length ? row.needs.join(", ") : "names only"),
    row.verified ? h("span", { class: "good" }, "✓ verified") : row.verification ? h("span", {}, "verification claimed") : null,
    holes ? h("span", { class: "bad" }, `incomplete: ${holes} ${holes === 1 ? "domain" : "domains"}`) : null));
}

/** A model's name, whose end is cut off where it is long. */
const modelCell = (model) => tip(h("td", { class: "text side model" }, h("span", {}, model)), () => model);

function meanCell(row, column) {
  const { metric, edge, places } = column, figure = row.mean[metric];
  if (!figure) {
    const why = row.complete ? "not measured" : "no mean: the row is incomplete";
    return tip(h("td", { class: edge ? "edge" : null }, "–"), () => `${metricName.get(metric)}: ${why}`);
  }
  const chosen = metric === state.metric, own = Object.keys(row.domains).length;
  const spread = chosen && figure[1] > 0 ? h("span", { class: "spread" }, ` ±${percent(figure[1])}`) : null;
  const over = own === places ? null : h("span", { class: "spread" }, ` (${own} of ${places})`);
  const cell = h("td", { class: classes("figure", chosen && "chosen", edge && "edge") }, percent(figure[0]), spread, over);
  return bar(cell, figure, () => `${metricName.get(metric)}, mean over ${own} of ${places} domains: ${inWords(figure)}${bestInWords(row, column)}`);
}

function domainCell(row, column) {
  const { domain, metric, edge } = column;
  const figure = (row.domains[domain] || {})[metric];
  const holes = holesOf(row, domain);
  const why = () => holes.map(holeInWords).join("; ");
  if (!figure) {
    const said = holes.some((hole) => hole[2] === "error") ? "failed" : holes.some((hole) => hole[2] === "missing") ? "not run" : "n/a";
    const cell = h("td", { class: classes(holes.length && "hole", edge && "edge") }, holes.length ? said : "–");
    return tip(cell, () => (holes.length ? why() : `${domain}: not measured`));
  }
  const cell = h("td", { class: classes("figure", holes.length && "partly", edge && "edge") }, percent(figure[0]));
  return bar(cell, figure, () => `${domain}, ${metricName.get(metric)}: ${inWords(figure)}${holes.length ? `; incomplete: ${why()}` : ""}${bestInWords(row, column)}`);
}

const bestInWords = (row, column) => (best.get(column.id).has(row) ? "; best of the column" : "");
const classes = (...names) => names.filter(Boolean).join(" ");

/** A figure's part of the bar's whole length, which is 100 percent. */
const share = (points) => Math.max(0, Math.min(1, points / (100 * PERCENT)));

function bar(cell, figure, text) {
  cell.style.setProperty("--value", share(figure[0]));
  return tip(cell, text);
}
