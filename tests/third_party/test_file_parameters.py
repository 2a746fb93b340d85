"""A method that reads a file: its results name the content, and are reproduced only with it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from .installed import install

READS = """
import json
from dataclasses import dataclass
import torch
from harness import File
from harness.hookspecs import hookimpl
from harness.method import Method

@dataclass
class Reads(Method):
    \"\"\"Scores by a table that a file holds: name -> weight.\"\"\"

    table: File | None = None

    def fit(self, task):
        self.weight_ = json.loads(self.table.read_text()) if self.table else {}
        assert not self.table or json.loads(self.table.path.read_text()) == self.weight_
        return self

    def scores(self, images, vocabulary):
        return torch.tensor([float(self.weight_.get(name, 0)) for name in vocabulary.names]).repeat(len(images), 1)

@hookimpl
def harness_method():
    return Reads
"""


@pytest.fixture
def table(site: Path, tmp_path: Path) -> Path:
    """A table for the method ``reads``, which is installed; it prefers an OOP name."""
    install(site, "reads", READS)
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"ibex": 1}))
    return path


def only(answer: Any) -> dict[str, Any]:
    (row,) = (row for row in answer.json["rows"] if row["method"] == "reads")
    return dict(row)


def test_another_content_is_another_result_and_each_row_names_its_own(table, evaluate, harness, tmp_path):
    words = ("--plugin", "reads", "--baseline", "none", "--workers", "1")
    first = only(evaluate(*words, "-p", f"table={table}"))
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert first["method_record"]["parameters"] == {"table": {"file": "table.json", "sha256": digest}}
    other = tmp_path / "elsewhere" / "table.json"
    other.parent.mkdir()
    other.write_bytes(table.read_bytes())
    again = evaluate(*words, "-p", f"table={other}")
    assert only(again) == first, "the same content somewhere else"
    assert len(list((tmp_path / "results").glob("cells/*/*.json"))) == 1
    table.write_text(json.dumps({"great auk": 1}))
    second = only(evaluate(*words, "-p", f"table={table}"))
    assert second["data"]["Animals"]["predictions"] != first["data"]["Animals"]["predictions"]
    board = (tmp_path / "results" / "leaderboard.json").read_text()
    assert len(json.loads(board)["rows"]) == 2
    assert str(tmp_path) not in board
    verdicts = harness("leaderboard", "verify", tmp_path / "results", "--json").json
    assert [(v["method"], v["status"]) for v in verdicts] == [("reads", "verified")] * 2


@pytest.mark.slow
@pytest.mark.parametrize("how", [("--workers", "2"), ("--isolate",)])
def test_every_process_reads_the_bytes_that_were_hashed(table, evaluate, tmp_path, how):
    words = ("--plugin", "reads", "-p", f"reads.table={table}", "--seeds", "1")
    here = evaluate(*words, "--workers", "1")
    there = evaluate(*words, *how, "--out", tmp_path / "other")
    assert here.code == there.code == 0
    assert [row["domains"] for row in there.json["rows"]] == [row["domains"] for row in here.json["rows"]]


def test_a_file_that_changes_during_the_run_is_a_failed_cell(site, table, evaluate):
    source = READS.replace("self.weight_ = ", "self.table.path.write_text('{}')\n        self.weight_ = ")
    install(site, "changes", source)
    answer = evaluate("--plugin", "changes", "--baseline", "none", "-p", f"table={table}", "--workers", "1")
    (failure,) = answer.json["rows"][0]["failures"]
    assert failure["reason"].startswith("table.json has changed since the run began")


def test_a_file_that_is_not_there_is_a_sentence_before_anything_is_computed(table, evaluate, tmp_path):
    answer = evaluate("--plugin", "reads", "-p", "table=nowhere.json")
    assert answer.code == 2
    assert "error: reads: parameter table: nowhere.json is not a file" in answer.err
    assert not list((tmp_path / "results").glob("cells/*/*"))


def test_a_row_is_made_again_from_its_file_alone(table, evaluate, harness, world, cache, tmp_path):
    only(evaluate("--plugin", "reads", "--baseline", "none", "-p", f"table={table}", "--workers", "1"))
    words = ("reproduce", f"{tmp_path / 'results'}#reads", "--data", world, "--cache", cache, "--workers", "1")
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    moved = table.rename(tmp_path / "moved.json")
    without = harness(*words)
    assert without.code == 2
    assert f"reads: parameter table is the file table.json with sha256 {digest}" in without.err
    assert "--file" in without.err
    changed = tmp_path / "changed.json"
    changed.write_text("{}")
    assert harness(*words, "--file", changed).code == 2
    answer = harness(*words, "--file", changed, "--file", moved)
    assert answer.code == 0, answer.err
    assert "0 differences in results, 0 in settings" in answer.out
