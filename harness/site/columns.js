// Columns of the table: their heads, values to sort by, cells, and the best row of each.

const SUMMARIES = 4; // columns of means, at most

/** The current columns. */
function columns(rows) {
  const metric = state.metric, places = domains();
  const models = distinct(rows.map((row) => row.backbone)).length;
  const ranked = models < 2 ? shotsShown() : null;
  return [
    { id: "rank", head: "Rank", says: "one more than the number of significantly better rows", value: (row) => rankOf(row, metric, ranked), up: true, cell: (row) => rankCell(row, ranked) },
    { id: "name", head: "Method", value: (row) => row.label, up: true, name: true, cell: nameCell },
    { id: "shots", head: "Shots", says: "few-shot images per class", value: (row) => row.shots, up: true, cell: (row) => h("td", { class: "side" }, row.shots || "–"), side: true },
    models > 1 && { id: "backbone", head: "Model", value: (row) => row.backbone, up: true, cell: (row) => modelCell(row.backbone), side: true, text: true },
    ...means(rows, places.length),
    ...(state.hide ? [] : places.map((domain, i) => ({
      id: `domain ${domain}`, domain, metric, up: lowerIsBetter.has(metric), head: shortDomain(domain), says: domain, group: `${metricName.get(metric)} of each domain`, edge: !i,
      value: (row) => ((row.domains[domain] || {})[metric] || [null])[0], cell: domainCell,
    }))),
    gainColumn(rows),
  ].filter(Boolean);
}

/** The chosen metric, then the usual ones. */
function means(rows, places) {
  const known = metricsInSetting().map(([id]) => id), usual = data.summary.filter((id) => known.includes(id));
  return distinct([state.metric, ...(usual.length ? usual : known).slice(0, SUMMARIES)]).map((metric, i) => {
    const comparable = together(rows, metric);
    return {
      id: `mean ${metric}`, metric, places, up: lowerIsBetter.has(metric), head: metricName.get(metric), says: metricMeaning.get(metric), group: "mean over domains", edge: !i,
      wide: !i, value: (row) => (comparable.has(row) ? row.mean[metric][0] : null), cell: meanCell,
    };
  });
}

/** Column -> its best rows; without rows where models or numbers of shots are mixed. */
function bestRows(rows, shown) {
  const alike = distinct(rows.map((row) => row.backbone)).length < 2 && shotsShown() !== null;
  return new Map(shown.filter((column) => column.metric).map((column) => [column.id, alike ? bestOf(rows, column) : new Set()]));
}

/** The rows with the best figure of a column, among those over the same images; none if all are equal. */
function bestOf(rows, column) {
  const comparable = together(rows, column.metric);
  const found = rows.filter((row) => comparable.has(row) && column.value(row) !== null);
  const values = found.map((row) => column.value(row)), best = column.up ? Math.min(...values) : Math.max(...values);
  return new Set(distinct(values).length > 1 ? found.filter((row) => column.value(row) === best) : []);
}

/** The domains of the chosen setting. */
function domains() {
  const known = new Set(inSetting().flatMap((row) => [...Object.keys(row.domains), ...row.holes.map((hole) => hole[0])]));
  return data.domains.filter((domain) => known.has(domain));
}

/** The column that rows are sorted by, and whether from the greatest down: by the chosen metric if nothing else is chosen. */
function ordering(shown) {
  const wanted = state.sort.replace(/^-/, "");
  const column = shown.find((one) => one.id === wanted) || shown.find((one) => one.id === `mean ${state.metric}`);
  const turned = state.sort.startsWith("-") && column.id === wanted;
  return { column, down: column.up ? turned : !turned };
}

/** Sort by a column; once more turns the order. */
function sortBy(column, now) {
  const turned = column === now.column && now.down === !column.up;
  const usual = column.id === `mean ${state.metric}` && !turned;
  state.sort = usual ? "" : `${turned ? "-" : ""}${column.id}`;
  writeAddress(false);
  drawTable();
}
