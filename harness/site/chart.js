// Axes shared by the plots.

/** A plot area: its SVG and scales. */
function area(width, height, label, left = 30) {
  const box = { left, right: width - 8, top: 8, bottom: height - 20 };
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  return { svg, box, y: (points, low, high) => box.bottom - ((points - low) / (high - low)) * (box.bottom - box.top) };
}

/** Level lines with their figures. */
function levels(plot, low, high) {
  const step = PERCENT * ([5, 10, 20].find((size) => (high - low) / PERCENT / size <= 5) || 25);
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    const y = plot.y(value, low, high);
    plot.svg.append(
      s("line", { class: value === low ? "axis" : "grid", x1: plot.box.left, x2: plot.box.right, y1: y, y2: y }),
      s("text", { x: plot.box.left - 5, y: y + 4, "text-anchor": "end" }, String(value / PERCENT)));
  }
}

/** Axis limits around some figures, in steps of ten percent, within 0 to 100 if possible. */
function limits(figures) {
  const ends = figures.flatMap(reach);
  const step = 10 * PERCENT;
  const low = Math.max(0, Math.floor(Math.min(...ends, 100 * PERCENT) / step) * step);
  return [low, Math.ceil(Math.max(...ends, low + step) / step) * step];
}
