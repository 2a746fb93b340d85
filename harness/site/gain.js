// Effective OOP gain: OOP accuracy above that of zero-shot with the same IP accuracy, as a column and in a row's details.

/** The line of zero-shot in a setting; undefined where zero-shot has too few domains. */
const lineOf = (setting) => data.lines.find(({ protocol, dataset }) => JSON.stringify([protocol, dataset]) === setting);

/** Percentage points with a sign, if they are not zero. */
function signed(points, digits = 1) {
  const size = percent(Math.abs(points), digits);
  return Number(size) ? `${points < 0 ? "−" : "+"}${size}` : size;
}

function gainColumn(rows) {
  const line = lineOf(state.setting);
  if (!line) return null;
  const comparable = together(rows, "oop_top1");
  return {
    id: "gain", head: "OOP gain", group: "effective", edge: true,
    says: `effective OOP gain: points of OOP accuracy above those of zero-shot with the same IP accuracy, by ${line.text}; mean over domains`,
    value: (row) => (comparable.has(row) && row.gain ? row.gain.mean : null), cell: gainCell,
  };
}

function gainCell(row) {
  const mean = row.gain && row.gain.mean;
  if (mean === null) return tip(h("td", { class: "edge" }, "–"), () => `effective OOP gain: ${row.complete ? "needs OOP and IP accuracy" : "no mean: the row is incomplete"}`);
  const count = Object.keys(row.gain.domains).length;
  return tip(h("td", { class: "edge" }, signed(mean)), () => `effective OOP gain, mean over ${count} ${count === 1 ? "domain" : "domains"}: ${signed(mean, 2)} points`);
}

/** Accuracies and gain of a row in each of its domains. */
function gainPlaces(row) {
  return Object.entries(row.gain.domains).map(([domain, gain]) => {
    const [ip, oop] = ["ip_top1", "oop_top1"].map((metric) => row.domains[domain][metric][0]);
    return { domain, ip, oop, gain };
  });
}

function gainView(row) {
  const line = lineOf(row.setting);
  if (!line || !row.gain) return [];
  const { paint, shape } = methodLook(row.method), scale = 100 * PERCENT;
  const plot = area(640, 300, `OOP accuracy against IP accuracy of ${Object.keys(row.gain.domains).length} domains, and the line of zero-shot`);
  const x = (points) => plot.box.left + (points / scale) * (plot.box.right - plot.box.left);
  const y = (points) => plot.y(points, 0, scale);
  levels(plot, 0, scale);
  for (const tick of [0, 25, 50, 75, 100]) plot.svg.append(s("text", { x: x(tick * PERCENT), y: plot.box.bottom + 15, "text-anchor": "middle" }, String(tick)));
  plot.svg.append(s("g", { class: "ink" }, s("path", { class: "line", d: `M${line.curve.map(([ip, oop]) => `${x(ip * PERCENT).toFixed(1)},${y(oop * PERCENT).toFixed(1)}`).join("L")}` })));
  const plain = inSetting(row.setting).filter((other) => other.method === data.reference && other.gain);
  for (const { ip, oop } of plain.flatMap(gainPlaces)) plot.svg.append(s("path", { class: "plain-dot", d: SHAPES.o(x(ip), y(oop), 3) }));
  const places = gainPlaces(row);
  for (const { domain, ip, oop, gain } of places) {
    plot.svg.append(s("g", { class: paint }, tip(s("path", { class: "dot", d: shape(x(ip), y(oop), 5) }),
      () => `${domain}: IP ${percent(ip)} %, OOP ${percent(oop)} %, gain ${signed(gain)} points`)));
  }
  const head = (text) => h("th", { scope: "col", class: classes("plain-head", text === "Domain" && "text") }, text);
  return [h("h3", {}, "Effective OOP gain"),
    h("p", { class: "hint" }, `Points of OOP accuracy above those of zero-shot with the same IP accuracy, by ${line.text}. The plot has OOP against IP accuracy in percent, a marker for each domain, and zero-shot's in grey with its line.`),
    h("div", { id: "gain" }, plot.svg),
    h("table", { id: "gain-table" }, h("thead", {}, h("tr", {}, ["Domain", "IP (%)", "OOP (%)", "Gain"].map(head))),
      h("tbody", {}, places.map(({ domain, ip, oop, gain }) => h("tr", {}, h("th", { scope: "row", class: "text" }, domain), h("td", {}, percent(ip)), h("td", {}, percent(oop)), h("td", {}, signed(gain)))),
        row.gain.mean === null ? null : h("tr", {}, h("th", { scope: "row", class: "text" }, "mean"), h("td"), h("td"), h("td", {}, signed(row.gain.mean)))))];
}
