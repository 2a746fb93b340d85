// A domain class by class: bars from best to worst, what a class was taken for most often, and every confusion.

const SIDES = { oop: "out of pre-training", ip: "in pre-training" };

function classView(record) {
  const known = Object.keys(record.classes).sort();
  if (!known.length) return [];
  const field = h("select", { id: "class-domain" }, known.map((domain) => h("option", { value: domain }, domain)));
  const body = h("div", { class: "columns" });
  const maps = h("div", { id: "confusion" });
  const draw = () => {
    repainted.clear();
    const sides = ["oop", "ip"].filter((side) => record.classes[field.value][side]).map((side) => classesOf(side, record.classes[field.value][side]));
    body.replaceChildren(...sides.map(sideView));
    maps.replaceChildren(...sides.map(confusionView).filter(Boolean));
  };
  field.addEventListener("change", draw);
  draw();
  return [h("h3", {}, "Class by class"), h("label", {}, "Domain ", field), body, maps];
}

/** The classes of a side with what is known of them: `name(i)` and `image(i)`. */
function classesOf(side, figures) {
  const names = figures.names === null ? null : pooled(figures.names);
  const images = figures.thumbnails === null ? [] : pooled(figures.thumbnails);
  return {
    side, figures, names, count: figures.accuracy.length,
    name: (i) => (names ? names[i] : `class ${i + 1}`),
    image: (i) => (images[i] ? h("img", { class: "thumb", alt: "", width: 40, height: 40, src: `data:image/jpeg;base64,${images[i]}` }) : null),
  };
}

function sideView({ side, figures, names, name, image }) {
  const order = figures.accuracy.map((value, i) => [value, i]).sort(([a, i], [b, j]) => (b ?? -1) - (a ?? -1) || i - j);
  const confused = figures.taken_for;
  return h("section", { "aria-label": `Classes ${SIDES[side]}` },
    h("h4", {}, `${order.length} concepts ${SIDES[side]}`),
    h("ol", { class: figures.thumbnails === null ? "classes" : "classes pictured" }, order.map(([value, i]) => {
      const fill = h("i", {});
      fill.style.setProperty("--value", (value ?? 0) / 1000);
      const other = confused.length && confused[i];
      return h("li", {}, image(i), h("span", { class: "concept" }, name(i)), h("span", { class: "track", "aria-hidden": "true" }, fill),
        h("span", { class: "value" }, value === null ? "no image" : (value / 10).toFixed(1)),
        other ? h("span", { class: "instead" }, `${(other[1] / 10).toFixed(0)} % taken for ${name(other[0])}`) : null);
    })),
    names ? null : h("p", { class: "hint" }, "The names were not kept beside this leaderboard; classes stand in the order of the split file."));
}
