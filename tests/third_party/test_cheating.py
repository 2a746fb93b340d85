"""A method that looks for the labels of scored images finds none, and is right by chance."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from harness.runner.image_input import ArrayPixels
from harness.types.images import Images
from harness.types.vocabulary import Vocabulary

from . import cheating
from .installed import install

CODE = Path(cheating.__file__).read_text(encoding="utf-8")
CHEATS = re.findall(r'^    "(\w+)": \w+,$', CODE, re.MULTILINE)
READERS = ("by_order", "by_feature", "by_split_file")
"""Those that read files of the run."""


@pytest.fixture
def cheats(site: Path, world: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site with all cheats, which know where everything is."""
    for name in CHEATS:
        install(site, "cheating", CODE, name=name, value=f"cheating:offers.{name}", distribution="zoo-cheats")
    for name, where in (("RESULTS", tmp_path / "results"), ("CACHE", cache), ("DATA", world)):
        monkeypatch.setenv(f"CHEAT_{name}", str(where))
    monkeypatch.setenv("CHEAT_JUDGE", str(os.getpid()))
    monkeypatch.setenv("CHEAT_PUBLIC", json.dumps(public_labels(world)))
    return site


def public_labels(world: Path) -> dict[str, tuple[str, int]]:
    """sha256 -> (side, label) of every test image of Animals."""
    found = {}
    for folder, side in (("Animals6_OOP", "oop"), ("Animals3_IP", "ip")):
        (file,) = (world / folder).glob("split*.json")
        for item in json.loads(file.read_text(encoding="utf-8"))["test"].values():
            content = (world / folder / "images" / item["classname"] / item["image_name"]).read_bytes()
            found[hashlib.sha256(content).hexdigest()] = (side, item["label"])
    return found


def accuracies(row: dict[str, Any]) -> dict[str, float]:
    return {name: row["mean"][name]["mean"] for name in ("oop_top1", "joint_oop_top1", "joint_ip_top1")}


@pytest.mark.parametrize("how", [(), pytest.param(("--isolate",), marks=pytest.mark.slow)])
def test_no_cheat_finds_a_label(cheats: Path, evaluate: Any, how: tuple[str, ...]) -> None:
    evaluate("--plugin", "zero_shot")  # so that the results folder has the labels
    answer = evaluate("--plugin", ",".join(CHEATS), "--baseline", "none", *how)
    rows = {row["method"]: row for row in answer.json["rows"]}
    reasons = {name: [failure["reason"] for failure in row["failures"]] for name, row in rows.items()}
    assert {name: reasons[name] for name in CHEATS if name != "patches"} == {
        name: [] for name in CHEATS if name != "patches"
    }
    for name in set(CHEATS) - {"patches"}:
        assert max(accuracies(rows[name]).values()) < 0.6, name


def test_the_cheats_find_labels_where_nothing_hides_them(cheats: Path, evaluate: Any, world: Path, cache: Path) -> None:
    """Otherwise the test above would show nothing."""
    evaluate("--plugin", "zero_shot")
    known = cheating.sheet()
    vocabulary = Vocabulary.of("animal", oop=tuple("abcdef"), ip=tuple("ghi"))
    right = cheating.columns(sorted(known), known, vocabulary)
    assert cheating.ByOrder().labels(None, vocabulary) == right
    assert len(set(right)) > 5
    features = {}
    for shard in cache.rglob("*.safetensors"):
        content = cheating.load_file(shard)
        features |= {bytes(k).hex(): row for k, row in zip(content["sha256"], content["feature"], strict=True)}
    image = Images.of(torch.stack([torch.from_numpy(features[key]) for key in sorted(known)]))
    assert cheating.ByFeature().labels(image, vocabulary) == right
    assert cheating.BySplitFile().labels(image, vocabulary)
    label = torch.tensor(right)
    assert cheating.ByMemory().labels(image, vocabulary) is not None, label
    assert cheating.ByParent().labels(image, vocabulary) is not None
    assert cheating.ByPublicOrder().labels(image, vocabulary) == right


def leaky(tmp_path: Path, label: torch.Tensor | None = None, path: str = "") -> Images:
    """Images with pixels in a file, and with a loader that knows more than it should."""
    n = 18
    pixels = np.random.default_rng(0).integers(0, 256, (n, 1, 3, 8, 8), dtype=np.uint8)
    for name, rows in (("all", pixels), ("oop", pixels[::2])):
        np.save(tmp_path / f"{name}.npy", rows)
    array = np.load(tmp_path / "all.npy", mmap_mode="c")
    loader = ArrayPixels(array, lambda batch: (batch.float(), label, path)[0], torch.device("cpu"))
    return Images(torch.ones(n, 1, 2), _pixels=loader)


def test_those_that_get_pixels_and_the_model_find_what_is_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Vocabulary.of("animal", oop=tuple("abc"))
    label = torch.arange(18) % 3
    hidden = leaky(tmp_path)
    assert cheating.ByPixels().labels(hidden, names) is None
    assert cheating.ByPixels().labels(leaky(tmp_path, label), names) == label.tolist()
    assert cheating.ByPixels().labels(leaky(tmp_path, path="Animals6_OOP/images/ibex/006 rgba.png"), names) is not None
    assert cheating.ByInputFiles().labels(hidden, names) == [0, 2] * 9

    def asked(cheat: Any, copies: Any) -> Any:
        model = torch.nn.Linear(2, 2)
        support = SimpleNamespace(label=torch.arange(4))
        task = SimpleNamespace(_model=copies, support=support, model=lambda: copies.model if copies.shared else model)
        return cheat.fit(task).labels(hidden, names)

    copies = SimpleNamespace(model=torch.nn.Linear(2, 2), shared=False)
    assert asked(cheating.ByModel(), copies) is None
    assert [asked(cheating.ByMarks(), copies) for _ in range(2)] == [None, None]
    copies.shared = True
    assert [asked(cheating.ByMarks(), copies) is None for _ in range(2)] == [True, False]
    copies.model.register_buffer("left", label)
    assert asked(cheating.ByModel(), copies) == label.tolist()
    monkeypatch.setitem(sys.modules, "harness_of_a_test", ModuleType("harness_of_a_test"))
    sys.modules["harness_of_a_test"].left = {"labels": [label]}  # type: ignore[attr-defined]
    assert cheating.ByModules().labels(hidden, names) == label.tolist()


def test_what_a_method_patches_reaches_no_cell_of_another(cheats: Path, evaluate: Any, tmp_path: Path) -> None:
    words = ("-p", "fsnl.epochs=1", "--baseline", "none", "--workers", "1")
    alone = evaluate("--plugin", "fsnl", *words, "--out", tmp_path / "alone").json["rows"]
    both = evaluate("--plugin", "patches,fsnl", *words, "--out", tmp_path / "both").json["rows"]
    (own,) = (row for row in both if row["method"] == "fsnl")
    assert {key: own[key] for key in ("mean", "domains")} == {key: alone[0][key] for key in ("mean", "domains")}
