// Details of one row: failures, the command that reproduces it, all figures, classes, and provenance.

let opener = null;
let leave = null; // takes the row out of the address

function openRow(id) {
  const row = data.rows.find((one) => one.id === id);
  if (!row) return;
  const record = details(id);
  const dialog = byId("row");
  const close = h("button", { type: "button", class: "plain", id: "close" }, "Close");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(
    h("header", {}, h("h2", { id: "row-title" }, badge(methodLook(row.method)), row.label, row.shots ? `, ${row.shots} images per class` : ""), close),
    h("div", { class: "body" }, facts(row, record), holes(row), again(record), figures(row), ...gainView(row), ...classView(record), ...dendroView(record), ...frequencyView(record), ...provenance(row, record)),
  );
  opener = document.activeElement;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  leave = inAddress().has("row") ? () => writeAddress(true) : () => history.back();
  writeAddress(inAddress().has("row"), id);
}

function facts(row, record) {
  const fact = (name, value) => h("li", {}, `${name} `, h("b", {}, value));
  const { code } = data.links[row.method] || {};
  return h("ul", { class: "facts" },
    paperLink(row.method) ? fact("paper", paperLink(row.method)) : null, code ? fact("code", linkTo(code, code)) : null,
    fact("data", row.dataset), fact("protocol", row.protocol), fact("model", row.backbone),
    fact("images per class", row.shots || "none"), fact("seeds", record.seeds.join(", ") || "none: no few-shot draw"),
    fact("may see", row.needs.join(", ") || "names only"), fact("OOP names absent from pre-training", record.absent),
    fact("verification", row.verification ?? "none"),
    record.cost ? fact("time", inTime(record.cost.wall_seconds)) : null,
    record.cost ? fact("trainable parameters", record.cost.trainable.toLocaleString("en")) : null,
    record.cost ? fact("peak host memory", inBytes(record.cost.peak_host_bytes)) : null,
    record.cost ? fact("peak GPU memory", record.device.startsWith("cpu") ? "none, it ran on the CPU" : inBytes(record.cost.peak_gpu_bytes)) : null);
}

const inBytes = (bytes) => (bytes === null ? "not known" : bytes < 1e9 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

function holes(row) {
  const why = details(row.id).not_applicable;
  return h("div", {},
    row.holes.length ? h("p", { class: "bad" }, "This row is incomplete, so it has no mean and no rank:") : null,
    row.holes.length ? h("ul", { class: "holes" }, row.holes.map((hole) => h("li", {}, holeInWords(hole)))) : null,
    why ? h("p", {}, `Only OOP names were scored: ${why}`) : null);
}

function again(record) {
  return h("div", {}, h("h3", {}, "Reproduce"), command("From its record", record.reproduce), command("As options of evaluate", record.evaluate));
}

function command(title, text) {
  const copy = h("button", { type: "button", class: "plain" }, "Copy");
  copy.setAttribute("aria-label", `Copy the command: ${title}`);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(copy.previousSibling); // a page on disk may not write the clipboard
      copy.textContent = "Selected";
    }
  });
  return h("div", {}, h("p", { class: "hint" }, title), h("div", { class: "command" }, h("pre", {}, text), copy));
}

function figures(row) {
  const known = data.metrics.filter(([id]) => Object.values(row.domains).some((of) => of[id]));
  const line = (name, values, hole) => h("tr", {}, h("th", { scope: "row", class: "name" }, name), known.map(([id]) => {
    const figure = values[id];
    if (!figure) return h("td", { class: hole ? "hole" : null }, "–");
    return bar(h("td", { class: "figure" }, percent(figure[0]), figure[1] > 0 ? h("span", { class: "spread" }, ` ±${percent(figure[1])}`) : null), figure, () => `${name}: ${inWords(figure)}`);
  }));
  const places = data.domains.filter((domain) => row.domains[domain] || holesOf(row, domain).length);
  return h("div", {}, h("h3", {}, "Every figure"), h("div", { class: "scroll", role: "region", "aria-label": "Every figure", tabindex: 0 }, h("table", {},
    h("caption", {}, "Percent, mean ± standard deviation over seeds"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "name plain-head" }, "Domain"), known.map(([, name, what]) => tip(h("th", { scope: "col", class: "plain-head" }, name), () => what)))),
    h("tbody", {}, places.map((domain) => line(domain, row.domains[domain] || {}, true)), line(`mean of ${Object.keys(row.domains).length}`, row.mean, false)))));
}

function provenance(row, record) {
  const data_ = Object.entries(record.data).sort().map(([domain, place]) =>
    h("details", {}, h("summary", {}, domain), list(pooled(place))));
  return [h("h3", {}, "Provenance"), h("div", { class: "columns" },
    h("div", {}, h("h4", {}, "Method"), list(pooled(record.method))),
    h("div", {}, h("h4", {}, "Model"), list(pooled(record.backbone)), h("h4", {}, "Versions"), list({ ...pooled(record.versions), device: record.device, row: row.id })),
  ), h("h4", {}, "Data of each domain"), ...data_];
}

/** Any value of a record, as deep as it goes. */
function list(value) {
  if (Array.isArray(value)) return value.length ? h("span", {}, value.map((inner, i) => [i ? ", " : null, list(inner)])) : "none";
  if (value === null) return "none";
  if (typeof value !== "object") return typeof value === "string" && /^[0-9a-f]{40,}$/.test(value) ? h("span", { class: "mono" }, value) : String(value);
  const entries = Object.entries(value);
  return entries.length ? h("dl", { class: "record" }, entries.map(([key, inner]) => [h("dt", {}, key.replaceAll("_", " ")), h("dd", {}, list(inner))])) : "none";
}

function startRow() {
  const dialog = byId("row");
  dialog.addEventListener("close", () => {
    if (inAddress().has("row")) leave();
    document.body.append(byId("tip"));
    if (opener && opener.isConnected) opener.focus();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
