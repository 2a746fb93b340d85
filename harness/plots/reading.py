"""The rows that may stand in one figure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import UserError
from harness.leaderboard.settings import setting
from harness.types.leaderboard import Row


def one_setting(
    rows: Sequence[Row], protocol: str | None = None, dataset: str | None = None, backbone: str | None = None
) -> list[Row]:
    """The rows of one setting: what is compared in a figure was measured by the same rule on the same data and model.

    Raises:
        UserError: none is left, or more than one setting is.
    """
    wanted = {"--protocol": protocol, "--dataset": dataset, "--backbone": backbone}
    chosen = [
        row for row in rows if all(v in (None, own) for v, own in zip(wanted.values(), setting(row), strict=True))
    ]
    if not chosen:
        asked = " ".join(f"{option} {value}" for option, value in wanted.items() if value)
        known = "; ".join(sorted({" ".join(setting(row)) for row in rows}))
        raise UserError(f"no row {'matches ' + asked if asked else 'in these files'}", f"known: {known or 'none'}")
    for option, values in zip(wanted, zip(*map(setting, chosen), strict=True), strict=True):
        if len(set(values)) > 1:
            raise UserError(
                f"the rows differ in what a figure must have in common: {', '.join(sorted(set(values)))}",
                f"choose one with {option}",
            )
    return chosen
