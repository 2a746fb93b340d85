"""Rows of other weights, or of another edition of a plugin's rule, share no table, no test and no figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard.compare import between, pair
from harness.leaderboard.row_settings import by_setting, setting, unique_titles
from harness.leaderboard.view import Sources, view
from harness.site.payload import payload
from harness.types.cell import Cell
from harness.types.leaderboard import Leaderboard

from ..makers import make_preprocessing, sha
from ..plots.boards import board, grid, write
from ..plots.test_figures import words
from ..site.test_page import Nothing

WEIGHTS = [{"backbone": {"pretrained": "last.safetensors", "weights_sha256": sha(name)}} for name in ("wa", "wb")]
RULES = [
    {"protocol": "few", "versions": {"protocol few": f"hooky 0.1.0 {sha(name)}", "torch": "2"}} for name in ("ra", "rb")
]
MODELS = [{"versions": {"backbone beyond-mini": f"hooky {version} {sha(version)}"}} for version in ("1", "2")]


def cells(changes: dict[str, Any], value: float = 0.2) -> list[Cell]:
    def fresh() -> dict[str, Any]:  # makers take their dicts apart
        return {key: dict(inner) if isinstance(inner, dict) else inner for key, inner in changes.items()}

    return grid("zero_shot", 0, value, **fresh()) + grid("fsnl", 4, value + 0.1, **fresh())


CONFIGS = [{"backbone": {"config": sha(name)}} for name in ("ca", "cb")]
PREPARED = [{"backbone": {"preprocessing": make_preprocessing(resize_mode=mode)}} for mode in ("squash", "shortest")]


@pytest.fixture(params=[WEIGHTS, RULES, CONFIGS, PREPARED], ids=["weights", "rules", "configs", "preprocessing"])
def both(request: pytest.FixtureRequest) -> Leaderboard:
    """Zero-shot and a method, each with either of two things of one name."""
    first, second = request.param
    return board(cells(first) + cells(second, 0.5))


def test_each_has_a_table_and_a_baseline_of_its_own(both: Leaderboard) -> None:
    tables = view(Sources(both.rows, (Nothing(),) * 4, {}, {}), "oop_top1", "zero_shot")  # type: ignore[arg-type]
    assert len({table.title for table in tables}) == len(tables) == 2
    for table in tables:
        assert sorted(made.row.method for made in table.rows) == ["fsnl", "zero_shot"]
        assert {setting(made.row) for made in table.rows} == {table.setting}
        (test,) = [made.test for made in table.rows if made.row.method == "fsnl"]
        assert test is not None
        assert test.difference == pytest.approx(0.1), "from the zero-shot of its own table"


def test_a_backbone_plugin_in_two_editions_is_one_model_if_its_weights_are() -> None:
    both = board([cell for change in MODELS for cell in cells(change)])
    assert len(by_setting(both.rows)) == 1


def test_they_are_set_beside_each_other_but_not_subtracted(both: Leaderboard) -> None:
    a, b = (Leaderboard(rows=tuple(rows)) for rows in by_setting(both.rows).values())
    found, _, _ = between(a, b)
    assert len(found) == 2
    for one in found:
        (reason,) = one.reasons
        assert reason.startswith(
            (
                *("other weights (", "other edition of the protocol: ", "other edition of the backbone: "),
                *("other configuration of the backbone: ", "other preprocessing: "),
            )
        )
        figures = one.json()["figures"].values()
        assert {figure["difference"] for place in figures for figure in place.values()} == {None}


def test_rows_are_paired_with_those_of_their_own_setting(both: Leaderboard) -> None:
    later = [row.model_copy(update={"device": "cuda (H200)"}) for row in reversed(both.rows)]
    pairs, *left = pair(both.rows, later)
    assert left == [[], []]
    assert all(one.backbone_record == other.backbone_record and one.versions == other.versions for one, other in pairs)


def test_page_names_and_ranks_them_separately(both: Leaderboard) -> None:
    table = payload(Sources(both.rows, (Nothing(),) * 4, {}, {})).table  # type: ignore[arg-type]
    names = {one["id"]: (one["protocol"], one["backbone"]) for one in table["rows"]}
    assert len(set(names.values())) == 2
    assert {one["ranks"]["oop_top1"]["4"] for one in table["rows"] if one["method"] == "fsnl"} == {1}
    assert {one["printed"] for one in table["rows"]} == {row.backbone for row in both.rows}


def test_only_where_names_collide_a_hash_tells_apart() -> None:
    def names(*changes: dict[str, Any]) -> set[tuple[str, ...]]:
        rows = board([cell for change in changes for cell in cells(change)]).rows
        return set(unique_titles(map(setting, rows)).values())

    alone = ("few", "beyond-mini", "beyond-mini/beyond-mini")
    assert names(RULES[0]) == {alone}
    assert names(RULES[0], {}, WEIGHTS[0]) == {
        alone,
        ("clean-v1", *alone[1:]),
        ("clean-v1", "beyond-mini", "beyond-mini/last.safetensors"),
    }
    assert names(*RULES, {}) == {
        ("clean-v1", *alone[1:]),
        *((f"few (hooky 0.1.0 {sha(name)[:12]})", *alone[1:]) for name in ("ra", "rb")),
    }
    assert names({}, WEIGHTS[0], WEIGHTS[1]) == {
        ("clean-v1", *alone[1:]),
        *(("clean-v1", "beyond-mini", f"beyond-mini/last.safetensors ({sha(name)[:12]})") for name in ("wa", "wb")),
    }
    prepared = "64x64 pixels, {}, bicubic, mean 0.4815 0.4578 0.4082, std 0.2686 0.2613 0.2758"
    assert names(*PREPARED) == {
        ("clean-v1", "beyond-mini", f"beyond-mini/beyond-mini ({prepared.format(mode)})")
        for mode in ("squash", "shortest")
    }


def test_the_command_says_what_each_tables_rows_have_in_common(tmp_path: Path, harness: Any) -> None:
    file = write(cells(WEIGHTS[0]) + cells(WEIGHTS[1]), tmp_path / "leaderboard.json")
    code, out, _ = harness("leaderboard", "show", file, "--json")
    assert code == 0
    assert {table["weights"] for table in json.loads(out)} == {sha("wa"), sha("wb")}
    code, out, _ = harness("leaderboard", "show", file, "--markdown")
    assert [line.count(sha(name)[:12]) for name in ("wa", "wb") for line in out.splitlines()].count(1) == 2


def test_a_figure_is_of_one_of_them(tmp_path: Path, harness: Any) -> None:
    file, out = write(cells(WEIGHTS[0]) + cells(WEIGHTS[1], 0.5), tmp_path / "leaderboard.json"), tmp_path / "a.svg"
    name = "beyond-mini/last.safetensors"
    for words_ in ((), ("--backbone", name)):
        code, _, err = harness("plot", "shots", file, "--out", out, *words_)
        assert code == 2
        assert f"{name} ({sha('wb')[:12]})" in " ".join(err.split())
        assert "choose one with --backbone" in err
    assert harness("plot", "shots", file, "--out", out, "--backbone", f"{name} ({sha('wb')[:12]})")[0] == 0
    assert harness("plot", "zero-shot", file, "--out", out)[0] == 0
    assert {sha("wa")[:12], sha("wb")[:12]} <= {part.strip("(),") for text in words(out) for part in text.split()}
