"""Scored images that are byte copies of train or val images: counted, shown, verified, optionally excluded."""

from __future__ import annotations

import json
import shutil

import pytest

from ..datasets.roots import make_root

OOP, IP = "Animals2_OOP", "Animals2_IP"
RUN = ("--backbone", "beyond-mini", "--all-domains", "--workers", "1", "--seeds", "1,2", "--shots", "4")
PLUGINS = ("--plugin", "taskres,kmeans_naming,gda", "-p", "taskres.epochs=1", "--baseline", "zero_shot")


@pytest.fixture
def root(tmp_path):
    """Of 20 + 20 test images one is a copy of an OOP train image, one of a val image, one of an IP train image."""
    root = make_root(tmp_path / "data", {OOP: ("ibex", "yak"), IP: ("cat", "dog")}, {"train": 4, "val": 2, "test": 10})
    ibex, yak, cat, dog = (sorted((root / place).iterdir()) for place in PLACES)
    for image, test in ((ibex[0], ibex[9]), (yak[4], yak[8]), (cat[1], dog[7])):
        shutil.copy(image, test)
    return root


PLACES = (f"{OOP}/images/ibex", f"{OOP}/images/yak", f"{IP}/images/cat", f"{IP}/images/dog")


@pytest.fixture
def run(root, tmp_path, harness):
    def call(*more):
        answer = harness("evaluate", *PLUGINS, *RUN, "--data", root, "--out", tmp_path / "results", *more)
        assert answer.code == 0, answer.err
        board = json.loads((tmp_path / "results" / "leaderboard.json").read_text())
        return answer, {(row["method"], row["copies_left_out"]): row for row in board["rows"]}

    return call


def test_copies_are_counted_and_left_out_in_rows_of_their_own(run, harness, root, tmp_path):
    answer, rows = run()
    counts = {method: row["data"]["Animals"]["copies"] for (method, _), row in rows.items()}
    assert counts == {
        "zero_shot": {},
        "taskres": {"1": 1, "2": 1},  # all four train images of a class are drawn
        "kmeans_naming": {"1": 1, "2": 1},  # its pool
        "gda": {"1": 2, "2": 2},  # and the labelled IP images
    }
    assert "Animals: 2 scored images are byte copies of what gda was given to fit" in answer.err
    board = tmp_path / "results" / "leaderboard.json"
    assert "2 scored images are byte copies" in harness("leaderboard", "show", board).out
    counted = board.read_text()

    answer, rows = run("--leave-out-copies")
    assert "0 known" in answer.err
    for method in ("zero_shot", "gda"):
        data = {out: rows[method, out]["data"]["Animals"] for out in (False, True)}
        assert data[False]["images"] == {"oop": 20, "ip": 20}
        assert data[True]["images"] == {"oop": 18, "ip": 19}
        assert (data[False]["left_out"], data[True]["left_out"]) == (0, 3)
        assert data[True]["copies"] == {}
    assert "Animals: copies of train or val images are left out, 3 in all" in answer.err
    verified = harness("leaderboard", "verify", board, "--data", root)
    assert verified.code == 0, verified.out
    assert "without copies" in harness("leaderboard", "show", board).out
    assert len(rows) == 8
    shown = harness("leaderboard", "show", board, "--json").json
    (table,) = (table for table in shown if "without copies" in table["dataset"])
    address = next(row["row"] for row in table["rows"] if row["method"] == "zero_shot")
    reproduced = harness("reproduce", f"{board}#{address}", "--data", root)
    assert reproduced.code == 0, reproduced.out + reproduced.err
    assert "0 differences in results, 0 in settings" in reproduced.out
    ibex = sorted((root / PLACES[0]).iterdir())
    shutil.copy(ibex[1], ibex[10])
    assert "a copy of a train or val image" in harness("leaderboard", "verify", board, "--data", root).out

    content = json.loads(counted)
    for row in content["rows"]:
        row["data"]["Animals"]["copies"] = {}
    board.write_text(json.dumps(content))
    hidden = harness("leaderboard", "verify", board)
    assert hidden.code == 3
    assert hidden.out.count("data.Animals.copies.1: the file says absent, its results give") == 3


def test_domain_of_copies_only_is_skipped_with_reason(tmp_path, harness):
    root = make_root(tmp_path / "data", {"Food1_OOP": ("ham",), "Attire1_OOP": ("hat",)}, {"train": 1, "test": 1})
    ham = sorted((root / "Food1_OOP" / "images" / "ham").iterdir())
    shutil.copy(ham[0], ham[1])
    run = ("evaluate", "--plugin", "zero_shot", *RUN, "--data", root, "--out", tmp_path / "results", "--json")
    answer = harness(*run, "--leave-out-copies")
    (row,) = answer.json["rows"]
    assert [failure["domain"] for failure in row["failures"]] == ["Food"]
    assert "every OOP test image is a copy of a train or val image" in row["failures"][0]["reason"]
