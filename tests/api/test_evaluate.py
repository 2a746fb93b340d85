"""``harness.evaluate``: what it takes, and that it runs what the command line runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import harness
from harness.cli.main import execute
from harness.errors import HarnessError, PluginError, UserError
from harness.progress import NullReporter
from harness.registry.local import NOT_INSTALLED, source_digest
from harness.runner.reproduce import LocalPaths, reproduce
from harness_plugins.tip_adapter import TipAdapter

from . import nearest_mean
from .nearest_mean import NearestMean


def test_a_name_gives_the_same_row_as_the_command_line(results, world, cache, tmp_path):
    options = ["--plugin", "tip_adapter", "--domain", "Animals,Insects_Spiders", "--shots", "2", "--seeds", "1,2"]
    where = ["--data", world, "--backbone", "beyond-mini", "--out", tmp_path, "--cache", cache, "--workers", "1"]
    assert execute(["evaluate", *options, *map(str, where), "--json"]) == 0
    assert harness.load_leaderboard(tmp_path).leaderboard == results.leaderboard


def test_a_class_and_an_object_of_a_plugin_are_that_plugin(evaluate):
    named = evaluate("tip_adapter", parameters={"alpha": 2})
    assert named.leaderboard == evaluate(TipAdapter(alpha=2.0)).leaderboard
    assert evaluate("tip_adapter").leaderboard == evaluate(TipAdapter).leaderboard
    assert named.leaderboard.rows[0].id != evaluate(TipAdapter).leaderboard.rows[0].id


def test_a_second_call_computes_nothing(evaluate, monkeypatch):
    first = evaluate("zero_shot")
    monkeypatch.setattr("harness.runner.feature_provider.FeatureProvider", None)
    assert evaluate("zero_shot").leaderboard == first.leaderboard


def test_an_object_of_a_local_class_is_evaluated_with_its_values(evaluate):
    found = evaluate([NearestMean, NearestMean(weight=0.25)])
    assert [row.method for row in found.leaderboard.rows] == ["nearest_mean"] * 2
    assert sorted(row.method_record.parameters["weight"] for row in found.leaderboard.rows) == [0.25, 0.5]
    assert all(row.complete for row in found.leaderboard.rows)


def test_a_local_class_is_marked_and_cannot_be_reproduced(evaluate, world, cache):
    found = evaluate(NearestMean)
    (row,) = found.leaderboard.rows
    assert row.method_record.distribution == NOT_INSTALLED
    assert "nearest_mean is a class of a script or notebook" in repr(found)
    with pytest.raises(PluginError, match="no package holds its code"):
        reproduce(row, LocalPaths(data=world, cache=cache), NullReporter(), lambda differences: None)


@pytest.mark.slow
def test_a_local_class_in_a_script_gives_the_same_predictions_in_other_processes(world, cache, tmp_path):
    script = Path(nearest_mean.__file__)
    command = [sys.executable, script, world, cache, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    here, processes = done.stdout.splitlines()
    assert here.startswith("True not installed")
    assert here == processes


def test_the_digest_of_a_local_class_covers_what_it_names(monkeypatch):
    before = source_digest(NearestMean)
    assert source_digest(NearestMean) == before
    monkeypatch.setattr(nearest_mean, "FLOOR", 1.0)
    assert source_digest(NearestMean) != before


def test_notebook_cells_that_a_class_names_are_part_of_its_digest(tmp_path):
    cells = {
        "import harness\nSCALE = 2\n": None,
        "def helper(x):\n    return SCALE * x\n": "def helper(x):\n    return SCALE * x + 1\n",
        "class Mine(harness.Method):\n    def fit(self, task):\n        return helper(self)\n": None,
    }
    first = _digest_of_cells(list(cells))
    assert first == _digest_of_cells(list(cells))
    assert first != _digest_of_cells([other or cell for cell, other in cells.items()])
    assert first != _digest_of_cells([cell.replace("SCALE = 2", "SCALE = 3") for cell in cells])


def _digest_of_cells(cells: list[str]) -> str:
    """Run cells as a notebook does: in ``__main__``, which has no file, each cell with its lines in ``linecache``."""
    code = (
        "import linecache, sys\nfrom harness.registry.local import source_digest\n"
        "cells = sys.argv[1:]\ndel globals()['__file__']\n"
        "for i, cell in enumerate(cells):\n"
        "    linecache.cache[f'<cell {i}>'] = len(cell), None, cell.splitlines(True), f'<cell {i}>'\n"
        "    exec(compile(cell, f'<cell {i}>', 'exec'), globals())\n"
        "print(source_digest(Mine))"
    )
    done = subprocess.run(
        [sys.executable, "-c", "__file__ = ''\n" + code, *cells], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_values_and_cached_functions_of_other_cells_are_part_of_the_digest():
    cells = {
        "import harness\nfrom functools import cache\nclass Settings:\n    scale = 2\n": None,
        "@cache\ndef helper(x):\n    return x\n": "@cache\ndef helper(x):\n    return x + 1\n",
        "class Mine(harness.Method):\n    def fit(self, task):\n        return helper(Settings.scale)\n": None,
    }
    first = _digest_of_cells(list(cells))
    assert first != _digest_of_cells([other or cell for cell, other in cells.items()])
    assert first != _digest_of_cells([cell.replace("scale = 2", "scale = 3") for cell in cells])


def test_a_class_without_readable_source_is_refused():
    code = (
        "import sys; from harness.registry.local import source_digest\n"
        "exec('class Mine:\\n    def fit(self, task): return self')\nsource_digest(Mine)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "the source of fit cannot be read, so edits of it would go unnoticed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"methods": "tip_adaptor"}, "no method named 'tip_adaptor'\nhint: did you mean tip_adapter?"),
        ({"methods": 7}, "7 is not a method"),
        ({"methods": []}, "no method is named"),
        ({"domains": None}, 'use domains="Food"'),
        ({"domains": "Animal"}, "did you mean Animals?"),
        ({"shots": "4"}, "shots='4' is not a whole number"),
        ({"seeds": [1, True]}, "is not a whole number"),
        ({"precision": "fp8"}, "no precision named 'fp8'"),
        ({"cell_timeout": 3.0}, "isolate=True in Python"),
        ({"cell_timeout": "3", "isolate": True}, "the cell timeout is 3\nhint: give seconds"),
        ({"shots": 0}, "shots must be whole numbers from 1 on, below 10**18\nhint: for example 1, 2 and 4"),
        ({"seeds": -1}, "seeds must be whole numbers from 0 on"),
        ({"seeds": 10**18}, "seeds must be whole numbers from 0 on, below 10**18"),
        ({"domains": 3}, "domains=3 is not a name or a list of names"),
        ({"domains": []}, "no domain is given"),
        ({"folders": 3}, "folders=3 is not a name"),
        ({"workers": "a"}, "workers='a' is not a whole number"),
        ({"workers": 0}, "workers must be 1 or more, not 0"),
        (
            {"features": [1]},
            "features are not a harness.FeatureSet",
        ),
        ({"out": None}, "out=None is not a path"),
        ({"cache": 3}, "cache=3 is not a path"),
        ({"parameters": [1]}, "parameters=[1] are not values by name"),
        ({"parameters": {1: 2}}, "parameters={1: 2} are not values by name"),
        ({"parameters": {"fsnl.lr": 1}}, "the parameter fsnl.lr is for 'fsnl', which is not evaluated"),
        ({"parameters": {"lr": 1}}, "no parameter of zero_shot named 'lr'"),
    ],
)
def test_a_wrong_argument_is_explained(evaluate, arguments, sentence):
    with pytest.raises(HarnessError) as raised:
        evaluate(**{"methods": "zero_shot", **arguments})
    assert sentence in str(raised.value)


def test_integers_of_numpy_are_numbers(evaluate):
    numbers = {"shots": np.int64(2), "seeds": np.array([1]), "workers": np.int32(1)}
    assert evaluate("zero_shot", **numbers).leaderboard == evaluate("zero_shot").leaderboard


def test_a_local_class_may_not_take_the_name_of_an_installed_method(evaluate):
    named = type("TipAdapter", (NearestMean,), {"__module__": NearestMean.__module__})
    with pytest.raises(PluginError, match="rename the class"):
        evaluate(named)


def test_a_failing_method_raises_nothing_and_says_why(evaluate):
    found = evaluate(Failing)
    (record,) = found
    assert record["failure"].startswith("error: failing raised RuntimeError: too cold")
    assert "too cold" in repr(found)
    with pytest.raises(UserError, match="failing has no predictions for Animals"):
        found.predictions(domain="Animals")


class Failing(NearestMean):
    def fit(self, task):
        raise RuntimeError("too cold")
