"""One run is logged by all loggers that are installed, and each tool's own reader shows it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.errors import PluginError
from harness.loggers.flatten import import_or_explain

from ..e2e.conftest import cache, harness, world  # noqa: F401 - fixtures
from .wandb_log import records


class Logged(NamedTuple):
    """A run's rows, and the folder of its logs."""

    rows: dict[str, dict]
    logs: Path


@pytest.fixture(scope="module")
def logged(tmp_path_factory, world, cache) -> Logged:  # noqa: F811
    """A run with a method that fails, in a process of its own: a session of trackio or wandb would outlive it here."""
    folder = tmp_path_factory.mktemp("logged")
    names = ["files", *filter(find_spec, ("trackio", "wandb"))]
    words = (
        f"evaluate --plugin tip_adapter,vpt --domain Animals --seeds 1,2 --shots 2 --data {world} --json --workers 1"
    )
    words += f" --backbone beyond-mini --cache {cache} --observer {','.join(names)}"
    environment = {**os.environ, "WANDB_MODE": "offline", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "harness", *words.split()]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert "raised" not in done.stderr, done.stderr
    return Logged({row["method"]: row for row in json.loads(done.stdout)["rows"]}, folder / "logs")


@pytest.mark.slow
def test_a_run_is_in_files(logged):
    (folder,) = (path.parent for path in logged.logs.glob("*/run.json"))
    run = json.loads((folder / "run.json").read_text())
    assert (run["protocol"], run["seeds"], run["cells"], run["known"]) == ("clean-v1", [1, 2], 5, 0)
    assert run["data"]["Animals"] == logged.rows["tip_adapter"]["data"]["Animals"]["fingerprint"]
    assert run["versions"] == logged.rows["tip_adapter"]["versions"]
    assert {method["name"] for method in run["methods"]} == {"tip_adapter", "vpt", "zero_shot"}
    cells = [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]
    assert sorted((cell["method"], cell["seed"]) for cell in cells) == [
        ("tip_adapter", 1),
        ("tip_adapter", 2),
        ("vpt", 1),
        ("vpt", 2),
        ("zero_shot", 0),
    ]
    assert all(cell["failure"] for cell in cells if cell["method"] == "vpt")
    assert all(cell["fit_seconds"] >= 0 for cell in cells if cell["method"] == "tip_adapter")
    with (folder / "cells.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["oop_top1"] for line in table] == [str(cell.get("oop_top1", "")) for cell in cells]
    with (folder / "rows.csv").open(newline="") as file:
        means = {line["method"]: line for line in csv.DictReader(file)}
    assert float(means["tip_adapter"]["h_mean"]) == logged.rows["tip_adapter"]["mean"]["h_mean"]["mean"]
    assert (means["vpt"]["complete"], means["vpt"]["h_mean"]) == ("False", "")


@pytest.mark.slow
def test_a_run_is_in_trackio(logged):
    pytest.importorskip("trackio")

    def trackio(*words: str) -> dict:
        command = [sys.executable, "-m", "trackio.cli", *words, "--project", "laion-beyond", "--json"]
        environment = {**os.environ, "TRACKIO_DIR": str(logged.logs / "trackio")}
        return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)

    (name,) = trackio("list", "runs")["runs"]
    run = trackio("get", "run", "--run", name)
    assert (logged.logs / name / "run.json").exists(), "it has the same name everywhere"
    assert run["num_logs"] == 6
    assert run["config"]["data"]["Animals"] == logged.rows["tip_adapter"]["data"]["Animals"]["fingerprint"]
    values = trackio("get", "metric", "--run", name, "--metric", "mean/tip_adapter@2/h_mean")["values"]
    assert [one["value"] for one in values] == [logged.rows["tip_adapter"]["mean"]["h_mean"]["mean"]]
    assert {"cells", "rows", "failure", "tip_adapter@2/oop_top1"} <= set(run["metrics"])


@pytest.mark.slow
def test_a_run_is_in_wandb(logged):
    pytest.importorskip("wandb")
    (path,) = logged.logs.glob("wandb/offline-run-*/run-*.wandb")
    found = list(records(path))
    (run,) = (one.run for one in found if one.WhichOneof("record_type") == "run")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (run.project, run.display_name) == ("laion-beyond", config["name"])
    assert config["data"]["Animals"] == logged.rows["tip_adapter"]["data"]["Animals"]["fingerprint"]
    steps = [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in one.history.item}
        for one in found
        if one.WhichOneof("record_type") == "history"
    ]
    assert len(steps) == 6
    assert [step["seed"] for step in steps if "tip_adapter@2/oop_top1" in step] == [1, 2]
    assert steps[-1]["mean/tip_adapter@2/h_mean"] == logged.rows["tip_adapter"]["mean"]["h_mean"]["mean"]
    assert (steps[-1]["rows._type"], steps[-1]["rows.nrows"]) == ("table-file", 3)
    assert any(one.WhichOneof("record_type") == "exit" for one in found), "it was ended"


def test_a_package_that_is_missing_is_a_sentence_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(PluginError, match=r'trackio is not installed: pip install "laion-beyond-harness\[trackio\]"'):
        import_or_explain("trackio")
