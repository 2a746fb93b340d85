// Published figures, in a separate table, with the reason why they are not comparable with ours.

function drawPublished() {
  const [protocol, dataset] = JSON.parse(state.setting);
  const rows = data.published.filter((row) => Object.values(row.domains).some((figures) => figures[state.metric]));
  byId("published").hidden = !data.published.length;
  if (!data.published.length) return;
  const models = distinct(filtered().map((row) => row.printed));
  const reasons = [];
  if (rows.some((row) => row.dataset !== dataset)) reasons.push("another data set");
  if (rows.some((row) => row.backbone && !models.includes(row.backbone))) reasons.push("another model");
  if (rows.some((row) => row.protocol !== protocol)) reasons.push("another protocol");
  const otherKind = rows.filter((row) => row.other_kind).map((row) => ` ${row.label} (${row.source.split(":")[0]}, ${row.corpus}) is another kind of figure: ${row.other_kind}.`);
  byId("published-note").textContent = (!rows.length ? `No published figure is ${metricName.get(state.metric)}; choose another metric.`
    : reasons.length ? `Not to be compared with the rows above: ${reasons.join(", ")}.` : "The same data set, model and protocol as the rows above.") + distinct(otherKind).join("");
  const known = data.domains.filter((domain) => rows.some((row) => row.domains[domain]));
  const heads = ["Method", "Shots", "Model", "Source", "mean", ...known.map(shortDomain)];
  const table = byId("published-table");
  table.caption.replaceChildren(h("span", {}, rows.length ? `${metricName.get(state.metric)} as printed, in percent. ${distinct(rows.map((row) => row.paper)).join("; ")}` : ""));
  table.tHead.replaceChildren(h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: `plain-head${i ? "" : " name"}${i === 2 || i === 3 ? " text side" : i === 1 ? " side" : ""}` }, head))));
  if (!rows.length) table.tHead.replaceChildren();
  table.tBodies[0].replaceChildren(...rows.map((row) => h("tr", {},
    tip(h("th", { scope: "row", class: "name" }, row.label, row.other_kind ? " †" : ""), () => [`${row.method} in this harness`, ...(row.other_kind ? [`another kind of figure: ${row.other_kind}`] : []), ...row.notes].join("; ")),
    h("td", { class: "side" }, row.shots || "–"),
    h("td", { class: "text side" }, row.backbone || `not stated; pre-trained on ${row.corpus}`),
    h("td", { class: "text side" }, row.source.split(":")[0]),
    printed(row.mean[state.metric], `${row.label}, printed mean`),
    known.map((domain) => printed((row.domains[domain] || {})[state.metric], `${row.label}, ${domain}`)))));
}

function printed(figure, what) {
  return figure ? bar(h("td", { class: "figure" }, percent(figure[0])), figure, () => `${what}: ${percent(figure[0], 2)} %`) : h("td", {}, "–");
}
