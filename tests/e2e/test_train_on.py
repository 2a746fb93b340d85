"""Methods that are fitted on IP names, or on the names of both sides."""

from __future__ import annotations

import json

import pytest

from .conftest import FAST
from .test_evaluate import rows


@pytest.fixture
def fitted(harness, world, tmp_path):
    """Evaluates three methods by a protocol, and checks the results."""

    def run(protocol):
        where = ("--domain", "Animals", "--data", world, "--out", tmp_path / "results", "--workers", "1")
        answer = harness("evaluate", *where, "--plugin", "fsnl,linear_probe", *FAST, "--protocol", protocol, "--json")
        assert answer.code == 0, answer.err
        verdict = harness("leaderboard", "verify", tmp_path / "results", "--data", world)
        assert verdict.code == 0, verdict.out
        return rows(answer)

    return run


def manifests(tmp_path):
    return [json.loads(path.read_text()) for path in (tmp_path / "results" / "manifests").iterdir()]


def test_methods_are_fitted_on_ip_names_in_a_table_of_their_own(fitted, harness, world, cache, tmp_path):
    found = fitted("clean-v1-ip")
    of_fsnl, of_zero_shot = (found[name]["domains"]["Animals"] for name in ("fsnl", "zero_shot"))
    unchanged = "what was learned of IP names changes nothing among OOP names"
    assert of_fsnl["oop_top1"]["mean"] == of_zero_shot["oop_top1"]["mean"], unchanged
    assert found["fsnl"]["per_class"] != found["zero_shot"]["per_class"]
    assert {(m["side"], *m["names"]) for m in manifests(tmp_path)} == {("ip", "cat", "dog", "grey wolf")}
    (reason,) = {failure["reason"] for failure in found["linear_probe"]["failures"]}
    assert "it was not among the names it was fitted on" in reason
    answer = harness("reproduce", f"{tmp_path / 'results'}#fsnl", "--data", world, "--cache", cache)
    assert answer.code == 0, answer.out + answer.err
    where = ("--domain", "Animals", "--data", world, "--out", tmp_path / "results", "--workers", "1")
    assert harness("evaluate", *where, "--plugin", "zero_shot", "--backbone", "beyond-mini").code == 0
    tables = harness("leaderboard", "show", tmp_path / "results", "-m", "oop_top1", "--json").json
    assert sorted(table["protocol"] for table in tables) == ["clean-v1", "clean-v1-ip"], "each has its own table"


def test_methods_are_fitted_on_the_names_of_both_sides(fitted, tmp_path):
    found = fitted("paper-2025-both")
    metrics = found["linear_probe"]["domains"]["Animals"]
    assert {"oop_top1", "ip_top1", "joint_top1"} <= set(metrics), "it knows all names"
    (of_one, _) = manifests(tmp_path)
    assert of_one["side"] == "both"
    assert sorted({pick["label"] for pick in of_one["picks"]}) == list(range(9))
    cats = [pick["path"] for pick in of_one["picks"] if pick["label"] == 6]
    assert len(cats) == 4
    assert all(path.startswith("images/cat/") for path in cats)


def test_a_pool_of_oop_images_needs_their_names(harness, world, tmp_path):
    where = ("--domain", "Animals", "--data", world, "--out", tmp_path / "results", "--backbone", "beyond-mini")
    answer = harness("evaluate", *where, "--plugin", "kmeans_naming", "--protocol", "clean-v1-both", "--json")
    (reason,) = {failure["reason"] for failure in rows(answer)["kmeans_naming"]["failures"]}
    assert reason == "kmeans_naming needs unlabeled OOP images; the protocol fits methods on other names"


def test_missing_side_is_user_error(harness, make_root, tmp_path):
    root = make_root(tmp_path / "data", {"Food4_OOP": ("rose", "oak", "elm", "ash")})
    where = ("--domain", "Food", "--data", root, "--out", tmp_path / "results", *FAST)
    answer = harness("evaluate", *where, "--plugin", "fsnl", "--protocol", "clean-v1-ip")
    assert answer.code == 2
    assert "Food has no IP folder to draw images from" in answer.err
