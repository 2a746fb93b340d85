"""The leaderboard files of the repository itself."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from harness.leaderboard.schema import json_schema
from harness.method import build, parameters
from harness.registry import load
from harness.types.leaderboard import Leaderboard

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("leaderboards/*/leaderboard.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_it_is_valid_and_written_by_the_harness(path):
    text = path.read_text(encoding="utf-8")
    jsonschema.validate(json.loads(text), json_schema())
    assert Leaderboard.model_validate_json(text).text() == text


def test_the_miniature_has_a_whole_row_of_every_method_of_this_distribution():
    board = Leaderboard.model_validate_json((ROOT / "leaderboards/beyond-mini/leaderboard.json").read_bytes())
    offered = {path.stem for path in (ROOT / "plugins").glob("[a-z]*.py")}
    assert {row.method for row in board.rows if row.complete} == offered


def test_its_rows_were_made_with_the_present_defaults():
    board = Leaderboard.model_validate_json((ROOT / "leaderboards/beyond-mini/leaderboard.json").read_bytes())
    for row in board.rows:
        if row.protocol == "clean-v1":
            present = json.loads(json.dumps(parameters(build(row.method, load("method", row.method).value))))
            assert row.method_record.parameters == present, row.method
