// What the reader has chosen: filters, metric, order, panels. One protocol and one data set are always chosen, because
// only their rows share a table.

const state = {};
const changed = []; // what is drawn anew after a choice

const inSetting = (setting = state.setting) => data.rows.filter((row) => row.setting === setting);

/** The metrics that a row of the setting has. */
function metricsInSetting(setting) {
  const rows = inSetting(setting);
  return data.metrics.filter(([id]) => rows.some((row) => Object.values(row.domains).some((of) => of[id])));
}

/** The most frequent value; of equally frequent ones the first by `before`. */
function mostFrequent(values, before) {
  const count = (value) => values.filter((other) => other === value).length;
  return distinct(values).sort((a, b) => count(b) - count(a) || before(a, b))[0];
}

/** What is chosen until the reader chooses: the model and number of shots of most rows, so that they are comparable. */
function usualChoices(setting) {
  const rows = inSetting(setting), known = metricsInSetting(setting).map(([id]) => id);
  const models = rows.map((row) => row.backbone), shots = rows.map((row) => row.shots).filter(Boolean);
  return {
    setting, metric: data.headlines.find((id) => known.includes(id)) || known[0] || "oop_top1",
    backbone: distinct(models).length > 1 ? mostFrequent(models, (a, b) => (a < b ? -1 : 1)) : "",
    shots: shots.length ? String(mostFrequent(shots, (a, b) => (b === 4) - (a === 4) || a - b)) : "",
    needs: "", verified: false, text: "", sort: "", hide: false, wide: false,
  };
}

/** The setting that most rows are of. */
function usualSetting() {
  return mostFrequent(data.rows.map((row) => row.setting), (a, b) => (a < b ? -1 : 1));
}

/** Begin with a setting; the metric stays where the setting has it. */
function startSetting(setting, metric) {
  Object.assign(state, usualChoices(setting));
  if (metricsInSetting().some(([id]) => id === metric)) state.metric = metric;
  drawFilters();
}

/** Make a choice, remember it in the address, and draw. `typing` adds no step for the back button. */
function choose(choice, typing = false) {
  if ("setting" in choice) startSetting(choice.setting, state.metric);
  else Object.assign(state, choice);
  if ("metric" in choice && state.sort.includes("mean ")) state.sort = ""; // the order follows the metric
  writeAddress(typing);
  notify();
}

function notify() {
  for (const action of changed) action();
}

/** Every row that the filters leave; `all shots` is for plots against shots. */
function filtered(allShots = false) {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  return inSetting().filter((row) =>
    (!state.backbone || row.backbone === state.backbone)
    && (allShots || state.shots === "" || row.shots === 0 || String(row.shots) === state.shots)
    && (!state.needs || (state.needs === "-" ? !row.needs.length : row.needs.includes(state.needs)))
    && (!state.verified || row.verified)
    && words.every((word) => row.search.includes(word)));
}

/** The number of shots whose table is shown; null where rows of several are. */
const shotsShown = () => state.shots || (inSetting().some((row) => row.shots) ? null : "0");
