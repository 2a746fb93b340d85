"""Select the rows of one figure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import UserError
from harness.leaderboard.row_settings import setting, unique_titles
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
