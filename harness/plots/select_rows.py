"""Select the rows of one figure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import UserError, unknown_name
from harness.leaderboard.row_settings import setting, unique_titles
from harness.leaderboard.view import Sources
from harness.metrics.table import require_metric
from harness.plots.looks import REFERENCE
from harness.types.leaderboard import Row


def one_setting(
    rows: Sequence[Row], protocol: str | None = None, dataset: str | None = None, backbone: str | None = None
) -> list[Row]:
    """The rows of one setting: measured by the same rule on the same data and model.

    Args:
        rows: of any setting.
        protocol: its name, or its unique name among the rows; None for any, also for the next two.
        dataset: its name.
        backbone: its name, or its unique name among the rows.

    Raises:
        UserError: none is left, or more than one setting is.
    """
    wanted = {"--protocol": protocol, "--dataset": dataset, "--backbone": backbone}
    names = unique_titles(map(setting, rows))
    called = {row.id: names[setting(row)] for row in rows}
    plain = {row.id: (row.protocol, row.dataset, row.backbone) for row in rows}
    chosen = [
        row
        for row in rows
        if all(v in (None, *own) for v, *own in zip(wanted.values(), plain[row.id], called[row.id], strict=True))
    ]
    if not chosen:
        asked = " ".join(f"{option} {value}" for option, value in wanted.items() if value)
        known = "; ".join(sorted({" ".join(called[row.id]) for row in rows}))
        raise UserError(f"no row {'matches ' + asked if asked else 'in these files'}", f"known: {known or 'none'}")
    for option, values in zip(wanted, zip(*(called[row.id] for row in chosen), strict=True), strict=True):
        if len(set(values)) > 1:
            raise UserError(
                f"the rows differ in what the rows of a figure must share: {', '.join(sorted(set(values)))}",
                f"choose one with {option}",
            )
    return chosen


def with_reference(sources: Sources, methods: Sequence[str], shots: Sequence[int] = ()) -> Sources:
    """The rows of some methods and numbers of shots, and with ``methods`` those of the reference method too.

    Raises:
        UserError: no row has such a method, or such a number of shots.
    """
    has_reference = any(row.method == REFERENCE for row in sources.rows)
    return sources.select(methods, shots, REFERENCE if has_reference else None) if methods or shots else sources


def shots_rows(
    rows: Sequence[Row],
    metric: str,
    protocol: str | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
) -> list[Row]:
    """The rows of one setting that have a metric, to plot against shots; see ``one_setting``.

    Raises:
        UserError: no metric has this name, no few-shot row has it, or the rows are of several settings.
    """
    require_metric(metric)
    there = [row for row in rows if any(metric in stats for stats in row.domains.values())]
    chosen = one_setting(there or rows, protocol, dataset, backbone)
    if not there or not any(row.shots for row in chosen):
        raise UserError(f"no few-shot row has {metric}", "run `harness evaluate --shots 1,2,4,8,16` first")
    return chosen


def method_rows(rows: Sequence[Row], method: str, protocol: str | None = None) -> list[Row]:
    """The rows of one method, ordered by data set, backbone and protocol.

    Raises:
        UserError: there is none, or none of the protocol.
    """
    found = [row for row in rows if row.method == method]
    if not found:
        raise unknown_name("method in these files", method, {row.method for row in rows})
    chosen = [row for row in found if protocol in (None, row.protocol)]
    if not chosen:
        raise unknown_name(f"protocol in the rows of {method}", str(protocol), {row.protocol for row in found})
    return sorted(chosen, key=lambda row: (row.dataset, row.backbone, row.protocol))


def one_shots(rows: Sequence[Row]) -> list[Row]:
    """Rows of one number of shots, and those without few-shot images.

    Raises:
        UserError: there are several numbers.
    """
    there = sorted({row.shots for row in rows if row.shots})
    if len(there) > 1:
        raise UserError(f"the rows have {', '.join(map(str, there))} shots", "choose one number with --shots")
    return list(rows)
