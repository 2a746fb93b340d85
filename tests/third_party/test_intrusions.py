"""A plugin that changes what all share: it is named, and changes no result, neither its own nor another's."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageFile

from harness.errors import LONGEST, PluginError
from harness.miniature.model import WEIGHTS
from harness.registry import Origin
from harness.runner import resolve_methods

from ..makers import sha
from .installed import install

MEDDLES = """
from dataclasses import dataclass
import torch
from PIL import Image, ImageFile
from harness.hookspecs import hookimpl
from harness.method import Method
from harness.observer import Observer

ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = True, 10**9
torch.set_grad_enabled(False)
torch.set_default_dtype(torch.float64)
torch.backends.cuda.enable_flash_sdp(False)

@dataclass
class Leaks(Method):
    \"\"\"Scores that reveal what it found.\"\"\"

    def fit(self, task):
        flags = (torch.is_grad_enabled(), ImageFile.LOAD_TRUNCATED_IMAGES, torch.backends.cuda.flash_sdp_enabled())
        self.found_ = [*map(int, flags), torch.empty(0).element_size()]
        return self

    def outcome(self):
        return {"found": self.found_}

    def scores(self, images, vocabulary):
        image = images.features[:, 0]
        return image[:, : len(vocabulary)] * torch.tensor(self.found_[:1]) + torch.zeros(len(image), len(vocabulary))

@hookimpl
def harness_method():
    return Leaks

class Meddler(Observer):
    def cell_finished(self, cell):
        torch.set_grad_enabled(False)

@hookimpl
def harness_observer():
    return Meddler()
"""

NOTE = "plugin 'meddles' (zoo-meddles 1.0) changed "
AT_IMPORT = "torch's default dtype, torch's grad enabled, torch's sdp use flash and 2 more when it was imported"


@pytest.fixture
def half_read(world: Path, tmp_path: Path) -> Path:
    """The small root with one scored image that ends too early."""
    root = shutil.copytree(world, tmp_path / "half")
    image = root / "Animals6_OOP" / "images" / "great_auk" / "006 cmyk.jpg"
    image.write_bytes(image.read_bytes()[:-40])
    return root


def test_what_an_observer_changes_changes_no_result(site, evaluate, half_read, tmp_path, monkeypatch):
    words = ("--plugin", "fsnl", "-p", "fsnl.epochs=1", "--data", half_read, "--workers", "1")
    alone = evaluate(*words, "--out", tmp_path / "alone", "--cache", tmp_path / "one")
    install(site, "meddles", MEDDLES, kind="observer")
    monkeypatch.chdir(tmp_path)
    answer = evaluate(*words, "--observer", "meddles", "--out", tmp_path / "other", "--cache", tmp_path / "two")
    assert (alone.code, answer.code) == (0, 0), answer.err
    assert answer.out == alone.out
    assert all(row["data"]["Animals"]["unreadable"] for row in answer.json["rows"])
    assert NOTE not in alone.err
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS != 10**9) == (False, True)
    assert torch.is_grad_enabled()


def test_an_author_sees_the_note_too(site, harness):
    install(site, "meddles", MEDDLES, name="leaks")
    note = NOTE.replace("'meddles'", "'leaks'") + AT_IMPORT
    assert note in harness("plugins", "check", "leaks", "--json").err
    del sys.modules["meddles"]
    assert note in harness("plugins", "show", "leaks", "--json").err


@pytest.mark.parametrize(
    "how",
    [
        ("--workers", "1"),
        pytest.param(("--workers", "2"), marks=pytest.mark.slow),
        pytest.param(("--isolate",), marks=pytest.mark.slow),
    ],
)
def test_a_process_that_imports_a_plugin_puts_back_what_it_changes(site, evaluate, tmp_path, how):
    install(site, "meddles", MEDDLES, name="leaks")
    answer = evaluate("--plugin", "leaks", "--baseline", "none", "--seeds", "1,2", *how)
    assert answer.code == 0, answer.err
    cells = [path.read_text() for path in (tmp_path / "results").glob("cells/*/*.json")]
    assert len(cells) == 2
    for cell in cells:
        assert [int(n) for n in cell.split('"found": [')[1].split("]")[0].split(",")] == [1, 0, 1, 4]


REPLACES = """
import os
from dataclasses import dataclass
from pathlib import Path
from harness.hookspecs import hookimpl
from harness.method import Method

@dataclass
class Replaces(Method):
    \"\"\"Replaces the weights that later processes load, and keeps their size and time.\"\"\"

    def fit(self, task):
        weights = Path(os.environ["HOSTILE_WEIGHTS"])
        before, content = weights.stat(), weights.read_bytes()
        weights.write_bytes(content[:-4096] + bytes(4096))
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
        return self

    def scores(self, images, vocabulary):
        return images.features[:, 0, : len(vocabulary)]

@hookimpl
def harness_method():
    return Replaces
"""


def test_weights_that_a_method_replaces_are_loaded_by_no_other(site, evaluate, tmp_path, monkeypatch):
    weights = tmp_path / "models" / WEIGHTS.name
    weights.parent.mkdir()
    shutil.copy(WEIGHTS, weights)
    install(site, "replaces", REPLACES)
    monkeypatch.setenv("HOSTILE_WEIGHTS", str(weights))
    answer = evaluate("--plugin", "replaces,zero_shot", "--pretrained", weights, "--workers", "1")
    (failure,) = next(row for row in answer.json["rows"] if row["method"] == "zero_shot")["failures"]
    assert failure["reason"] == f"{WEIGHTS.name} changed after the run had identified it"


FORGED = {
    "a need that does not exist": {"needs": ["labels"]},
    "a path that no file has": {"files": {sha("x"): "\0"}},
    "a key that is no digest": {"files": {"../../x": "x"}},
    "views that take for ever": {"views": 10**9},
    "a megabyte": {"parameters": {"x": "x" * 2**20}},
}


@pytest.mark.parametrize("change", FORGED.values(), ids=list(FORGED))
def test_a_forged_description_of_a_method_is_refused(change):
    facts = {"parameters": {}, "needs": [], "seeded": True, "pool": "train-unlabeled", "views": 1, "crop": 0.5}
    origin = Origin("it", "it", "zoo", "1.0")
    honest = facts | {"files": {}, "warning": "w" * 10**5}
    described = resolve_methods._parsed(origin, json.dumps(honest).encode())
    assert len(described.warning) == LONGEST
    refused = resolve_methods._parsed(origin, json.dumps(honest | change).encode())
    assert isinstance(refused, PluginError)
    assert refused.message.startswith("plugin 'it' (zoo 1.0) ")


def test_an_observer_that_never_returns_gets_no_further_cells(site, evaluate, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.runner.observers.ANSWER_SECONDS", 3.0)
    monkeypatch.chdir(tmp_path)
    sleeps = MEDDLES.replace("torch.set_grad_enabled(False)\n\n@", "import time; time.sleep(3600)\n\n@")
    install(site, "sleeps", sleeps, kind="observer")
    answer = evaluate("--plugin", "zero_shot", "--workers", "1", "--observer", "sleeps")
    assert answer.code == 0
    assert (
        "the process of the observers of zoo-sleeps took longer than 3 seconds; it gets no further cells" in answer.err
    )
