// Data of the page. Figures are [mean, deviation, seeds, low, high] in hundred-thousandths of a percent; seeds is 0 for a
// row that depends on none.

const PERCENT = 100000;

const data = JSON.parse(byId("table-data").textContent);
const metricName = new Map(data.metrics.map(([id, name]) => [id, name]));
const metricMeaning = new Map(data.metrics.map(([id, , meaning]) => [id, meaning]));
const lowerIsBetter = new Set(data.metrics.filter(([, , , higher]) => !higher).map(([id]) => id));
const shortDomain = (domain) => (Object.hasOwn(data.short, domain) ? data.short[domain] : domain);

for (const row of data.rows) {
  row.setting = JSON.stringify([row.protocol, row.dataset]);
  row.search = [row.label, row.backbone, row.protocol, row.dataset, ...row.needs].join(" ").toLowerCase();
}

let parsed = null;
/** The record of a row; all records are read when the first one is asked for. */
function details(id) {
  parsed ||= JSON.parse(byId("details-data").textContent);
  return parsed.rows[id];
}
const pooled = (place) => parsed.pool[place];

/** In percent; halfway (only eighths are, exactly) to the even digit, as everywhere else in the harness. */
function percent(points, digits = 1) {
  const value = points / PERCENT, scaled = value * 10 ** digits;
  const halfway = (value * 8) % 1 === 0 && Math.abs(scaled % 1) === 0.5;
  return (halfway ? 2 * Math.round(scaled / 2) / 10 ** digits : value).toFixed(digits);
}

/** A figure in words: mean, deviation, seeds and interval. */
function inWords(figure) {
  const [mean, deviation, seeds, low, high] = figure;
  let text = `${percent(mean, 2)} %`;
  if (seeds > 1) text += ` ± ${percent(deviation, 2)} over ${seeds} seeds`;
  else if (seeds === 1) text += ", one seed";
  else if (seeds === 0) text += ", the same with every seed";
  if (low !== undefined) text += `, 95 % interval ${percent(low, 2)} to ${percent(high, 2)}`;
  return text;
}

/** Range of a figure: its interval, or one deviation on either side. */
function reach([mean, deviation, , low, high]) {
  return low === undefined ? [mean - (deviation || 0), mean + (deviation || 0)] : [low, high];
}

const holesOf = (row, domain) => row.holes.filter((hole) => hole[0] === domain);
const holeInWords = ([domain, seed, kind, reason]) =>
  `${domain}${seed === null ? "" : `, seed ${seed}`}: ${kind === "missing" ? reason : `${kind}: ${reason}`}`;

/** Rank of a row in the table with that number of shots; null if it has none, or without a table. */
const rankOf = (row, metric, shots) => (row.ranks[metric] || {})[shots] ?? null;

/** The largest group of complete rows whose means are over the same images; only these are comparable. */
function together(rows, metric) {
  const groups = new Map();
  for (const row of rows.filter((row) => row.mean[metric])) groups.set(row.images, [...(groups.get(row.images) || []), row]);
  const size = (group) => [group.length, Object.keys(group[0].domains).length];
  const [first, second] = [...groups.values()].sort((a, b) => size(b)[0] - size(a)[0] || size(b)[1] - size(a)[1]);
  return new Set(!first || (second && String(size(first)) === String(size(second))) ? [] : first);
}

const distinct = (values) => [...new Set(values)];
const byNumber = (a, b) => a - b;
