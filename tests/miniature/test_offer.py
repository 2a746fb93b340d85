"""The miniature is offered as anybody's backbone and data set would be."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.backbones.backbone import resolve
from harness.backbones.find import find
from harness.datasets.identity import IDENTITY
from harness.datasets.layout import open_dataset
from harness.errors import BackboneError
from harness.miniature import build as built
from harness.miniature import model
from harness.miniature.offer import FOLDER, harness_backbone
from harness.miniature.world import WORLD
from harness.miniature.world.domains import DOMAINS
from harness.progress import NullReporter
from harness.registry import load
from harness.runner.data_source import DEFAULT_DATASET, find_data
from harness.runner.request import MethodChoice, Request

METHODS = (MethodChoice("zero_shot"),)


@pytest.fixture
def small(monkeypatch):
    """A world of one domain."""
    monkeypatch.setattr(built, "DOMAINS", {"Food": DOMAINS["Food"]})
    monkeypatch.setattr(built, "PARTS", {"ip": {"train": 1, "val": 1, "test": 1}, "oop": {"train": 1, "test": 1}})


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_backbone_record_says_what_decides_features() -> None:
    record = resolve(find(model.NAME, None, offer=load("backbone", model.NAME).value), "fp32", digest).record
    canonical = json.dumps([model.CONFIG, None], sort_keys=True, separators=(",", ":"))
    assert record.config == hashlib.sha256(canonical.encode()).hexdigest()
    assert record.weights_sha256 == digest(model.WEIGHTS)
    assert record.preprocessing.model_dump() == {**model.PREPROCESSING, "crop": 1.0}
    assert (record.architecture, record.corpus, record.preprocessing_source) == ("beyond-mini", "beyond-mini", "plugin")


def test_missing_weights_are_a_sentence(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(model, "WEIGHTS", tmp_path / "beyond_mini.safetensors")
    found = find(model.NAME, None, offer=harness_backbone())
    with pytest.raises(
        BackboneError, match="the weights of beyond-mini are not available: this installation lacks"
    ) as e:
        found.weights()
    assert "reinstall the package" in str(e.value.hint)


def test_the_default_dataset_is_the_miniature_and_names_its_backbone() -> None:
    source = find_data(Request(METHODS), NullReporter())
    assert source.name == DEFAULT_DATASET == model.NAME
    assert source.offer is not None
    assert source.offer.backbone == model.NAME
    assert source.offer.folder == FOLDER
    assert FOLDER.startswith(WORLD)  # another world needs another folder


@pytest.mark.usefixtures("small")
def test_the_dataset_is_drawn_into_the_cache_and_found_there_by_name_and_by_folder(tmp_path, monkeypatch) -> None:
    by_name = Request(METHODS, data="beyond-mini", cache=tmp_path, workers=1)
    dataset = find_data(by_name, NullReporter()).open(by_name, NullReporter())
    assert dataset.root == tmp_path / FOLDER
    assert dataset.name == "beyond-mini"
    by_folder = find_data(Request(METHODS, data=dataset.root), NullReporter())
    assert (by_folder.name, by_folder.given) == ("beyond-mini", open_dataset(dataset.root))
    assert by_folder.offer is not None  # so its default backbone is the same
    (dataset.root / IDENTITY).unlink()
    assert find_data(Request(METHODS, data=dataset.root), NullReporter()).offer is None


@pytest.mark.usefixtures("small")
def test_a_folder_comes_before_an_offered_dataset_of_its_name(tmp_path, monkeypatch) -> None:
    built.build(tmp_path / "beyond-mini", workers=1)
    monkeypatch.chdir(tmp_path)
    assert find_data(Request(METHODS, data="beyond-mini"), NullReporter()).given is not None


def test_a_plan_does_not_import_open_clip() -> None:
    code = (
        "import sys\nfrom harness.backbones.find import find\nfrom harness.registry import load\n"
        "find('beyond-mini', None, offer=load('backbone', 'beyond-mini').value)\n"
        "sys.exit('open_clip' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
