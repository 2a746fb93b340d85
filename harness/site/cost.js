// Accuracy against time, on a logarithmic scale.

const TICKS = [[0.01, "0.01 s"], [0.1, "0.1 s"], [1, "1 s"], [10, "10 s"], [60, "1 min"], [600, "10 min"], [3600, "1 h"], [36000, "10 h"], [360000, "100 h"]];

function drawCost() {
  const metric = state.metric;
  const comparable = together(filtered(), metric);
  const rows = filtered().filter((row) => row.cost && row.cost[0] > 0 && comparable.has(row));
  byId("cost").hidden = !rows.length;
  if (!rows.length) return;
  byId("cost-note").textContent = `${metricName.get(metric)} (percent, mean over domains) against the time to fit and score all cells of a row; encoding the images is shared and not included.`;
  const seconds = rows.map((row) => row.cost[0]);
  const [from, to] = [Math.log10(Math.min(...seconds) / 3), Math.log10(Math.max(...seconds) * 3)];
  const [low, high] = limits(rows.map((row) => row.mean[metric]));
  const width = Math.max(300, Math.min(state.wide ? 1440 : 760, byId("cost-chart").clientWidth));
  const plot = area(width, state.wide ? 480 : 300, `${metricName.get(metric)} against time of ${rows.length} rows; open a row to see its values`, 34);
  const { svg, box } = plot;
  const x = (value) => box.left + ((Math.log10(value) - from) / (to - from)) * (box.right - box.left);
  levels(plot, low, high);
  for (const [value, text] of TICKS.filter(([value]) => Math.log10(value) >= from && Math.log10(value) <= to)) {
    svg.append(s("line", { class: "grid", x1: x(value), x2: x(value), y1: box.top, y2: box.bottom }), s("text", { x: x(value), y: box.bottom + 15, "text-anchor": "middle" }, text));
  }
  const points = rows.map((row) => ({ row, at: x(row.cost[0]), y: plot.y(row.mean[metric][0], low, high) }));
  const taken = points.map(({ at, y }) => [at - 7, y - 7, at + 7, y + 7]);
  for (const { row, at, y } of points) {
    const figure = row.mean[metric];
    const { paint, shape } = methodLook(row.method);
    const [lowEnd, highEnd] = reach(figure).map((end) => plot.y(end, low, high));
    svg.append(s("g", { class: paint },
      s("line", { class: "whisker", x1: at, x2: at, y1: lowEnd, y2: highEnd }),
      tip(s("path", { class: "dot", d: shape(at, y, 5) }), () => `${row.label}, ${row.shots ? `${row.shots} images per class` : "no images"}: ${inWords(figure)}; ${inTime(row.cost[0])}, ${row.cost[1].toLocaleString("en")} trainable parameters`)));
    svg.append(...nameBeside(row.label + (row.shots && state.shots === "" ? ` (${row.shots})` : ""), at, y, box, taken));
  }
  byId("cost-chart").replaceChildren(svg);
}

/** A label next to its point, on the first side where it overlaps no point or label; none if there is no room. */
function nameBeside(text, at, y, box, taken) {
  const wide = 6.9 * text.length;
  const near = [[at + 9, y - 7], [at - 9 - wide, y - 7], [at - wide / 2, y - 24], [at - wide / 2, y + 9]];
  for (const [left, top] of [...near, [at, y - 24], [at - wide, y - 24], [at, y + 9], [at - wide, y + 9]]) {
    const own = [left, top, left + wide, top + 14];
    const inside = own[0] > box.left && own[2] < box.right && own[1] > 0 && own[3] < box.bottom;
    if (inside && taken.every((other) => own[0] > other[2] || own[2] < other[0] || own[1] > other[3] || own[3] < other[1])) {
      taken.push(own);
      return [s("text", { class: "label", x: left, y: top + 11 }, text)];
    }
  }
  return [];
}

function inTime(seconds) {
  if (seconds < 60) return `${Number(seconds.toPrecision(2))} s`;
  if (seconds < 3600) return `${Number((seconds / 60).toPrecision(2))} min`;
  return `${Number((seconds / 3600).toPrecision(2))} h`;
}
