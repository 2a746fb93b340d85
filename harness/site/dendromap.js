// DendroMap: the images of a side by their features, as a treemap. Each split of the tree splits a rectangle; a leaf is
// coloured by how many of its images were named wrongly.

const HARDEST = 5;

function dendroView(record) {
  const known = Object.keys(record.dendromaps).sort();
  if (!known.length) return [];
  const field = h("select", { id: "dendro-domain" }, known.map((domain) => h("option", { value: domain }, domain)));
  const sides = h("select", { id: "dendro-side" });
  const body = h("div", { id: "dendromap" });
  const draw = () => body.replaceChildren(...dendromap(leavesOf(record, field.value, sides.value), sides.value));
  const choose = () => {
    const there = ["oop", "ip"].filter((side) => record.dendromaps[field.value][side]);
    const chosen = there.includes(sides.value) ? sides.value : there[0];
    sides.replaceChildren(...there.map((side) => h("option", { value: side, selected: side === chosen }, SIDES[side])));
    draw();
  };
  field.addEventListener("change", choose);
  sides.addEventListener("change", draw);
  choose();
  return [h("h3", {}, "Where the errors are"), h("p", { class: "hint" }, "A treemap of image features: images that are alike for the model are near each other, and an area is as large as its number of images."),
    h("div", { class: "choices" }, h("label", {}, "Domain ", field), h("label", {}, "Images ", sides)), body];
}

/** The leaves of a side's tree: path from the root as bits, images, share of them named wrongly, and the usual class. */
function leavesOf(record, domain, side) {
  const { leaves, wrong } = record.dendromaps[domain][side];
  const { levels, leaves: shared } = pooled(leaves);
  const places = record.classes[domain][side].names;
  const names = places === null ? null : pooled(places);
  return { levels, leaves: shared.map(([path, images, usual, ofUsual], i) => ({
    path, images, wrong: wrong[i] / 1000,
    name: names ? names[usual] : `class ${usual + 1}`,
    text: `${images} images, ${(wrong[i] / 10).toFixed(1)} % named wrongly; ${ofUsual} of them show ${names ? names[usual] : `class ${usual + 1}`}`,
  })) };
}

function dendromap({ levels, leaves }, side) {
  const tall = innerWidth < 600;
  const map = h("div", { class: tall ? "dendro tall" : "dendro", tabindex: 0, role: "application", "aria-roledescription": "treemap",
    "aria-label": `${leaves.length} groups of images ${SIDES[side]} by their features. Arrow keys go from group to group; the list that follows has those with most errors.` });
  const output = h("output", { class: "cell", "aria-live": "polite" });
  const boxes = [];
  let at = -1;
  const go = (i) => {
    if (at >= 0) boxes[at].classList.remove("at");
    at = Math.max(0, Math.min(boxes.length - 1, i));
    boxes[at].classList.add("at");
    output.textContent = leaves[at].text;
  };
  const place = (part, level, [x, y, width, height]) => {
    if (part.length === 1 || level < 0) return put(part, [x, y, width, height], levels - 1 - level);
    const [below, above] = [0, 1].map((bit) => part.filter(({ path }) => ((path >> level) & 1) === bit));
    if (!below.length || !above.length) return place(part, level - 1, [x, y, width, height]);
    const size = (of) => of.reduce((sum, { images }) => sum + images, 0);
    const share = size(below) / size(part);
    const wide = width * (tall ? 0.8 : 1.8) >= height;
    place(below, level - 1, wide ? [x, y, width * share, height] : [x, y, width, height * share]);
    place(above, level - 1, wide ? [x + width * share, y, width * (1 - share), height] : [x, y + height * share, width, height * (1 - share)]);
  };
  const put = ([leaf], [x, y, width, height]) => {
    const box = h("div", { class: "leaf" }, h("b", {}, leaf.name), h("span", {}, `${Math.round(100 * leaf.wrong)} %`));
    Object.assign(box.style, { left: `${x}%`, top: `${y}%`, width: `${width}%`, height: `${height}%` });
    box.style.setProperty("--wrong", leaf.wrong);
    const number = leaves.indexOf(leaf);
    box.addEventListener("pointermove", () => at === number || go(number));
    box.addEventListener("pointerdown", () => go(number));
    boxes[number] = box;
    map.append(box);
  };
  place(leaves, levels - 1, [0, 0, 100, 100]);
  map.addEventListener("focus", () => at >= 0 || go(0));
  map.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    go(at + step);
  });
  const hardest = [...leaves].sort((a, b) => b.wrong * b.images - a.wrong * a.images).slice(0, HARDEST).filter(({ wrong }) => wrong);
  return [h("figure", { class: "treemap" },
    h("figcaption", {}, "Named wrongly: ", h("span", { class: "scale", "aria-hidden": "true" }), " none to all of a group's images. A group has the name of the concept that most of them show."),
    map, output),
  hardest.length ? h("h4", {}, "Groups with most errors") : null,
  h("ol", { class: "hardest" }, hardest.map(({ name, text }) => h("li", {}, h("b", {}, name), `: ${text}`)))].filter(Boolean);
}
