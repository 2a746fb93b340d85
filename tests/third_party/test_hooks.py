"""Every hook is documented, and does what its document says."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import save_file

from harness import hookspecs
from harness.backbones import openclip
from harness.errors import PluginError
from harness.registry import find_protocol, load, loading, plugin_code
from harness.registry.checks import CHECKS
from harness.registry.entry_points import GROUPS
from harness.registry.loading import HOOKS
from harness.results.leaderboard_file import read_board
from harness.site.reproduce_command import evaluate_command
from harness.verification import source_data

from ..e2e.test_backbones import CLIP
from .installed import install
from .test_metrics import BALANCED

pytestmark = pytest.mark.slow

HEAD = "from harness.hookspecs import BackboneOffer, DatasetOffer, hookimpl\n"

OBSERVER = f"""{HEAD}
import os
from harness.observer import Observer

class Logger(Observer):
    def run_started(self, run, folder):
        self.write(f"{{run.cells}} cells, {{run.known}} known, {{folder.name}}")

    def cell_finished(self, cell):
        self.write(f"{{cell.spec.method.name}} {{cell.spec.seed}} {{cell.failure is None}}")

    def run_finished(self, rows):
        self.write(", ".join(f"{{row.method}} {{row.complete}}" for row in rows))

    def write(self, line):
        with open(os.environ["SEEN"], "a") as file:
            file.write(line + "\\n")
        print("a word on stdout")

@hookimpl
def harness_observer():
    return Logger()
"""

PROTOCOL = f"""{HEAD}
from dataclasses import dataclass
from harness.prompts import Template
from harness.protocols import Protocol

@dataclass(frozen=True)
class Firsts(Protocol):
    \"\"\"The first images of every class.\"\"\"

    id: str = "firsts"
    template = Template("a {{name}}")

    def pick(self, train, val, shots, seed):
        found = {{}}
        for split, count in ((train, shots), (val, 1)):
            found[split.part] = [item for items in split.group_by_label().values() for item in items[:count]]
        return found

@hookimpl
def harness_protocol():
    return Firsts()
"""

BACKBONE = f"""{HEAD}
import os
from pathlib import Path

CONFIG = {CLIP!r}

def weights():
    if "WEIGHTS" not in os.environ:
        raise RuntimeError("the licence\\nwas not accepted")
    return Path(os.environ["WEIGHTS"])

@hookimpl
def harness_backbone():
    return BackboneOffer(CONFIG, weights, "ZooCorpus")

class Bare:
    @staticmethod
    @hookimpl
    def harness_backbone():
        return BackboneOffer(CONFIG)
"""

DESCRIBED = f"""{HEAD}
import json, os
from pathlib import Path

@hookimpl
def harness_backbone():
    found = json.loads(Path(os.environ["DESCRIPTION"]).read_text())
    weights = Path(os.environ["WEIGHTS"])
    return BackboneOffer(found["config"], lambda: weights, preprocessing=found.get("preprocessing"))
"""
"""A backbone that is described in a file outside of the plugin's code."""

DATASET = f"""{HEAD}
def draw(folder, report, workers):
    report.note(f"drawing into {{folder.name}} with {{workers}} workers")

@hookimpl
def harness_dataset():
    return DatasetOffer("zoo-1", draw)
"""

TESTED = {
    "harness_method": "test_methods_are_offered",
    "harness_backbone": "test_a_backbone_is_offered_with_its_weights",
    "harness_protocol": "test_a_protocol_is_offered",
    "harness_dataset": "test_a_dataset_is_offered",
    "harness_metric": "test_a_metric_is_offered",
    "harness_observer": "test_an_observer_sees_a_run_its_computed_cells_and_its_rows",
    "harness_executor": "test_an_executor_is_offered",
}


def test_every_hook_is_documented_and_tested():
    hooks = {name: f for name, f in vars(hookspecs).items() if name.startswith("harness_")}
    assert set(hooks) == set(HOOKS.values()) == set(TESTED)
    assert set(HOOKS) == set(GROUPS) == set(CHECKS)
    for name, hook in hooks.items():
        text = " ".join(inspect.getdoc(hook).split())
        for word in ("Called", "return value", "exception"):
            assert word in text, f"{name} does not say: {word}"
        assert "return" in inspect.get_annotations(hook)
        assert all(parameter.annotation for parameter in inspect.signature(hook).parameters.values())
    assert set(TESTED.values()) <= set(globals())


def test_methods_are_offered(zoo, evaluate):
    row = evaluate("--plugin", "tame", "--baseline", "none").json["rows"][0]
    assert row["complete"]
    record = row["method_record"]
    assert (record["distribution"], record["version"]) == ("zoo", "0.7")
    assert re.fullmatch("[0-9a-f]{64}", record["code"])


def test_an_edited_method_is_another_method(zoo, evaluate):
    before = evaluate("--plugin", "tame", "--baseline", "none").json["rows"][0]["method_record"]["code"]
    file = zoo / "misbehaving.py"
    file.write_text(file.read_text() + "\n# edited\n")
    plugin_code.code_digest.cache_clear()
    loading._loaded.cache_clear()
    answer = evaluate("--plugin", "tame", "--baseline", "none")
    assert "running cells: 1 cell\n" in answer.err
    assert answer.json["rows"][0]["method_record"]["code"] != before


def test_a_row_whose_plugin_is_not_installed_is_not_run_again_but_says_whose_it_is(
    zoo, evaluate, harness, world, weights, monkeypatch, tmp_path
):
    install(zoo, "firsts", PROTOCOL, kind="protocol", distribution="Zoo.Rules", version="2")
    install(zoo, "towers", BACKBONE, name="zoo-clip", kind="backbone")
    monkeypatch.setenv("WEIGHTS", str(weights))
    made = evaluate("--plugin", "tame", "--baseline", "none", "--protocol", "firsts", "--backbone", "zoo-clip")
    assert made.code == 0, made.err
    words = ("reproduce", f"{tmp_path / 'results'}#tame", "--data", world, "--workers", "1")
    assert harness(*words).code == 0
    for record, what, name in (
        ("zoo_towers-1.0", "backbone zoo-clip is of zoo-towers 1.0", "zoo-towers==1.0"),
        ("Zoo.Rules-2", "protocol firsts is of Zoo.Rules 2", "Zoo.Rules==2"),
        ("zoo-0.7", "method tame is of zoo 0.7", "zoo==0.7"),
    ):
        shutil.rmtree(zoo / f"{record}.dist-info")
        importlib.invalidate_caches()
        answer = harness(*words)
        assert answer.code == 2
        assert f"the row's {what}, which is not installed" in answer.err
        assert f"pip install {name}" in answer.err


def test_a_method_with_an_upgraded_requirement_is_another_method(zoo, evaluate):
    install(zoo, "words", "WORDS = ()", distribution="zoo-words", version="0.1")
    with (zoo / "zoo-0.7.dist-info" / "METADATA").open("a") as file:
        file.write("Requires-Dist: zoo-words\n")
    row = evaluate("--plugin", "tame", "--baseline", "none").json["rows"][0]
    assert row["versions"]["zoo-words"] == "0.1"
    assert {"harness", "torch", "open_clip_torch", "numpy", "scipy", "scikit-learn"} <= set(row["versions"])
    (zoo / "zoo_words-0.1.dist-info").rename(zoo / "zoo_words-0.2.dist-info")
    (zoo / "zoo_words-0.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-words\nVersion: 0.2\n")
    plugin_code.versions.cache_clear()
    answer = evaluate("--plugin", "tame,zero_shot")
    assert "running cells: 2 cells" in answer.err
    rows = {row["method"]: row["versions"] for row in answer.json["rows"]}
    assert rows["tame"]["zoo-words"] == "0.2"
    assert "zoo-words" not in rows["zero_shot"]


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_a_metric_is_offered(site, evaluate):
    install(site, "balance", BALANCED, name="ip_balanced", kind="metric")
    row = evaluate("--plugin", "zero_shot").json["rows"][0]
    assert row["mean"]["ip_balanced"]["mean"] == pytest.approx(np.mean(row["per_class"]["Animals"]["ip"]))


# -- executors ---------------------------------------------------------------------------------------------------------


EXECUTOR = """
from contextlib import contextmanager
from harness.execution.executors import here
from harness.hookspecs import hookimpl

@contextmanager
def opened(settings):
    settings.note(f"connected to {settings.address} with {settings.workers} workers")
    yield here
    settings.note("closed")

@hookimpl
def harness_executor():
    return opened
"""


def test_an_executor_is_offered(zoo, evaluate, tmp_path):
    install(zoo, "mine", EXECUTOR, kind="executor")
    local = evaluate("--plugin", "zero_shot", "--out", tmp_path / "local")
    mine = evaluate("--plugin", "zero_shot", "--executor", "mine", "--ray-address", "h:1", "--out", tmp_path / "mine")
    assert (mine.code, [row["mean"] for row in mine.json["rows"]]) == (
        0,
        [row["mean"] for row in local.json["rows"]],
    )
    assert "connected to h:1 with 2 workers" in mine.err
    assert mine.err.rstrip().endswith("closed")
    answer = evaluate("--executor", "mien", "--out", tmp_path / "mien")
    assert answer.code == 2
    assert answer.err.startswith("error: no executor named 'mien'\nhint: did you mean mine?")


# -- observers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def seen(tmp_path, monkeypatch) -> Path:
    """The file that the observer ``logger`` writes, in a folder that is there before the run."""
    path = tmp_path / "own" / "seen"
    path.parent.mkdir()
    monkeypatch.setenv("SEEN", str(path))
    monkeypatch.chdir(path.parent)
    return path


def test_an_observer_sees_a_run_its_computed_cells_and_its_rows(zoo, evaluate, seen):
    install(zoo, "logger", OBSERVER, kind="observer")
    assert evaluate("--plugin", "tame").code == 0
    assert not seen.exists(), "nobody asked for it"
    answer = evaluate("--plugin", "tame,raises", "--observer", "logger")
    assert answer.code == 1
    start, *cells, end = seen.read_text().splitlines()
    assert (start, cells) == ("3 cells, 2 known, logs", ["raises 1 False"]), "a known cell is not computed"
    assert sorted(end.split(", ")) == ["raises False", "tame True", "zero_shot True"]
    assert "a word" not in answer.out


def test_an_observer_sees_the_rows_of_a_run_that_is_stopped(zoo, evaluate, seen, monkeypatch):
    def stop(cell, report):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.runner.evaluate._report_result", stop)
    install(zoo, "logger", OBSERVER, kind="observer")
    assert evaluate("--plugin", "tame", "--observer", "logger", "--workers", "1").code == 130
    start, end = seen.read_text().splitlines()
    assert start == "2 cells, 0 known, logs"
    assert "True" in end, "the one cell that is stored makes a row"


def test_an_observer_that_raises_is_reported_once_and_stops_nothing(zoo, evaluate, seen):
    install(zoo, "logger", OBSERVER, kind="observer")
    sulky = OBSERVER.replace(
        "def cell_finished(self, cell):", 'def cell_finished(self, cell):\n        raise OSError("no\\nmood")'
    )
    install(zoo, "sulky", sulky, kind="observer")
    answer = evaluate("--plugin", "tame", "--observer", "logger,sulky")
    assert answer.code == 0
    sentence = "plugin 'sulky' (zoo-sulky 1.0): cell_finished raised OSError: no mood"
    assert answer.err.count(sentence) == 1
    assert "it gets no further cells" in answer.err
    assert len([line for line in seen.read_text().splitlines() if line.endswith(" 1 True")]) == 1


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (f"{OBSERVER}\n1 / 0\n", "plugin 'sulky' (zoo-sulky 1.0) failed to import: ZeroDivisionError"),
        (OBSERVER.replace("return Logger()", "return 3"), "offers 3, which is not an instance of harness.observer"),
        (OBSERVER.replace("self.write(f", "raise OSError(f"), "run_started raised OSError: 2 cells, 0 known, logs"),
        (
            OBSERVER.replace("        self.write(f", "        os._exit(3)\n        self.write(f", 1),
            "ended its process with exit code 3",
        ),
    ],
)
def test_an_observer_that_cannot_start_ends_the_command_before_anything_is_computed(
    zoo, evaluate, seen, code, sentence
):
    install(zoo, "sulky", code, kind="observer")
    answer = evaluate("--plugin", "tame", "--observer", "sulky")
    assert answer.code == 2
    assert sentence in answer.err
    assert "running cells" not in answer.err


def test_an_unknown_observer_is_an_error(evaluate):
    answer = evaluate("--plugin", "zero_shot", "--observer", "fils")
    assert answer.code == 2
    assert "no observer named 'fils'" in answer.err
    assert "did you mean files?" in answer.err


def test_an_observer_that_ends_its_process_is_reported_once_and_stops_nothing(zoo, evaluate, seen):
    leaver = OBSERVER.replace("def cell_finished(self, cell):", "def cell_finished(self, cell):\n        os._exit(0)")
    install(zoo, "leaver", leaver, kind="observer")
    answer = evaluate("--plugin", "tame", "--observer", "leaver")
    assert answer.code == 0
    sentence = "the process of the observers of zoo-leaver ended its process with exit code 0"
    assert answer.err.count(sentence) == 1


def test_an_observer_cannot_reach_what_judges(zoo, evaluate, seen):
    meddles = "import harness.runner.judge as judge\njudge.Judge.cell = judge.CellOutput = judge.pack = None\n"
    install(zoo, "logger", meddles + OBSERVER, kind="observer")
    assert evaluate("--plugin", "tame", "--observer", "logger").code == 0


# -- protocols ---------------------------------------------------------------------------------------------------------


def test_a_protocol_is_offered(site, evaluate, tmp_path):
    install(site, "firsts", PROTOCOL, kind="protocol")
    answer = evaluate("--plugin", "fsnl", "-p", "fsnl.epochs=1", "--protocol", "firsts")
    assert answer.code == 0, answer.err
    for row in answer.json["rows"]:
        assert row["protocol"] == "firsts"
        assert row["versions"]["protocol firsts"].startswith("zoo-firsts 1.0 ")
    (manifest,) = (json.loads(p.read_text()) for p in (tmp_path / "results").glob("manifests/*.json"))
    assert [pick["path"].split("/")[-1][:3] for pick in manifest["picks"] if pick["part"] == "train"][:2] == [
        "000",
        "001",
    ]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [("1 / 0", "ZeroDivisionError: division by zero (firsts.py:"), ("return 3", "TypeError: 'int' object")],
)
def test_a_protocol_that_fails_to_draw_is_named(site, evaluate, wrong, reason):
    install(site, "firsts", PROTOCOL.replace("found = {}", wrong), kind="protocol")
    answer = evaluate("--plugin", "fsnl", "--protocol", "firsts")
    assert answer.code == 2
    assert f"plugin 'firsts' (zoo-firsts 1.0) cannot draw from Animals: {reason}" in answer.err


def test_the_draws_of_a_plugins_protocol_are_verified_by_its_rule(site, evaluate, harness, world, tmp_path):
    install(site, "firsts", PROTOCOL, kind="protocol")
    assert evaluate("--plugin", "fsnl", "-p", "fsnl.epochs=1", "--protocol", "firsts").code == 0
    words = ("leaderboard", "verify", tmp_path / "results", "--data", world, "--json")
    known = harness(*words)
    assert known.code == 0
    assert {(row["status"], *row["notes"]) for row in known.json} == {("verified",)}
    # The same edition, but other draws: as if they had been chosen by hand.
    rule = find_protocol("firsts")
    lasts = type("Lasts", (type(rule[0]),), {"pick": lambda *_: {"train": [], "val": []}})()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_data, "find_protocol", lambda name: (lasts, rule[1]))
        refused = harness(*words)
    (problem,) = [text for row in refused.json for text in row["problems"]]
    assert problem == "Animals, seed 1: the manifest is not what firsts draws from the data"
    # Another edition of the plugin cannot give this.
    (site / "firsts.py").write_text(PROTOCOL.replace("items[:count]", "items[-count:]"))
    plugin_code.code_digest.cache_clear()
    loading._loaded.cache_clear()
    edited = harness(*words)
    assert edited.code == 0
    assert {row["notes"][0].partition(":")[0] for row in edited.json} == {
        "the rule of firsts that is known here is of another edition of its plugin"
    }


def test_a_protocol_says_what_is_run_when_no_method_is_named(site, evaluate):
    own = '    methods = ("linear_probe",)\n    baseline = None\n'
    install(
        site, "firsts", PROTOCOL.replace('    id: str = "firsts"\n', '    id: str = "firsts"\n' + own), kind="protocol"
    )
    answer = evaluate("--protocol", "firsts")
    assert [row["method"] for row in answer.json["rows"]] == ["linear_probe"]


def test_a_plugin_of_protocols_is_imported_only_when_it_is_wanted(site, evaluate):
    install(site, "firsts", PROTOCOL + "\n1 / 0\n", kind="protocol")
    assert evaluate("--plugin", "zero_shot").code == 0
    answer = evaluate("--plugin", "zero_shot", "--protocol", "firsts")
    assert answer.code == 2
    assert "plugin 'firsts' (zoo-firsts 1.0) failed to import: ZeroDivisionError" in answer.err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('"firsts"', '"lasts"'), "offers a protocol with id 'lasts'; its entry point's name is firsts"),
        (("return Firsts()", "return Firsts"), "which is not an instance of harness.protocols.Protocol"),
        (("return Firsts()", "Firsts.decoding = 'grey'; return Firsts()"), "offers a protocol with decoding 'grey'"),
        (("return Firsts()", "return 7"), "offers 7, which is not an instance of harness.protocols.Protocol"),
    ],
)
def test_a_protocol_that_cannot_be_used_is_a_broken_plugin(site, change, reason):
    install(site, "firsts", PROTOCOL.replace(*change), kind="protocol")
    with pytest.raises(PluginError) as error:
        load("protocol", "firsts")
    assert reason in error.value.message


def test_a_protocol_of_the_harness_stays_the_harnesss(site, evaluate, harness):
    code = PROTOCOL.replace('"firsts"', '"clean-v1"')
    install(site, "thief", code, name="clean-v1", kind="protocol")
    (row,) = evaluate("--plugin", "zero_shot").json["rows"]
    assert not [name for name in row["versions"] if name.startswith("protocol")]
    (culprit,) = harness("plugins", "--strict", "--json").json["broken"]
    assert "offers the protocol 'clean-v1', which comes with the harness" in culprit["reason"]


# -- backbones ---------------------------------------------------------------------------------------------------------


def install_towers(site: Path, code: str = BACKBONE) -> None:
    """A module of two backbones."""
    for name, value in (("zoo-clip", "towers"), ("zoo-bare", "towers:Bare")):
        install(site, "towers", code, name=name, value=value, kind="backbone")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    openclip.register_architecture("zoo-clip", CLIP)
    path = tmp_path / "zoo.safetensors"
    save_file({k: v.contiguous().clone() for k, v in openclip.random_model("zoo-clip").state_dict().items()}, path)
    return path


def test_a_backbone_is_offered_with_its_weights(site, evaluate, weights, monkeypatch):
    install_towers(site)
    monkeypatch.setenv("WEIGHTS", str(weights))
    answer = evaluate("--plugin", "zero_shot", "--backbone", "zoo-clip")
    assert answer.code == 0, answer.err
    (row,) = answer.json["rows"]
    assert row["backbone"] == "zoo-clip/zoo.safetensors"
    assert row["backbone_record"]["corpus"] == "ZooCorpus"
    assert row["versions"]["backbone zoo-clip"].startswith("zoo-towers 1.0 ")
    given = evaluate("--plugin", "zero_shot", "--backbone", "zoo-bare", "--pretrained", weights)
    assert given.json["rows"][0]["domains"] == row["domains"]


def test_a_row_with_an_offered_backbone_is_run_again_with_its_weights(
    site, evaluate, harness, world, weights, monkeypatch, tmp_path
):
    install_towers(site)
    monkeypatch.setenv("WEIGHTS", str(weights))
    assert evaluate("--plugin", "zero_shot", "--backbone", "zoo-clip").code == 0
    file = tmp_path / "results"
    again = harness("reproduce", f"{file}#zero_shot", "--data", world, "--workers", "1", "--json")
    assert again.code == 0, again.err
    assert (again.json["settings"], again.json["results"]) == ([], [])
    command = shlex.split(evaluate_command(read_board(file).rows[0]).replace("LAION_BEYOND_ROOT", str(world)))
    answer = harness(*command[1:], "--out", file, "--dry-run")
    assert answer.out == "1 cell: 1 known, 0 to run (1 method, 1 domain)\n", answer.err


def test_a_backbone_with_another_configuration_is_computed_and_encoded_anew(
    site, evaluate, weights, monkeypatch, tmp_path
):
    install(site, "towers", DESCRIBED, name="zoo-clip", kind="backbone")
    monkeypatch.setenv("WEIGHTS", str(weights))
    monkeypatch.setenv("DESCRIPTION", str(tmp_path / "zoo.json"))
    text, vision = CLIP["text_cfg"], CLIP["vision_cfg"]
    changes = {
        "as it is": {},
        "heads": {"config": {"text_cfg": {**text, "heads": 4}}},
        "head width": {"config": {"vision_cfg": {**vision, "head_width": 8}}},
        "QuickGELU": {"config": {"quick_gelu": True}},
        "preprocessing": {"preprocessing": {"mean": 0.5, "std": 0.5, "resize_mode": "squash"}},
    }
    records = {}
    for what, change in changes.items():
        stated = {"config": CLIP | change.get("config", {}), "preprocessing": change.get("preprocessing")}
        (tmp_path / "zoo.json").write_text(json.dumps(stated))
        loading._loaded.cache_clear()
        answer = evaluate("--plugin", "zero_shot", "--backbone", "zoo-clip", "--cache", tmp_path / "cache")
        assert answer.code == 0, answer.err
        assert "running cells: 1 cell" in answer.err, what
        assert "encoding images" in answer.err, what
        assert "damaged" not in answer.err
        records[what] = answer.json["rows"][-1]["backbone_record"]
    assert len({(r["config"], json.dumps(r["preprocessing"])) for r in records.values()}) == len(changes)
    assert len({(r["architecture"], r["pretrained"], r["weights_sha256"]) for r in records.values()}) == 1
    assert records["preprocessing"]["preprocessing_source"] == "plugin"
    assert records["as it is"]["preprocessing_source"] == "unchecked"
    (tmp_path / "zoo.json").write_text(json.dumps({"config": {**CLIP, "text_cfg": {**text, "heads": 3}}}))
    loading._loaded.cache_clear()
    answer = evaluate("--plugin", "zero_shot", "--backbone", "zoo-clip", "--cache", tmp_path / "cache")
    assert answer.code == 2
    assert (
        "no model can be built from the configuration of zoo-clip: embed_dim must be divisible by num_heads"
        in answer.err
    )
    assert "damaged" not in answer.err


def test_weights_that_cannot_be_had_are_a_sentence(site, evaluate, tmp_path, monkeypatch):
    install_towers(site)
    refused = evaluate("--plugin", "zero_shot", "--backbone", "zoo-clip")
    assert refused.code == 2
    assert "the weights of zoo-clip are not available: the licence was not accepted" in refused.err
    monkeypatch.setenv("WEIGHTS", str(tmp_path / "nowhere"))
    assert "which is not a file" in evaluate("--plugin", "zero_shot", "--backbone", "zoo-clip").err
    assert "zoo-bare needs weights" in evaluate("--plugin", "zero_shot", "--backbone", "zoo-bare").err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("CONFIG, weights", "{}, weights"), "offers a backbone whose config has no embed_dim"),
        (("CONFIG, weights", "CONFIG, 'file.pt'"), "whose weights are not a function that returns a path"),
        (("CONFIG, weights", "{**CONFIG, 'layers': {1}}, weights"), "whose config is not JSON: Object of"),
        (('"ZooCorpus"', '"ZooCorpus", {"mean": os}'), "whose preprocessing is not JSON: Object of"),
        (("return BackboneOffer(", "return ("), "which is not an instance of harness.hookspecs.BackboneOffer"),
    ],
)
def test_a_backbone_that_cannot_be_used_is_a_broken_plugin(site, change, reason):
    install_towers(site, BACKBONE.replace(*change, 1))
    with pytest.raises(PluginError) as error:
        load("backbone", "zoo-clip")
    assert reason in error.value.message


# -- data sets ---------------------------------------------------------------------------------------------------------


def test_a_dataset_is_offered(site, tmp_path, harness):
    install(site, "drawn", DATASET, name="zoo", kind="dataset")
    plugin = load("dataset", "zoo")
    notes = []
    plugin.value.prepare(tmp_path / plugin.value.folder, SimpleNamespace(note=notes.append), 2)
    assert notes == ["drawing into zoo-1 with 2 workers"]
    (shown,) = harness("plugins", "show", "zoo", "--json").json["plugins"]
    assert (shown["kind"], shown["distribution"]) == ("dataset", "zoo-drawn")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('"zoo-1", draw', '"../zoo", draw'), "offers a data set whose folder is '../zoo'; it must be the name"),
        (('"zoo-1", draw', '"zoo-1", 7'), "offers a data set whose prepare is not a function"),
        (('return DatasetOffer("zoo-1", draw)', "return draw"), "is not an instance of harness.hookspecs.DatasetOffer"),
    ],
)
def test_a_dataset_that_cannot_be_used_is_a_broken_plugin(site, change, reason):
    install(site, "drawn", DATASET.replace(*change), name="zoo", kind="dataset")
    with pytest.raises(PluginError) as error:
        load("dataset", "zoo")
    assert reason in error.value.message


# -- all kinds ---------------------------------------------------------------------------------------------------------


def test_every_kind_is_listed_and_described(site, harness):
    install(site, "logger", OBSERVER, kind="observer")
    install(site, "firsts", PROTOCOL, kind="protocol")
    install(site, "drawn", DATASET, name="zoo", kind="dataset")
    install_towers(site)
    found = {line["name"]: line["kind"] for line in harness("plugins", "--json").json["plugins"]}
    own = {"logger": "observer", "firsts": "protocol", "zoo": "dataset", "zoo-clip": "backbone", "zoo-bare": "backbone"}
    assert found.items() >= {**own, "fsnl": "method"}.items()
    for name, kind in own.items():
        assert harness("plugins", "show", name).out.startswith(f"{name} ({kind}, ")
    (shown,) = harness("plugins", "show", "firsts", "--json").json["plugins"]
    assert (shown["summary"], shown["template"]) == ("The first images of every class.", "a {name}")
    (shown,) = harness("plugins", "show", "zoo-clip", "--json").json["plugins"]
    assert (shown["corpus"], shown["config"], shown["weights"]) == ("ZooCorpus", CLIP, "its own")


def test_an_unknown_protocol_or_backbone_is_a_sentence(evaluate):
    for option in ("--protocol", "--backbone"):
        assert "no-such-thing" in evaluate("--plugin", "zero_shot", option, "no-such-thing").err


# -- parameters --------------------------------------------------------------------------------------------------------

MANY = f"""{HEAD}
from dataclasses import dataclass, field
from typing import Literal
from harness.method import Method

@dataclass
class Many(Method):
    \"\"\"Zero-shot, with parameters of many types.\"\"\"

    strength: float = 1
    depth: Literal[4, 8] = 4
    kind: Literal["none", "full"] = "full"
    layers: list[int] = field(default_factory=list)
    table: dict[str, float] = field(default_factory=dict)

    def fit(self, task):
        self.task_ = task
        return self

    def scores(self, images, vocabulary):
        names = [self.task_.template.fill(name, vocabulary.noun) for name in vocabulary.names]
        return images.features[:, 0] @ self.task_.text.encode(names).T

@hookimpl
def harness_method():
    return Many
"""


def test_parameters_of_any_type_come_from_options_files_and_the_commands_of_a_row(
    site, harness, evaluate, world, tmp_path
):
    install(site, "many", MANY)
    wanted = {"strength": 2.0, "depth": 8, "kind": "none", "layers": [3, 4], "table": {"a": 0.5}}
    words = ("strength=2", "depth=8", "kind=none", "layers=[3, 4]", 'many.table={"a": 0.5}')
    only = ("--plugin", "many", "--baseline", "none")
    answer = evaluate(*only, *(word for text in words for word in ("-p", text)))
    assert answer.code == 0, answer.err
    (row,) = read_board(tmp_path / "results").rows
    assert row.method_record.parameters == wanted
    assert evaluate(*only, "-p", "strength=2.0").json["rows"][0]["method_record"]["parameters"]["strength"] == 2.0
    file = tmp_path / "run.toml"
    table = 'strength = 2\ndepth = 8\nkind = "none"\nlayers = [3, 4]\ntable = {a = 0.5}\n'
    for text in (f"[param.many]\n{table}", "[param]\n" + table.replace("table", "many.table")):
        file.write_text(text)
        answer = evaluate(*only, "--config", file)
        assert answer.code == 0, answer.err
        assert answer.json["rows"][0]["method_record"]["parameters"] == wanted
        assert "running cells" not in answer.err
    command = shlex.split(evaluate_command(row).replace("LAION_BEYOND_ROOT", str(world)))
    again = harness(*command[1:], "--out", tmp_path / "results", "--json")
    assert again.code == 0, again.err
    assert "running cells" not in again.err
    assert again.json["rows"][0]["method_record"]["parameters"] == wanted
