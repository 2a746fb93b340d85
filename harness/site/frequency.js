// Accuracy of each concept of a row against how many captions of the pre-training corpus mention it.

/** The concepts of a row with a count and an accuracy; accuracy in figures. */
const conceptsOf = (record) =>
  Object.entries(record.classes).flatMap(([domain, sides]) => Object.entries(sides).flatMap(([side, figures]) => {
    const counts = figures.captions === null ? [] : pooled(figures.captions);
    const names = figures.names === null ? [] : pooled(figures.names);
    return counts.map((count, i) => ({ domain, side, count, name: names[i] || `class ${i + 1}`, accuracy: figures.accuracy[i] }))
      .filter(({ count, accuracy }) => count !== null && accuracy !== null);
  }));

function frequencyView(record) {
  const concepts = conceptsOf(record);
  if (!concepts.length) return [];
  const { fit, bins } = record.frequency;
  const decades = Math.max(1, Math.ceil(Math.log10(Math.max(...concepts.map(({ count }) => count), 1))));
  const plot = area(640, 240, `Accuracy of ${concepts.length} concepts by the number of captions that mention them`);
  const zero = plot.box.left + 20, start = zero + 36;
  const x = (power) => start + (power / decades) * (plot.box.right - start - 10);
  levels(plot, 0, 100 * PERCENT);
  const tick = (at, text) => plot.svg.append(s("text", { x: at, y: plot.box.bottom + 15, "text-anchor": "middle" }, text));
  tick(zero, "0");
  for (let power = 0; power <= decades; power += 1) tick(x(power), (10 ** power).toLocaleString("en"));
  for (const { domain, side, count, name, accuracy } of concepts) {
    const { paint, shape } = sideLook(side);
    const dot = s("path", { class: "dot", opacity: 0.6, d: shape(count ? x(Math.log10(count)) : zero, plot.y((accuracy / 10) * PERCENT, 0, 100 * PERCENT), 3.5) });
    plot.svg.append(s("g", { class: paint }, tip(dot, () => `${name} (${domain}, ${side.toUpperCase()}): ${(accuracy / 10).toFixed(1)} %, ${count.toLocaleString("en")} captions`)));
  }
  if (fit) {
    const at = (power) => `${x(power)},${plot.y(100 * PERCENT * (fit.intercept + fit.slope * power), 0, 100 * PERCENT)}`;
    plot.svg.append(s("g", { class: "ink" }, s("path", { class: "line", d: `M${at(fit.from)}L${at(fit.to)}` })));
  }
  const points = (value) => `${value > 0 ? "+" : ""}${(100 * value).toFixed(1)}`;
  return [h("h3", {}, "Accuracy by frequency in pre-training"),
    h("p", { class: "hint" }, fit
      ? `${points(fit.slope)} points for ten times as many captions (95 % interval ${points(fit.low)} to ${points(fit.high)}), correlation ${fit.correlation.toFixed(2)}; concepts without captions are left out of the line.`
      : "Too few concepts have captions for a line."),
    h("ul", { class: "legend" }, Object.keys(data.sides).map((side) => h("li", {}, badge(sideLook(side)), h("span", {}, SIDES[side])))),
    h("div", { id: "frequency" }, plot.svg),
    h("table", {}, h("thead", {}, h("tr", {}, ["Captions", "Concepts", "Mean accuracy (%)"].map((text) => h("th", { scope: "col", class: "plain-head" }, text)))),
      h("tbody", {}, bins.map(([text, count, mean]) => h("tr", {}, h("th", { scope: "row" }, text), h("td", {}, count), h("td", {}, (100 * mean).toFixed(1))))))];
}
