"""Names that the tokenizer cannot distinguish: reported by run and row, and each gets its share of the images."""

from __future__ import annotations

import json

import pytest

from ..datasets.roots import make_root

FOLDERS = {"Animals3_OOP": ("Turkey", "turkey", "ibex"), "Animals2_IP": ("Turkey", "ibex")}
GROUPS = [["Turkey (OOP)", "turkey (OOP)", "Turkey (IP)"], ["ibex (OOP)", "ibex (IP)"]]
ZERO_SHOT = ("--plugin", "zero_shot", "--backbone", "beyond-mini", "--seeds", "1", "--all-domains", "--workers", "1")


@pytest.fixture
def results(tmp_path, harness):
    root = make_root(tmp_path / "data", FOLDERS, {"train": 2, "val": 1, "test": 30})
    answer = harness("evaluate", *ZERO_SHOT, "--data", root, "--out", tmp_path / "results")
    assert answer.code == 0
    for group in GROUPS:
        assert f"Animals: {', '.join(group)} are one text to the tokenizer" in answer.err
    return tmp_path / "results" / "leaderboard.json"


def test_colliding_names_are_listed_and_verified(results, harness):
    content = json.loads(results.read_text())
    (row,) = content["rows"]
    assert row["data"]["Animals"]["collisions"] == GROUPS
    joint = [row["domains"]["Animals"][f"joint_{side}_top1"]["mean"] for side in ("oop", "ip")]
    assert min(joint) > 0.1, "every name has others of the same text, and neither side is favoured"
    assert "are one text" in harness("leaderboard", "show", results).out
    verified = harness("leaderboard", "verify", results)
    assert verified.code == 0, verified.out
    row["data"]["Animals"]["collisions"] = [["Turkey (OOP)", "yak (OOP)"]]
    results.write_text(json.dumps(content))
    changed = harness("leaderboard", "verify", results)
    assert changed.code == 3
    assert "yak (OOP) is listed among names that are one text" in changed.out
    assert "ibex (OOP) and ibex (IP) are one name, and the row does not list them" in changed.out
    assert "Turkey (OOP) and turkey (OOP) and Turkey (IP) are one text to a tokenizer that lower-cases" in changed.out


def test_folders_without_partner_are_noted_first(tmp_path, harness):
    folders = {"Food1_OOP": ("ham",), "Food1_IP": ("egg",), "Vehicle1_IP": ("car",), "Vehicles1_OOP": ("tram",)}
    root = make_root(tmp_path / "data", folders, {"train": 1, "test": 1})
    planned = ("evaluate", *ZERO_SHOT[:6], "--data", root, "--out", tmp_path / "results", "--dry-run")
    noted = "'Vehicle1_IP' has no OOP folder; did you mean Vehicles, as in Vehicles1_OOP?"
    assert noted in harness(*planned, "--all-domains").err
    assert noted in harness(*planned, "--domain", "Vehicles").err
    assert noted not in harness(*planned, "--domain", "Food").err
