// The form of filters above the table, and the choice of panels.

function select(name, title, wide, options) {
  const field = h("select", { name, id: `by-${name}` }, options.map(([value, text]) => h("option", { value }, text)));
  field.value = state[name];
  field.addEventListener("change", () => choose({ [name]: field.value }));
  return h("label", { class: wide ? "wide" : null }, title, field);
}

function check(name, title, shown = state[name], made = (checked) => checked) {
  const field = h("input", { type: "checkbox", name, id: `by-${name}` });
  field.checked = shown;
  field.addEventListener("change", () => choose({ [name]: made(field.checked) }));
  return h("label", { class: "check" }, field, title);
}

function search() {
  const field = h("input", { type: "search", name: "text", id: "by-text", autocomplete: "off", placeholder: "method, parameter, model" });
  field.value = state.text;
  const later = settled(() => choose({ text: field.value }, true), 80);
  field.addEventListener("input", later);
  return h("label", { class: "wide" }, "Search", field);
}

function drawFilters() {
  const rows = inSetting();
  const settings = distinct(data.rows.map((row) => row.setting)).sort();
  const shots = distinct(rows.map((row) => row.shots)).filter(Boolean).sort(byNumber);
  const models = distinct(rows.map((row) => row.backbone)).sort();
  const needs = distinct(rows.flatMap((row) => row.needs)).sort();
  const focused = document.activeElement && document.activeElement.id;
  const reset = h("button", { type: "button", class: "plain", id: "reset" }, "Reset");
  reset.addEventListener("click", () => {
    startSetting(state.setting);
    choose({});
    byId("by-text").focus();
  });
  byId("filters").replaceChildren(
    select("setting", "Protocol and data", true, settings.map((value) => [value, JSON.parse(value).join(" · ")])),
    select("metric", "Metric", false, metricsInSetting().map(([id, name]) => [id, name])),
    select("shots", "Images per class", false, [["", "any"], ...shots.map((n) => [String(n), String(n)])]),
    select("backbone", "Model", false, [["", "any"], ...models.map((model) => [model, model])]),
    select("needs", "Method may see", false, [["", "anything"], ["-", "names only"], ...needs.map((need) => [need, need])]),
    search(),
    check("verified", "verified only"),
    reset,
  );
  byId("toggles").replaceChildren(check("hide", "domains", !state.hide, (checked) => !checked), check("wide", "wide panels"));
  if (focused && byId(focused)) byId(focused).focus();
}

/** What is chosen, in the line that opens the filters on a phone. */
function drawChosen() {
  const shots = state.shots ? `${state.shots} images per class` : "any number of images";
  byId("chosen").textContent = [metricName.get(state.metric), shots, state.text].filter(Boolean).join(" · ");
  document.body.classList.toggle("wide-panels", state.wide);
}
