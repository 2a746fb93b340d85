"""Means over different domains: each says over how many, and they are never ranked or tested together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard.assemble import assemble
from harness.leaderboard.compare import between
from harness.leaderboard.tables import percent, signed
from harness.leaderboard.view import Sources, view
from harness.results.artifacts import Artifacts
from harness.types.leaderboard import Leaderboard

from ..makers import make_cell

NINE = tuple("ABCDEFGHI")


def board(name: str, value: float, domains: tuple[str, ...], **changes: Any) -> Leaderboard:
    return assemble([make_cell(value, domain=domain, method={"name": name}, **changes) for domain in domains])


def write(path: Path, *boards: Leaderboard) -> Path:
    path.write_text(Leaderboard(rows=tuple(row for one in boards for row in one.rows)).text())
    return path


def rank_of(*boards: Leaderboard) -> dict[str, tuple[int | None, str | None]]:
    rows = tuple(row for one in boards for row in one.rows)
    (table,) = view(Sources(rows, (Artifacts(lambda name: None),) * len(rows), {}, {}), "h_mean")
    return {made.row.method: (made.rank, made.not_ranked) for made in table.rows}


def test_a_row_over_other_domains_is_not_ranked() -> None:
    nine, food = board("zero_shot", 0.33, NINE), board("fsnl", 0.65, NINE[4:5])
    assert rank_of(nine, food) == {"zero_shot": (1, None), "fsnl": (None, "other domains")}, "the larger set is ranked"
    stray = rank_of(nine, board("coop", 0.4, NINE), board("fsnl", 0.65, (*NINE, "mine")))
    assert stray == {"coop": (1, None), "zero_shot": (2, None), "fsnl": (None, "other domains")}, "most rows are ranked"


@pytest.mark.parametrize("form", [(), ("--markdown",), ("--latex", "ranks")])
def test_every_form_says_over_how_many_domains_a_mean_is(tmp_path: Path, harness: Any, form: tuple[str, ...]) -> None:
    file = write(tmp_path / "a.json", board("zero_shot", 0.33, NINE), board("fsnl", 0.65, NINE[4:5]))
    code, out, _ = harness("leaderboard", "show", file, "--baseline", "zero_shot", *form)
    assert code == 0
    assert "65.0 (1 of 9 domains)" in out
    assert "33.0 (" not in out
    assert "seeds and 9 domains" in out
    assert "fsnl is not ranked: other domains" in out
    assert "fsnl is not tested: other domains" in out


def test_json_says_over_how_many_domains_a_mean_is(tmp_path: Path, harness: Any) -> None:
    file = write(tmp_path / "a.json", board("zero_shot", 0.33, NINE), board("fsnl", 0.65, NINE[4:5]))
    (table,) = json.loads(harness("leaderboard", "show", file, "--json")[1])
    assert tuple(table["domains"]) == NINE
    found = {row["method"]: (row["rank"], row["mean_over"], row["not_ranked"]) for row in table["rows"]}
    assert found == {"zero_shot": (1, 9, None), "fsnl": (None, 1, "other domains")}


def test_compared_means_say_over_how_many_domains_they_are(tmp_path: Path, harness: Any) -> None:
    nine, food = (
        write(tmp_path / "a.json", board("m", 0.33, NINE)),
        write(tmp_path / "b.json", board("m", 0.65, ("A",))),
    )
    out = harness("leaderboard", "compare", nine, food, "--markdown")[1]
    (mean,) = [line for line in out.splitlines() if line.startswith("| mean |")]
    assert "| 33.00 | 65.00 (1 of 9 domains) | - |" in mean
    (one,) = json.loads(harness("leaderboard", "compare", nine, food, "--json")[1])["comparisons"]
    assert one["domains"] == {"left": 9, "right": 1}
    assert one["figures"]["mean"]["h_mean"]["difference"] is None


def test_rows_with_other_seeds_say_so(tmp_path: Path, harness: Any) -> None:
    other = assemble([make_cell(0.4, domain=d, seed=s, method={"name": "coop"}) for d in NINE for s in (1, 2)])
    out = harness("leaderboard", "show", write(tmp_path / "a.json", board("fsnl", 0.3, NINE), other), "--markdown")[1]
    assert "- seeds 1: fsnl" in out
    assert "- seeds 1, 2: coop" in out
    alike = harness("leaderboard", "show", write(tmp_path / "b.json", board("fsnl", 0.3, NINE)), "--markdown")[1]
    assert "seeds 1" not in alike


def test_a_difference_that_is_not_zero_is_not_shown_as_zero() -> None:
    (pair,), _, _ = between(board("m", 0.23127, ("A",)), board("m", 0.23124, ("A",)))
    assert pair.json()["figures"]["A"]["h_mean"]["difference"] == 3e-05
    assert (percent(0.23127, 2), percent(0.23124, 2), signed(3e-05, 2)) == ("23.13", "23.12", "+0.003")
    assert (signed(0.0, 2), signed(-0.0004), signed(-0.123), percent(-0.0004)) == ("0.00", "-0.04", "-12.3", "0.0")
