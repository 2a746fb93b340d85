"""``harness analyse`` on a small data folder, with its results."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

PLACE = ("--domain", "Animals", "--backbone", "beyond-mini", "--json")


def test_the_gap_of_learned_names_is_shown_beside_that_of_prompts(harness, world):
    answer = harness("analyse", "gap", *PLACE, "--data", world, "--plugin", "fsnl", "--shots", "2", "--workers", "1")
    assert answer.code == 0, answer.err
    before, after = (answer.json[when]["Animals"] for when in ("before", "after"))
    assert after["ip"] == pytest.approx(before["ip"], abs=1e-4), "IP names keep their prompts"
    assert after["oop"]["alignment"] < before["oop"]["alignment"], "learned names are nearer to their images"


def test_a_method_without_class_vectors_says_so(harness, world):
    answer = harness("analyse", "gap", *PLACE, "--data", world, "--plugin", "tip_adapter", "--shots", "2")
    assert answer.code == 1
    assert "tip_adapter on Animals, 2 shots, seed 1: its scores are not linear" in answer.json["failures"]["Animals"]


def test_names_are_correlated_with_the_accuracies_of_rows(harness, world, tmp_path):
    run = harness("evaluate", "--plugin", "zero_shot", *PLACE, "--data", world, "--out", tmp_path / "results")
    assert run.code == 0, run.err
    answer = harness("analyse", "names", *PLACE, "--data", world, "--results", tmp_path / "results")
    assert answer.code == 0, answer.err
    found = answer.json["domains"]["Animals"]
    assert len(found["familiarity"]) == found["correlation"]["classes"]
    (row,) = answer.json["rows"]
    assert row["correlation"]["Animals"]["pearson"] == pytest.approx(found["correlation"]["pearson"], abs=1e-6)
    assert found["describability"]["oop"]["every"] == found["describability"]["oop"]["own"], "of one domain"
