// Filters of the table. One protocol and one data set are always selected: only their rows share a table.

const state = { setting: "", metric: "h_mean", backbone: "", shots: "", needs: "", verified: false, text: "" };
const changed = [];

/** Every row that the filters leave; `all shots` is for plots against shots. */
function filtered(allShots = false) {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  return data.rows.filter((row) =>
    row.setting === state.setting
    && (!state.backbone || row.backbone === state.backbone)
    && (allShots || state.shots === "" || row.shots === 0 || String(row.shots) === state.shots)
    && (!state.needs || (state.needs === "-" ? !row.needs.length : row.needs.includes(state.needs)))
    && (!state.verified || row.verified)
    && words.every((word) => row.search.includes(word)));
}

const inSetting = () => data.rows.filter((row) => row.setting === state.setting);

/** The metrics that a row of the setting has. */
const metricsInSetting = () => data.metrics.filter(([id]) => inSetting().some((row) => Object.values(row.domains).some((of) => of[id])));

/** The number of shots whose table is shown; null where rows of several are. */
const shotsShown = () => state.shots || (inSetting().some((row) => row.shots) ? null : "0");

function notify() {
  for (const action of changed) action();
}

function select(name, title, wide, options) {
  const field = h("select", { name, id: `by-${name}` }, options.map(([value, text]) => h("option", { value }, text)));
  field.value = state[name];
  field.addEventListener("change", () => {
    state[name] = field.value;
    if (name === "setting") startSetting();
    notify();
  });
  return h("label", { class: wide ? "wide" : null }, title, field);
}

/** A new setting has other models and shots; start where most rows are. */
function startSetting() {
  const rows = inSetting();
  const shots = rows.map((row) => row.shots).filter(Boolean);
  const often = distinct(shots).sort((a, b) => shots.filter((x) => x === b).length - shots.filter((x) => x === a).length || (b === 4) - (a === 4) || a - b);
  const known = metricsInSetting().map(([id]) => id);
  Object.assign(state, { backbone: "", shots: often.length ? String(often[0]) : "", needs: "", verified: false, text: "" });
  if (!known.includes(state.metric)) state.metric = data.headlines.find((id) => known.includes(id)) || known[0] || "oop_top1";
  drawFilters();
}

function drawFilters() {
  const rows = inSetting();
  const settings = distinct(data.rows.map((row) => row.setting)).sort();
  const shots = distinct(rows.map((row) => row.shots)).filter(Boolean).sort(byNumber);
  const needs = distinct(rows.flatMap((row) => row.needs)).sort();
  const focused = document.activeElement && document.activeElement.id;
  const text = h("input", { type: "search", name: "text", id: "by-text", autocomplete: "off", placeholder: "method, parameter, model" });
  text.value = state.text;
  const later = settled(notify, 80);
  text.addEventListener("input", () => {
    state.text = text.value;
    later();
  });
  const verified = h("input", { type: "checkbox", id: "by-verified", name: "verified" });
  verified.checked = state.verified;
  verified.addEventListener("change", () => {
    state.verified = verified.checked;
    notify();
  });
  const reset = h("button", { type: "button", class: "plain", id: "reset" }, "Reset");
  reset.addEventListener("click", () => {
    startSetting();
    notify();
    byId("by-text").focus();
  });
  byId("filters").replaceChildren(
    select("setting", "Protocol and data", true, settings.map((value) => [value, JSON.parse(value).join(" · ")])),
    select("metric", "Metric", false, metricsInSetting().map(([id, name]) => [id, name])),
    select("shots", "Images per class", false, [["", "any"], ...shots.map((n) => [String(n), String(n)])]),
    select("backbone", "Model", false, [["", "any"], ...distinct(rows.map((row) => row.backbone)).sort().map((b) => [b, b])]),
    select("needs", "Method may see", false, [["", "anything"], ["-", "names only"], ...needs.map((need) => [need, need])]),
    h("label", { class: "wide" }, "Search", text),
    h("label", { class: "check" }, verified, "verified only"),
    reset,
  );
  if (focused && byId(focused)) byId(focused).focus();
}
