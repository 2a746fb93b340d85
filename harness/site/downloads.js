// The rows of the table as files: CSV with every figure, and BibTeX of the benchmark and the methods.

/** A line for every row and domain, in the order of the table, with the columns of `harness leaderboard show --csv`. */
function csv(rows) {
  const ids = data.metrics.map(([id]) => id).filter((id) => rows.some((row) => Object.values(row.domains).some((of) => of[id])));
  const head = ["row", "method", "shots", "seeds", "protocol", "dataset", "backbone", "domain", ...ids, ...ids.map((id) => `${id}_std`), "failure"];
  const lines = rows.flatMap((row) => distinct([...Object.keys(row.domains), ...row.holes.map((hole) => hole[0])]).sort().map((domain) => {
    const figures = row.domains[domain] || {}, hole = holesOf(row, domain)[0];
    const column = (place) => ids.map((id) => (figures[id] ? figures[id][place] / (100 * PERCENT) : ""));
    const seeds = details(row.id).seeds.join(" ");
    return [row.id, row.method, row.shots, seeds, row.protocol, row.dataset, row.backbone, domain, ...column(0), ...column(1), hole ? `${hole[2]}: ${hole[3]}` : ""];
  }));
  const quoted = (value) => (/[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  return [head, ...lines].map((line) => `${line.map(quoted).join(",")}\n`).join("");
}

/** An entry for the benchmark, then one for every paper of the methods. */
function bibtex(rows) {
  const papers = rows.map((row) => (data.links[row.method] || {}).bibtex).filter(Boolean);
  return distinct([data.benchmark.bibtex, ...papers.sort()]).join("\n");
}

function save(name, kind, text) {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type: kind })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function startDownloads() {
  const shown = () => sorted(filtered(), ordering(columns(filtered())));
  tip(byId("csv"), () => "The rows below with all metrics, a line for every row and domain");
  tip(byId("bibtex"), () => "How to cite the benchmark and the methods below");
  byId("csv").addEventListener("click", () => save("leaderboard.csv", "text/csv", csv(shown())));
  byId("bibtex").addEventListener("click", () => save("leaderboard.bib", "application/x-bibtex", bibtex(shown())));
}
