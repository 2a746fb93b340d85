// Per-class accuracy of a domain: bars from best to worst, the most frequent confusion of each class, and the confusion
// matrix; among the names of the class's side, or among all names of the domain.

const SIDES = { oop: "out of pre-training", ip: "in pre-training", both: "of both sides" };

function classView(record) {
  const known = Object.keys(record.classes).sort();
  if (!known.length) return [];
  const field = h("select", { id: "class-domain" }, known.map((domain) => h("option", { value: domain }, domain)));
  const names = h("select", { id: "class-names" }, h("option", { value: "own" }, "of the same side"), h("option", { value: "all" }, "all of the domain"));
  const choice = h("label", {}, "Names to choose from ", names);
  const lists = h("div", {});
  const maps = h("div", { id: "confusion" });
  const draw = () => {
    repainted.clear();
    const [figures, joint] = [record.classes[field.value], record.joint[field.value]];
    const sides = ["oop", "ip"].filter((side) => figures[side]).map((side) => classesOf(side, figures[side]));
    const body = h("div", { class: "columns" });
    lists.replaceChildren(body);
    choice.hidden = joint === undefined;
    if (choice.hidden || names.value === "own") {
      body.append(...sides.map(sideView));
      maps.replaceChildren(...sides.map((classes) => confusionView(classes)).filter(Boolean));
    } else {
      maps.replaceChildren(confusionView(bothOf(sides, joint), (matrix) => body.append(...inBoth(matrix).map(sideView))));
    }
  };
  field.addEventListener("change", draw);
  names.addEventListener("change", draw);
  draw();
  return [h("h3", {}, "Class by class"), h("div", { class: "choices" }, h("label", {}, "Domain ", field), choice), lists, maps];
}

/** The classes of a side with what is known of them: `name(i)` and `image(i)`. */
function classesOf(side, figures) {
  const names = figures.names === null ? null : pooled(figures.names);
  const images = figures.thumbnails === null ? [] : pooled(figures.thumbnails);
  return {
    side, figures, names, count: figures.accuracy.length, first: figures.accuracy.length, stored: figures.taken_for.length > 0, confusion: figures.confusion,
    name: (i) => (names ? names[i] : `class ${i + 1}`),
    image: (i) => (images[i] ? h("img", { class: "thumb", alt: "", width: 40, height: 40, src: `data:image/jpeg;base64,${images[i]}` }) : null),
  };
}

/** The classes of both sides among all names: those of the first side come first, and names say of which side they are. */
function bothOf([oop, ip], confusion) {
  const of = (i) => (i < oop.count ? [oop, i, "OOP"] : [ip, i - oop.count, "IP"]);
  return {
    side: "both", count: oop.count + ip.count, first: oop.count, stored: true, confusion, sides: [oop, ip],
    name: (i) => (([classes, own, short]) => `${classes.name(own)} (${short})`)(of(i)),
    image: (i) => (([classes, own]) => classes.image(own))(of(i)),
  };
}

/** Each side with its figures among all names, from the matrix of both. */
function inBoth({ sides, share, total, name, image, k }) {
  const worst = (i) => Array.from({ length: k }, (_, j) => j).filter((j) => j !== i).reduce((a, b) => (share(i, b) > share(i, a) ? b : a));
  const all = Array.from({ length: k }, (_, i) => i);
  const accuracy = all.map((i) => (total(i) ? 1000 * share(i, i) : null));
  const confused = all.map((i) => (share(i, worst(i)) ? [worst(i), 1000 * share(i, worst(i))] : null));
  return sides.map((own, n) => ({ ...own, name, image, offset: n * sides[0].count,
    figures: { ...own.figures, accuracy: accuracy.slice(n * sides[0].count).slice(0, own.count), taken_for: confused.slice(n * sides[0].count) } }));
}

function sideView({ side, figures, names, name, image, offset = 0 }) {
  const order = figures.accuracy.map((value, i) => [value, i]).sort(([a, i], [b, j]) => (b ?? -1) - (a ?? -1) || i - j);
  const confused = figures.taken_for;
  const captions = figures.captions === null ? null : pooled(figures.captions);
  return h("section", { "aria-label": `Classes ${SIDES[side]}` },
    h("h4", {}, `${order.length} concepts ${SIDES[side]}`),
    h("ol", { class: figures.thumbnails === null ? "classes" : "classes pictured" }, order.map(([value, i]) => {
      const fill = h("i", {});
      fill.style.setProperty("--value", (value ?? 0) / 1000);
      const other = confused.length && confused[i];
      return h("li", {}, image(offset + i), h("span", { class: "concept" }, name(offset + i)), h("span", { class: "track", "aria-hidden": "true" }, fill),
        h("span", { class: "value" }, value === null ? "no image" : (value / 10).toFixed(1)),
        captions && captions[i] !== null ? h("span", { class: "instead" }, `${captions[i].toLocaleString("en")} captions mention it`) : null,
        other ? h("span", { class: "instead" }, `${(other[1] / 10).toFixed(0)} % taken for ${name(other[0])}`) : null);
    })),
    names ? null : h("p", { class: "hint" }, "The names are not stored with this leaderboard; classes are in the order of the split file."));
}
