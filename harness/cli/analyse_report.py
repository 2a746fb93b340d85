"""Print what the commands of ``harness analyse`` find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.analysis.effective_gain import EffectiveGain, LogitFit, effective_gains
from harness.analysis.modality_gap import ModalityGap
from harness.analysis.name_familiarity import Correlation, correlation
from harness.cli import console
from harness.cli.print_tables import print_in_parts
from harness.datasets.layout import short_name
from harness.errors import UserError
from harness.leaderboard.series import row_labels
from harness.leaderboard.tables import percent, signed
from harness.types.leaderboard import Row

if TYPE_CHECKING:
    from harness.analysis.spaces import NamesReport
    from harness.datasets.domain import DomainData

Gaps = Mapping[str, ModalityGap]


def show_gains(rows: Sequence[Row], plain: str, joint: bool, as_json: bool) -> int:
    """Print the effective gain of rows, a table for each protocol and data set; plain rows are of any backbone."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.protocol, row.dataset), []).append(row)
    made: dict[tuple[str, str], tuple[LogitFit, list[EffectiveGain]]] = {}
    problem: UserError | None = None
    for key, group in groups.items():
        try:
            made[key] = effective_gains(group, plain, joint)
        except UserError as error:
            problem = error
    if not made:
        raise problem or UserError("these files hold no row", "run `harness evaluate --all-domains` first")
    by_id, labels = {row.id: row for row in rows}, row_labels(rows)
    if as_json:
        console.document([_gain_record(*key, *found, by_id) for key, found in made.items()])
        return 0
    for (protocol, dataset), (fit, gains) in made.items():
        domains = sorted({domain for gain in gains for domain in gain.domains})
        columns = ["method", "shots", *map(short_name, domains), "mean", "row"]
        lines = [
            [labels[g.row], str(by_id[g.row].shots or "-"), *(_of(g, d) for d in domains), signed(g.mean), g.row]
            for g in gains
        ]
        title = f"{dataset}, {protocol}: effective OOP gain{' among all names' * joint}"
        note = f"percentage points of OOP accuracy above {fit.equation(plain)}"
        print_in_parts(title, columns, lines, 1, [note])
    return 0


def _of(gain: EffectiveGain, domain: str) -> str:
    return signed(gain.domains[domain][2]) if domain in gain.domains else "-"


def _gain_record(
    protocol: str, dataset: str, fit: LogitFit, gains: Sequence[EffectiveGain], rows: Mapping[str, Row]
) -> dict[str, Any]:
    keys = ("ip", "oop", "gain")
    return {
        "protocol": protocol,
        "dataset": dataset,
        "fit": fit._asdict(),
        "rows": [
            {
                "row": gain.row,
                "method": rows[gain.row].method,
                "backbone": rows[gain.row].backbone,
                "shots": rows[gain.row].shots,
                "gain": gain.mean,
                "domains": {domain: dict(zip(keys, found, strict=True)) for domain, found in gain.domains.items()},
            }
            for gain in gains
        ],
    }


def show_names(
    reports: Mapping[str, NamesReport], domains: Mapping[str, DomainData], rows: Sequence[Row], as_json: bool
) -> int:
    """Print how names describe domains, and how familiar OOP names are."""
    others = {row.id: _correlations(row, reports, domains) for row in rows}
    others = {row: found for row, found in others.items() if found}
    if as_json:
        by_id = {row.id: row.method for row in rows}
        of_rows = [
            {"row": row, "method": by_id[row], "correlation": {d: c._asdict() for d, c in found.items()}}
            for row, found in others.items()
        ]
        console.document({"domains": {d: _names_record(report) for d, report in reports.items()}, "rows": of_rows})
        return 0
    _show_described(reports)
    _show_familiar(reports, others, rows)
    return 0


def _show_described(reports: Mapping[str, NamesReport]) -> None:
    lines = [
        [short_name(domain), side.upper(), f"{one.images:,}", *map(percent, (one.own, one.every, one.within))]
        for domain, report in reports.items()
        for side, one in report.described.items()
    ]
    columns = ["domain", "side", "images", "own names", "all names", "in the domain"]
    note = (
        "percent right among the domain's names, right among the names of all domains, and given a name of the domain"
    )
    print_in_parts("text describability: zero-shot", columns, lines, 2, [note])


def _show_familiar(
    reports: Mapping[str, NamesReport], others: Mapping[str, Mapping[str, Correlation]], rows: Sequence[Row]
) -> None:
    lines = []
    for domain, report in reports.items():
        if report.correlated is not None:
            nearest = max(report.familiar, key=lambda name: report.familiar[name])
            mean = sum(report.familiar.values()) / len(report.familiar)
            own = (_signed(value) for value in report.correlated[1:])
            lines.append([short_name(domain), f"{mean:.3f}", f"{nearest} ({report.familiar[nearest]:.3f})", *own])
    if not lines:
        return
    columns = ["domain", "mean", "nearest OOP name", "r", "rank r"]
    note = "r: correlation with zero-shot accuracy over OOP classes, of values and of ranks"
    print_in_parts("familiarity of OOP names: cosine to the nearest IP name", columns, lines, 3, [note])
    if others:
        labels = row_labels(rows)
        of_rows = [
            [labels[row], *(_signed(found[d].pearson) if d in found else "-" for d in reports), row]
            for row, found in others.items()
        ]
        heads = ["method", *map(short_name, reports), "row"]
        print_in_parts("correlation of familiarity with accuracy over OOP classes", heads, of_rows, 1)


def _correlations(
    row: Row, reports: Mapping[str, NamesReport], domains: Mapping[str, DomainData]
) -> dict[str, Correlation]:
    """Domain -> familiarity with a row's accuracy over classes, where the row is of the same data."""
    return {
        domain: correlation(list(report.familiar.values()), row.per_class[domain]["oop"])  # type: ignore[arg-type]
        for domain, report in reports.items()
        if report.familiar
        and "oop" in row.per_class.get(domain, {})
        and row.data[domain].fingerprint == domains[domain].sheet.fingerprint
    }


def _names_record(report: NamesReport) -> dict[str, Any]:
    return {
        "describability": {side: one._asdict() for side, one in report.described.items()},
        "familiarity": report.familiar,
        "correlation": None if report.correlated is None else report.correlated._asdict(),
    }


def show_gap(
    before: Mapping[str, Gaps], after: Mapping[str, Gaps | str] | None, plugin: str | None, as_json: bool
) -> int:
    """Print the modality gap of domains, before and after a method learned; exit code 1 if it has no class vectors."""
    failed = {domain: why for domain, why in (after or {}).items() if isinstance(why, str)}
    learned = {domain: gaps for domain, gaps in (after or {}).items() if not isinstance(gaps, str)}
    if as_json:
        document = {
            "before": {domain: _gap_record(gaps) for domain, gaps in before.items()},
            "after": {domain: _gap_record(gaps) for domain, gaps in learned.items()},
            "failures": failed,
        }
        console.document(document)
        return 1 if failed else 0
    columns = ["domain", "side", "names", "distance", "separable", "alignment", "images", "uniform names"]
    lines = [
        [short_name(domain), side.upper(), which, *_gap_cells(gap)]
        for domain in before
        for side in before[domain]
        for which, gaps in (("prompts", before[domain]), (plugin or "", learned.get(domain, {})))
        if (gap := gaps.get(side)) is not None
    ]
    note = (
        "distance of the centroids; balanced accuracy of telling images from names (%); mean squared distance of an "
        "image to its name; uniformity of images and of names (lower is more even)"
    )
    print_in_parts("modality gap of images and names", columns, lines, 3, [note])
    for why in dict.fromkeys(failed.values()):
        console.err().print(why, style="yellow", markup=False)
    return 1 if failed else 0


def _gap_cells(gap: ModalityGap) -> list[str]:
    spread = ("-" if value is None else f"{value:.2f}" for value in (gap.image_uniformity, gap.name_uniformity))
    return [f"{gap.distance:.3f}", percent(gap.separability), f"{gap.alignment:.3f}", *spread]


def _gap_record(gaps: Gaps) -> dict[str, Any]:
    return {side: gap._asdict() for side, gap in gaps.items()}


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
