"""A new metric is one entry of the table: everything else reads it there."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.metrics import Metric, Resampling, built_in, per_class_top1, pooled
from harness.results.store import ResultStore


def balanced_accuracy(predicted, label):
    """Mean accuracy of the classes."""
    return float(np.mean([a for a in per_class_top1(predicted, label, int(label.max()) + 1) if a is not None]))


def balanced_replicates(weights, right, label):
    """The same in every replicate, over the classes with drawn images."""

    def of_class(w, c):
        drawn = w[:, label == c]
        return drawn @ right[label == c] / np.maximum(drawn.sum(axis=1), 1)[:, None]

    return np.concatenate([np.mean([of_class(w, c) for c in np.unique(label)], axis=0) for w in weights])


BALANCED = Metric(
    "ip_balanced", "IP balanced", "IP balanced accuracy", "IP images among IP names, mean over classes",
    ("ip",), pooled(balanced_accuracy), Resampling(balanced_replicates), summary=True,
)  # fmt: skip


def run(harness, world, out):
    where = ("--domain", "Animals", "--data", world, "--backbone", "beyond-mini", "--out", out)
    answer = harness("evaluate", "--plugin", "zero_shot", *where, "--seeds", "1", "--workers", "1")
    assert answer.code == 0, answer.err
    return answer


def the_row(out):
    (row,) = json.loads((out / "leaderboard.json").read_text())["rows"]
    return row


def test_one_entry_makes_a_metric_appear_everywhere(monkeypatch, harness, world, tmp_path):
    monkeypatch.setitem(built_in.BUILT_IN, BALANCED.name, BALANCED)
    out = tmp_path / "results"
    assert "IP balanced" in run(harness, world, out).out
    (cell,) = ResultStore(out).cells()
    assert cell.metrics["ip_balanced"] == pytest.approx(np.mean(cell.per_class["ip"]))
    row = the_row(out)
    assert row["mean"]["ip_balanced"]["mean"] == cell.metrics["ip_balanced"]

    (shown,) = harness("leaderboard", "show", out, "--metric", "ip_balanced", "--json").json
    domain = shown["rows"][0]["domains"]["Animals"]
    assert domain["low"] < domain["mean"] < domain["high"], "it has an interval"
    assert harness("leaderboard", "verify", out).code == 0
    assert harness("leaderboard", "build", out, "--out", tmp_path / "site").code == 0
    assert '["ip_balanced","IP balanced",' in (tmp_path / "site" / "index.html").read_text()

    row["mean"]["ip_balanced"]["mean"] = 0.123
    (out / "leaderboard.json").write_text(json.dumps({"schema_version": 1, "rows": [row]}))
    answer = harness("leaderboard", "verify", out)
    assert answer.code == 3
    assert "mean.ip_balanced.mean: the file says 0.123" in answer.out


def test_rows_made_before_the_metric_are_verified_with_a_note(monkeypatch, harness, world, tmp_path):
    out = tmp_path / "results"
    run(harness, world, out)
    monkeypatch.setitem(built_in.BUILT_IN, BALANCED.name, BALANCED)
    answer = harness("leaderboard", "verify", out)
    assert answer.code == 0
    assert "the row has no ip_balanced" in answer.out + answer.err


@pytest.mark.parametrize(
    ("needs", "kinds", "named"),
    [
        (("oop", "oops"), (), "no kind of predictions is named oops"),
        (("pool_cluster", "cluster_name"), ("pool_cluster",), "not those of a pool"),
    ],
)
def test_an_entry_that_cannot_be_computed_is_refused(needs, kinds, named):
    with pytest.raises(ValueError, match=named):
        Metric("x", "x", "x", "x", needs, pooled(balanced_accuracy), Resampling(kinds=kinds))
