// The reader's choices in the address, after the #: a link shows the same table, and the back button undoes a choice.

const FLAGS = ["verified", "hide", "wide"];
const TEXTS = ["metric", "shots", "backbone", "needs", "text", "sort"];
const ANY = "any"; // in the address; in a choice it is ''

/** The address of the choices; what is as usual is left out. */
function address(row) {
  const usual = usualChoices(state.setting), [protocol, dataset] = JSON.parse(state.setting);
  const words = new URLSearchParams();
  if (state.setting !== usualSetting()) words.set("protocol", protocol), words.set("data", dataset);
  for (const name of TEXTS) if (state[name] !== usual[name]) words.set(name, state[name] || ANY);
  for (const name of FLAGS) if (state[name]) words.set(name, "1");
  if (row) words.set("row", row);
  return `#${words}`;
}

function writeAddress(replace, row) {
  const target = address(row);
  if (target === (location.hash || "#")) return;
  history[replace ? "replaceState" : "pushState"](null, "", target === "#" ? location.pathname + location.search : target);
}

const inAddress = () => new URLSearchParams(location.hash.slice(1));

/** Take over the choices of the address; a row alone brings its own setting. Unknown values are left out. */
function readAddress() {
  const given = inAddress();
  const row = data.rows.find((one) => one.id === given.get("row"));
  const settings = distinct(data.rows.map((one) => one.setting));
  const named = JSON.stringify([given.get("protocol"), given.get("data")]);
  Object.assign(state, usualChoices(settings.includes(named) ? named : row ? row.setting : usualSetting()));
  const known = {
    metric: metricsInSetting().map(([id]) => id), shots: inSetting().map((one) => String(one.shots)), backbone: inSetting().map((one) => one.backbone),
    needs: ["-", ...inSetting().flatMap((one) => one.needs)],
  };
  for (const name of TEXTS) {
    const value = given.get(name);
    if (value !== null && (value === ANY || !known[name] || known[name].includes(value))) state[name] = value === ANY ? "" : value;
  }
  if (!state.metric) state.metric = usualChoices(state.setting).metric;
  for (const name of FLAGS) state[name] = given.get(name) === "1";
}

/** Show what the address says: at the start, and after the back button. */
function followAddress() {
  const focused = document.activeElement;
  readAddress();
  drawFilters();
  notify();
  if (focused && focused.isConnected) focused.focus({ preventScroll: true }); // the table was filled anew
  const wanted = inAddress().get("row");
  if (wanted && data.rows.some((row) => row.id === wanted)) openRow(wanted);
  else if (byId("row").open) byId("row").close();
}
