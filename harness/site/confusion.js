// The confusion matrix of a side: a map with keyboard navigation, and a table of the most confused pairs.

const PAIRS = 12;

/** The section of a side or of both; draws the map and calls `then` when the matrix is unpacked. Null without predictions. */
function confusionView(classes, then = () => {}) {
  const { side, count, stored, confusion } = classes;
  if (!stored) return null;
  const body = h("div", { class: "confusion" });
  const section = h("section", { "aria-label": `Confusions ${SIDES[side]}` }, h("h4", {}, `Which of the ${count} concepts ${SIDES[side]} was taken for which`), body);
  if (confusion === null) {
    body.append(h("p", { class: "hint" }, "The matrix is left out because the page would become too large; build a page of fewer rows to see it."));
  } else if (typeof DecompressionStream === "undefined") {
    body.append(h("p", { class: "hint" }, "This browser cannot decompress the matrix."));
  } else {
    unpacked(pooled(confusion)).then((counts) => {
      const matrix = matrixOf(classes, counts);
      if (side === "both") body.before(crossings(matrix));
      body.replaceChildren(heatMap(matrix, section.clientWidth), pairTable(matrix));
      then(matrix);
    });
  }
  return section;
}

/** How many images of each side were given a name of the other. */
function crossings({ k, first, counts }) {
  const across = (from, to, other) => {
    let [crossed, all] = [0, 0];
    for (let i = from; i < to; i += 1) {
      for (let j = 0; j < k; j += 1) {
        all += counts[i * k + j];
        if (other(j)) crossed += counts[i * k + j];
      }
    }
    return `${crossed} of ${all} (${((100 * crossed) / all).toFixed(1)}\u00a0%)`;
  };
  return h("p", { class: "crossings" }, `Images out of pre-training with a name in pre-training: ${across(0, first, (j) => j >= first)}. Vice versa: ${across(first, k, (j) => j < first)}.`);
}

/** The numbers of a packed matrix, row by row. */
async function unpacked({ bytes, deflated }) {
  const packed = Uint8Array.from(atob(deflated), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  return bytes === 1 ? new Uint8Array(buffer) : bytes === 2 ? new Uint16Array(buffer) : new Uint32Array(buffer);
}

/** A confusion matrix with its queries; classes are in the order of their names, one side after the other. */
function matrixOf(classes, counts) {
  const k = classes.count;
  const order = Array.from({ length: k }, (_, i) => i).sort((a, b) => (a >= classes.first) - (b >= classes.first) || (classes.name(a) < classes.name(b) ? -1 : classes.name(a) > classes.name(b) ? 1 : a - b));
  const totals = Array.from({ length: k }, (_, i) => counts.subarray(i * k, (i + 1) * k).reduce((sum, n) => sum + n, 0));
  const share = (i, j) => (totals[i] ? counts[i * k + j] / totals[i] : 0);
  const pairs = order.flatMap((i) => order.filter((j) => i !== j && counts[i * k + j]).map((j) => [i, j]));
  pairs.sort(([a, b], [c, d]) => share(c, d) - share(a, b) || counts[c * k + d] - counts[a * k + b]);
  const often = (i, j) => `${counts[i * k + j]} of ${totals[i]} (${(100 * share(i, j)).toFixed(share(i, j) < 0.1 ? 1 : 0)}\u00a0%)`;
  const said = (i, j) => (i === j ? `${classes.name(i)} correct` : `${classes.name(i)} taken for ${classes.name(j)}`) + `: ${often(i, j)}`;
  return { ...classes, k, counts, total: (i) => totals[i], order, share, pairs, often, said };
}

function pairTable(matrix) {
  const { pairs, name, image, often, side } = matrix;
  if (!pairs.length) return h("p", { class: "hint" }, "No concept was confused with another one.");
  const concept = (tag, i) => h(tag, { class: "text", scope: tag === "th" ? "row" : null }, h("span", { class: "concept" }, image(i), h("span", {}, name(i))));
  return h("div", { class: "scroll pairs", role: "region", "aria-label": `Most confused pairs ${SIDES[side]}`, tabindex: 0 }, h("table", {},
    h("caption", {}, pairs.length > PAIRS ? `The ${PAIRS} most confused of ${pairs.length.toLocaleString("en")} pairs, counted over all seeds` : "Every confused pair, counted over all seeds"),
    h("thead", {}, h("tr", {}, ["Images of", "taken for", "times"].map((head) => h("th", { scope: "col", class: "plain-head text" }, head)))),
    h("tbody", {}, pairs.slice(0, PAIRS).map(([i, j]) => h("tr", {}, concept("th", i), concept("td", j), h("td", { class: "text" }, often(i, j)))))));
}

/** The matrix as a picture: a row for each concept, a column for each name. Arrow keys and the pointer go from cell to cell. */
function heatMap(matrix, available) {
  const { k, first, order, share, pairs, name, said, side } = matrix;
  const names = Math.min(150, Math.max(80, available * 0.25));
  const labelled = (available - names - 2) / k >= 9;
  const left = labelled ? names : 0;
  const cell = Math.max(6, Math.min(18, Math.floor((available - left - 2) / k)));
  const [width, height] = [left + cell * k, cell * k];
  const canvas = h("canvas", { tabindex: 0, role: "application", "aria-roledescription": "confusion matrix",
    "aria-label": `${k} concepts ${SIDES[side]} by the names they were given. Arrow keys go from cell to cell; the table that follows lists the most confused pairs.` });
  const scale = Math.min(3, window.devicePixelRatio || 1);
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const output = h("output", { class: "cell", "aria-live": "polite" });
  let at = null;

  const paint = () => {
    const style = getComputedStyle(document.documentElement);
    const [ground, soft, ink, right, wrong] = ["--raised", "--soft", "--ink", "--mark", "--bad"].map((token) => style.getPropertyValue(token));
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = ground;
    pen.fillRect(left, 0, cell * k, height);
    pen.font = `${Math.min(12, cell - 1)}px system-ui, sans-serif`;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    order.forEach((i, y) => {
      pen.globalAlpha = 1;
      pen.fillStyle = at && at[0] === y ? ink : soft;
      if (labelled) pen.fillText(shortened(pen, name(i), left - 6), left - 5, (y + 0.5) * cell);
      order.forEach((j, x) => {
        if (!share(i, j)) return;
        pen.globalAlpha = 0.08 + 0.92 * Math.sqrt(share(i, j));
        pen.fillStyle = i === j ? right : wrong;
        pen.fillRect(left + x * cell, y * cell, cell - 1, cell - 1);
      });
    });
    pen.globalAlpha = 1;
    pen.fillStyle = soft;
    if (first < k) [[left, first * cell - 1, cell * k, 1], [left + first * cell - 1, 0, 1, height]].forEach((line) => pen.fillRect(...line));
    if (!at) return;
    pen.strokeStyle = ink;
    pen.lineWidth = 2;
    pen.strokeRect(left + at[1] * cell - 1, at[0] * cell - 1, cell + 1, cell + 1);
  };
  const go = (y, x) => {
    at = [Math.max(0, Math.min(k - 1, y)), Math.max(0, Math.min(k - 1, x))];
    output.textContent = said(order[at[0]], order[at[1]]);
    paint();
  };
  const start = () => (pairs.length ? pairs[0].map((i) => order.indexOf(i)) : [0, 0]);
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [Math.floor((event.clientX - box.left - left) / cell), Math.floor((event.clientY - box.top) / cell)];
    if (x >= 0 && x < k && y >= 0 && y < k && !(at && at[0] === y && at[1] === x)) go(y, x);
  };
  canvas.addEventListener("pointermove", under);
  canvas.addEventListener("pointerdown", under);
  canvas.addEventListener("focus", () => at || go(...start()));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    go(...(at ? [at[0] + step[0], at[1] + step[1]] : start()));
    uncover(canvas, left + at[1] * cell, at[0] * cell, cell);
  });
  repainted.add(paint);
  paint();
  return h("figure", { class: "map" },
    h("figcaption", {}, h("span", { class: "right" }, "correct"), h("span", { class: "wrong" }, `confused; stronger for a larger share of a concept's images. One row per concept, one column per name, ${first < k ? "those out of pre-training before the lines, each side" : "both"} in alphabetical order.`)),
    h("div", { class: "wide" }, canvas), output);
}

/** Scroll so that a cell of a map is in sight: between the title of the row and what is said of the cell. */
function uncover(canvas, x, y, cell) {
  const [wide, dialog] = [canvas.parentNode, canvas.closest("dialog")];
  if (x < wide.scrollLeft || x + cell > wide.scrollLeft + wide.clientWidth) wide.scrollLeft = x - wide.clientWidth / 2;
  const top = canvas.getBoundingClientRect().top + y - dialog.getBoundingClientRect().top;
  if (top < 90 || top > dialog.clientHeight - 60) dialog.scrollTop += top - dialog.clientHeight / 2;
}

/** A text that fits into a width. */
function shortened(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1 && pen.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
  return `${text.slice(0, length)}…`;
}

/** Maps that are on the page, to paint again in other colours. */
const repainted = new Set();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repainted.forEach((paint) => paint()));
