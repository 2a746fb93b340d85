"""Each of many hostile methods is contained and named: it harms itself alone, and the run ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import LONGEST
from harness.metrics.built_in import BUILT_IN

from . import hostile
from .hostile import ZOO
from .installed import install

pytestmark = pytest.mark.slow

GENTLE, WILD, ENDLESS = (
    [name for name, animal in ZOO.items() if (animal.wild, animal.endless) == kind]
    for kind in ((False, False), (True, False), (True, True))
)


OF_CONFIDENCE = {name for name, one in BUILT_IN.items() if any("confidence" in kind for kind in one.needs)}
"""Metrics that depend on the size of scores, not on their order alone."""


@pytest.fixture
def animals(site: Path) -> None:
    """The site with the zoo: gentle ones are of one distribution, and each wild one of its own, as ``tame`` is."""
    code = Path(hostile.__file__).read_text(encoding="utf-8")
    for name in (*ZOO, "tame"):
        own = f"zoo-{name}".replace("_", "-") if name not in GENTLE else "zoo"
        install(site, "hostile", code, name=name, value=f"hostile:offers.{name}", distribution=own)


@pytest.mark.parametrize(
    ("names", "how"),
    [
        pytest.param(GENTLE, (), id="gentle"),
        pytest.param(WILD, (), id="wild"),
        pytest.param(WILD + ENDLESS, ("--isolate", "--cell-timeout", "8"), id="wild and isolated"),
    ],
)
def test_hostile_methods_harm_themselves_alone(
    animals: None, evaluate: Any, tmp_path: Path, names: list[str], how: tuple[str, ...]
) -> None:
    answer = evaluate("--plugin", ",".join([*names, "tame"]), *how)
    rows = {row["method"]: row for row in answer.json["rows"]}
    assert answer.code == 1
    assert set(rows) == {*names, "tame", "zero_shot"}
    honest = rows["zero_shot"]["mean"]
    wrong = {name: fault for name in (*names, "tame") if (fault := unlike(rows[name], name, honest, answer.err))}
    assert wrong == {}
    assert "Traceback" not in answer.err
    longest = max(map(len, answer.err.splitlines()))
    assert longest < 2 * LONGEST, "a message is bounded"
    assert (tmp_path / "results" / "leaderboard.json").stat().st_size < 2**20


def unlike(row: dict[str, Any], name: str, honest: dict[str, Any], notes: str) -> str:
    """How the row of a method is unlike what the zoo says of it; empty if it is not."""
    animal = ZOO.get(name, hostile.Animal(hostile.Tame))
    if animal.note and f": {name}{animal.note}" not in notes:
        return "no note"
    if not animal.reason:
        same = [metric for metric in honest if not (animal.scaled and metric in OF_CONFIDENCE)]
        good = row["complete"] and all(row["mean"][metric] == honest[metric] for metric in same)
        return "" if good else f"{row['failures']} {row['mean']}"
    reasons = {failure["reason"] for failure in row["failures"]}
    begin = f"{name}{animal.reason}" if animal.reason[0] in " .:" else animal.reason
    if row["complete"] or row["mean"] or not reasons:
        return "has a score"
    return "" if all(reason.startswith(begin) for reason in reasons) else str(reasons)


def test_the_zoo_is_large() -> None:
    assert len(ZOO) >= 60
