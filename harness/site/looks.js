// The colour and marker of a method, by its name alone: the same as in figures. Sides have looks of their own.

const polygon = (points) => (x, y, r) => `M${points.map(([a, b]) => `${(x + r * a).toFixed(1)},${(y + r * b).toFixed(1)}`).join("L")}z`;
const corners = (count, turn, reaches) => polygon(Array.from({ length: count }, (_, i) => {
  const angle = (2 * Math.PI * i) / count + turn, reach = reaches[i % reaches.length];
  return [reach * Math.sin(angle), -reach * Math.cos(angle)];
}));
const PLUS = [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]];

/** matplotlib's name of a marker -> the path of one of radius r at x, y. */
const SHAPES = {
  o: (x, y, r) => `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
  s: corners(4, Math.PI / 4, [1.3]), D: corners(4, 0, [1.4]), p: corners(5, 0, [1.25]), h: corners(6, 0, [1.2]),
  "^": corners(3, 0, [1.45]), v: corners(3, Math.PI, [1.45]), "<": corners(3, -Math.PI / 2, [1.45]), ">": corners(3, Math.PI / 2, [1.45]),
  "*": corners(10, 0, [1.6, 0.65]),
  P: polygon(PLUS), X: polygon(PLUS.map(([a, b]) => [(a + b) * Math.SQRT1_2, (b - a) * Math.SQRT1_2])),
};

const DASHES = ["", "6 3", "2 3", "8 3 2 3"];
const LEVEL = "1 4"; // of a method that needs no few-shot image

const lookOf = ([paint, marker]) => ({ paint, shape: SHAPES[marker] });
const methodLook = (method) => lookOf(data.looks[method]);
const sideLook = (side) => lookOf(data.sides[side]);

/** A marker on its own, as before a name. */
function badge(look) {
  return s("svg", { viewBox: "0 0 12 12", width: 12, height: 12, class: `badge ${look.paint}`, "aria-hidden": "true" }, s("path", { class: "dot", d: look.shape(6, 6, 3.8) }));
}

/** A line with its marker, as in a legend. */
function sample(look, dash = "") {
  return s("svg", { viewBox: "0 0 34 12", width: 34, height: 12, class: look.paint, "aria-hidden": "true" },
    s("path", { class: "line", d: "M1,6H33", "stroke-dasharray": dash }),
    s("path", { class: "dot", d: look.shape(17, 6, 3.5) }));
}
