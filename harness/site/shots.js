// Accuracy against images per class: a panel per domain, a line per method, a band for the uncertainty.

const MOST = 8;

/** Lines: rows that differ in shots only, the best first; those of one method differ in their dash. */
function lines() {
  const found = new Map(), seen = new Map();
  const comparable = together(filtered(true), state.metric);
  for (const row of filtered(true)) {
    const key = `${row.label} ${row.backbone}`;
    if (!found.has(key)) found.set(key, { label: row.label, method: row.method, backbone: row.backbone, rows: [] });
    found.get(key).rows.push(row);
  }
  const sign = lowerIsBetter.has(state.metric) ? -1 : 1;
  const best = (line) => Math.max(...line.rows.map((row) => (comparable.has(row) ? sign * row.mean[state.metric][0] : -1e9)));
  const every = [...found.values()].sort((a, b) => best(b) - best(a) || (a.label < b.label ? -1 : 1));
  for (const line of every) {
    const nth = seen.get(line.method) || 0;
    seen.set(line.method, nth + 1);
    line.look = methodLook(line.method);
    line.dash = line.rows.every((row) => row.shots === 0) ? LEVEL : DASHES[nth % DASHES.length];
  }
  return every;
}

function drawShots() {
  const every = lines();
  const shown = every.filter((line, n) => n < MOST || line.method === data.reference);
  const shots = distinct(shown.flatMap((line) => line.rows.map((row) => row.shots))).filter(Boolean).sort(byNumber);
  byId("shots").hidden = shots.length < 2;
  if (shots.length < 2) return;
  const models = distinct(shown.map((line) => line.backbone)).length > 1;
  const comparable = together(filtered(true), state.metric);
  const figureAt = (row, place) => (place === null ? (comparable.has(row) ? row.mean : {}) : row.domains[place] || {})[state.metric];
  const figures = (place) => shown.map((line) => new Map(line.rows.map((row) => [row.shots, figureAt(row, place)]).filter(([, figure]) => figure)));
  const places = domains().length > 1 ? [null, ...domains()] : domains();
  const all = limits(places.flatMap((place) => figures(place).flatMap((line) => [...line.values()])));
  const banded = places.some((place) => figures(place).some((line) => [...line.values()].some((figure) => figure[3] !== undefined)));
  byId("shots-note").textContent = `${metricName.get(state.metric)} in percent. A band is ${banded ? "the 95 % interval, or one standard deviation where there is none" : "one standard deviation over seeds on either side"}.`
    + (comparable.size < shown.flatMap((line) => line.rows).filter((row) => row.complete).length ? " The mean is drawn of rows over the same domains only." : "")
    + (every.length > shown.length ? ` The best ${MOST} of ${every.length} lines${shown.length > MOST ? `, and ${data.reference}` : ""}; filter the table to choose others.` : "");
  byId("shots-legend").replaceChildren(...shown.map((line) => h("li", {}, sample(line.look, line.dash), h("span", {}, models ? `${line.label} (${line.backbone})` : line.label))));
  byId("shots-panels").replaceChildren(...places.map((place) => panel(place, shown, figures(place), shots, all)));
}

function panel(place, shown, figures, shots, [low, high]) {
  const name = place === null ? "mean over domains" : shortDomain(place);
  const said = shown.map((line, n) => `${line.label}: ${[...figures[n]].sort(([a], [b]) => a - b).map(([k, figure]) => `${percent(figure[0])} at ${k}`).join(", ") || "no figures"}`);
  const plot = area(state.wide ? 460 : 230, state.wide ? 260 : 150, `${name}. ${said.join(". ")}`);
  const { svg, box } = plot;
  const x = (k) => box.left + 10 + (Math.log2(k / shots[0]) / Math.log2(shots[shots.length - 1] / shots[0])) * (box.right - box.left - 20);
  levels(plot, low, high);
  for (const k of shots) svg.append(s("text", { x: x(k), y: box.bottom + 15, "text-anchor": "middle" }, String(k)));
  shown.forEach((line, n) => {
    const { dash, look: { paint, shape } } = line;
    const group = s("g", { class: paint });
    const y = (points) => plot.y(points, low, high).toFixed(1);
    const flat = figures[n].get(0);
    if (flat) {
      group.append(
        s("path", { class: "line", "stroke-dasharray": LEVEL, d: `M${box.left},${y(flat[0])}H${box.right}` }),
        mark(s("path", { class: "dot", d: shape(box.right - 4, Number(y(flat[0])), 3.5) }), line, place, 0, flat));
    }
    const points = shots.filter((k) => figures[n].has(k)).map((k) => [k, figures[n].get(k)]);
    if (points.length) {
      const ends = points.map(([k, figure]) => [x(k).toFixed(1), ...reach(figure).map(y)]);
      group.append(
        s("path", { class: "band", d: `M${ends.map(([at, from]) => `${at},${from}`).join("L")}L${ends.reverse().map(([at, , to]) => `${at},${to}`).join("L")}z` }),
        s("path", { class: "line", "stroke-dasharray": dash, d: `M${points.map(([k, figure]) => `${x(k).toFixed(1)},${y(figure[0])}`).join("L")}` }),
        ...points.map(([k, figure]) => mark(s("path", { class: "dot", d: shape(x(k), Number(y(figure[0])), 3.5) }), line, place, k, figure)));
    }
    svg.append(group);
  });
  return h("figure", {}, h("figcaption", {}, name), svg);
}

const mark = (element, line, place, shots, figure) =>
  tip(element, () => `${line.label}, ${place || "mean over domains"}, ${shots ? `${shots} images per class` : "no images"}: ${inWords(figure)}`);
