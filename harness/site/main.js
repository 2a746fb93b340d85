// Start: the setting with most rows, then everything that depends on what is chosen.

function start() {
  const settings = distinct(data.rows.map((row) => row.setting));
  const size = (setting) => data.rows.filter((row) => row.setting === setting).length;
  const wanted = data.rows.find((row) => location.hash === `#row=${row.id}`);
  state.setting = wanted ? wanted.setting : settings.sort((a, b) => size(b) - size(a) || (a < b ? -1 : 1))[0];
  order.key = "";
  changed.push(drawTable, drawShots, drawCost, drawPublished);
  startSetting();
  notify();
  byId("metrics").replaceChildren(...data.metrics.flatMap(([, name, what]) => [h("dt", {}, name), h("dd", {}, what)]));
  addEventListener("resize", settled(drawCost, 150));
  startTable();
  startTips();
  startRow();
}

start();
