"""Metrics of installed distributions."""

from __future__ import annotations

import importlib
import json
import shutil

import numpy as np
import pytest

from harness.errors import PluginError
from harness.registry import load, loading, plugin_code
from harness.results.store import ResultStore

from .installed import install

pytestmark = pytest.mark.slow

METRIC = """
import numpy as np
from harness.hookspecs import hookimpl
from harness.metrics import Metric, Resampling, per_class_top1, pooled

def balanced(predicted, label):
    return np.mean([a for a in per_class_top1(predicted, label, int(label.max()) + 1) if a is not None])

def replicates(weights, right, label):
    def of_class(w, c):
        drawn = w[:, label == c]
        return drawn @ right[label == c] / np.maximum(drawn.sum(axis=1), 1)[:, None]

    return np.concatenate([np.mean([of_class(w, c) for c in np.unique(label)], axis=0) for w in weights])

@hookimpl
def harness_metric():
    return Metric(
        NAME, "IP balanced", "IP balanced accuracy", "IP images among IP names, mean over classes",
        ("ip",), pooled(balanced), Resampling(replicates), summary=True,
    )
"""

BALANCED = METRIC.replace("NAME", repr("ip_balanced"))
VALUE = "[a for a in per_class_top1(predicted, label, int(label.max()) + 1) if a is not None]"


def put(site, code, name="ip_balanced", version="1.0"):
    install(site, "balance", code, name=name, kind="metric", version=version)
    loading._loaded.cache_clear()


def remove(site):
    for info in site.glob("zoo_balance-*.dist-info"):
        shutil.rmtree(info)
    importlib.invalidate_caches()
    loading._loaded.cache_clear()


def the_row(answer):
    assert answer.code == 0, answer.err
    (row,) = answer.json["rows"]
    return row


@pytest.fixture
def run(evaluate):
    return lambda *more: evaluate("--plugin", "zero_shot", *more)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "results"


@pytest.mark.parametrize("how", [("--workers", "1"), ("--workers", "2", "--isolate")], ids=["here", "isolated"])
def test_an_installed_metric_appears_everywhere(site, run, harness, out, tmp_path, how):
    put(site, BALANCED)
    row = the_row(run(*how))
    (cell,) = ResultStore(out).cells()
    assert cell.metrics["ip_balanced"] == pytest.approx(np.mean(cell.per_class["ip"]))
    assert row["mean"]["ip_balanced"]["mean"] == cell.metrics["ip_balanced"]
    edition = load("metric", "ip_balanced").origin.edition
    assert edition.startswith("zoo-balance 1.0 ")
    assert row["versions"]["metric ip_balanced"] == cell.spec.versions["metric ip_balanced"] == edition

    (shown,) = harness("leaderboard", "show", out, "--metric", "ip_balanced", "--json").json
    domain = shown["rows"][0]["domains"]["Animals"]
    assert domain["low"] < domain["mean"] < domain["high"]
    assert harness("leaderboard", "verify", out).code == 0
    assert harness("leaderboard", "build", out, "--out", tmp_path / "page").code == 0
    assert '["ip_balanced","IP balanced",' in (tmp_path / "page" / "index.html").read_text()


def test_the_end_of_a_run_lists_a_summary_metric(site, harness, world, out):
    put(site, BALANCED)
    where = ("--domain", "Animals", "--data", world, "--backbone", "beyond-mini", "--out", out)
    assert "IP balanced" in harness("evaluate", "--plugin", "zero_shot", *where).out


def test_a_cell_is_computed_again_with_a_new_or_edited_metric(site, run):
    assert "ip_balanced" not in the_row(run())["mean"]
    put(site, BALANCED)
    answer = run()
    assert "running cells: 1 cell\n" in answer.err
    first = the_row(answer)
    assert "running cells" not in run().err
    (site / "balance.py").write_text(BALANCED + "\n# edited\n")
    plugin_code.code_digest.cache_clear()
    answer = run()
    assert "running cells: 1 cell\n" in answer.err
    assert the_row(answer)["versions"]["metric ip_balanced"] != first["versions"]["metric ip_balanced"]


def test_without_the_plugin_everything_else_is_verified(site, run, harness, out):
    put(site, BALANCED)
    row = the_row(run())
    remove(site)
    assert harness("leaderboard", "show", out).code == 0
    answer = harness("leaderboard", "show", out, "--metric", "ip_balanced")
    assert answer.code == 2
    assert "no metric named 'ip_balanced'" in answer.err
    answer = harness("leaderboard", "verify", out)
    assert answer.code == 3
    assert "not verifiable" in answer.out
    assert "metric ip_balanced is not checked: it comes from a plugin of zoo-balance 1.0" in answer.out
    assert "the file says" not in answer.out

    row["mean"]["ip_top1"]["mean"] = 0.123
    (out / "leaderboard.json").write_text(json.dumps({"schema_version": 1, "rows": [row]}))
    answer = harness("leaderboard", "verify", out)
    assert "differs" in answer.out
    assert "mean.ip_top1.mean: the file says 0.123" in answer.out
    assert "metric ip_balanced is not checked" in answer.out


def test_another_edition_does_not_check_a_row(site, run, harness, out):
    put(site, BALANCED)
    the_row(run())
    remove(site)
    put(site, BALANCED, version="2.0")
    answer = harness("leaderboard", "verify", out)
    assert answer.code == 3
    assert "plugin of zoo-balance 1.0, which is not installed here in the same edition" in answer.out


def test_a_metric_that_was_installed_later_changes_no_verdict(site, run, harness, out, world):
    the_row(run())
    put(site, BALANCED)
    assert harness("leaderboard", "verify", out).code == 0
    words = ("reproduce", f"{out}#zero_shot", "--data", world, "--workers", "1")
    answer = harness(*words)
    assert answer.code == 0, answer.out
    assert "0 differences in results" in answer.out


def test_a_row_is_not_run_again_without_the_plugin_of_its_metric(site, run, harness, out, world):
    put(site, BALANCED)
    the_row(run())
    remove(site)
    answer = harness("reproduce", f"{out}#zero_shot", "--data", world, "--workers", "1")
    assert answer.code == 2
    assert "the row's metric ip_balanced is of zoo-balance 1.0, which is not installed" in answer.err


@pytest.mark.parametrize(
    ("code", "name", "reason"),
    [
        ("import nothing_of_this_name", "ip_balanced", "failed to import"),
        (BALANCED.replace("return Metric(", "return missing("), "ip_balanced", "failed in harness_metric: NameError"),
        (
            BALANCED.replace("    return Metric(", "    return 1\n    Metric("),
            "ip_balanced",
            "not an instance of harness.metrics",
        ),
        (BALANCED.replace('("ip",)', '("ips",)'), "ip_balanced", "no kind of predictions is named ips"),
        (BALANCED, "balanced", "its entry point's name is balanced"),
        (METRIC.replace("NAME", repr("h_mean")), "h_mean", "which comes with the harness"),
    ],
)
def test_a_metric_that_cannot_be_used_is_noted_and_costs_no_result(site, run, harness, out, code, name, reason):
    before = the_row(run())
    put(site, code, name=name)
    answer = run()
    assert f"left out: plugin {name!r} (zoo-balance 1.0)" in answer.err
    assert reason in answer.err
    assert the_row(answer) == before
    with pytest.raises(PluginError, match=reason):
        load("metric", name)
    if name != "h_mean":
        answer = harness("leaderboard", "show", out, "--metric", name)
        assert answer.code == 2
        assert reason in answer.err


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("1 / 0", "metric ip_balanced raised ZeroDivisionError: "),
        ("float('nan')", "metric ip_balanced returned nan, which is not a finite number"),
        ("'high'", "metric ip_balanced returned high, which is not a finite number"),
        ("exit()", "metric ip_balanced raised SystemExit"),
    ],
)
def test_a_metric_that_fails_is_left_out_of_the_cell(site, run, harness, out, expression, reason):
    before = the_row(run())["mean"]
    put(site, BALANCED.replace(f"np.mean({VALUE})", expression))
    answer = run()
    assert the_row(answer)["mean"] == before
    assert f"zero_shot on Animals: {reason}" in answer.err
    assert harness("leaderboard", "verify", out).code == 0


def test_a_metric_cannot_change_predictions(site, run):
    before = the_row(run())["data"]["Animals"]["predictions"]
    put(site, BALANCED.replace("    return np.mean", "    predicted[:] = 0; label[:] = 0\n    return np.mean"))
    row = the_row(run())
    assert row["data"]["Animals"]["predictions"] == before
    assert "ip_balanced" in row["mean"]


def test_resampling_that_fails_ends_the_command_with_a_sentence(site, run, harness, out):
    put(site, BALANCED.replace("    return np.concatenate", "    raise KeyError(1)\n    return np.concatenate"))
    the_row(run())
    answer = harness("leaderboard", "show", out, "--metric", "ip_balanced")
    assert answer.code == 2
    assert "metric ip_balanced raised KeyError: 1" in answer.err
    assert harness("leaderboard", "show", out).code == 0


def test_a_leaderboard_of_built_in_metrics_is_shown_without_looking_for_plugins(site, run, harness, out, monkeypatch):
    the_row(run())
    put(site, "raise SystemExit")
    with monkeypatch.context() as patched:
        patched.setattr(loading, "_loaded", None)
        assert harness("leaderboard", "show", out).code == 0
        assert harness("leaderboard", "verify", out).code == 0


def test_a_metric_is_listed_and_described(site, harness):
    put(site, '"""Counts every class alike."""\n' + BALANCED)
    assert "ip_balanced" in harness("plugins").out
    answer = harness("plugins", "show", "ip_balanced")
    assert answer.code == 0
    for line in ("Counts every class alike.", "needs: ip", "higher is better: true", "intervals: true"):
        assert line in answer.out
