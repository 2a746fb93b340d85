// Start: what the address says, and everything that depends on what is chosen.

function start() {
  changed.push(drawChosen, drawTable, drawShots, drawCost, drawPublished);
  byId("filter-box").open = innerWidth > 640; // on a phone the table comes first
  byId("links").replaceChildren(...["paper", "data", "released code"].map((name) => h("li", {}, linkTo(data.benchmark[name], name))));
  byId("metrics").replaceChildren(...data.metrics.flatMap(([, name, what]) => [h("dt", {}, name), h("dd", {}, what)]));
  startTable();
  startTips();
  startRow();
  startDownloads();
  followAddress();
  addEventListener("popstate", followAddress);
  addEventListener("resize", settled(drawCost, 150));
}

start();
