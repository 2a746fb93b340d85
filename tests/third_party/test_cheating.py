"""A method that looks for the labels of scored images finds none, and is right by chance."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.results.store import ResultStore
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
    return site


def accuracies(row: dict[str, Any]) -> dict[str, float]:
    return {name: row["mean"][name]["mean"] for name in ("oop_top1", "joint_oop_top1", "joint_ip_top1")}


@pytest.mark.parametrize("how", [(), pytest.param(("--isolate",), marks=pytest.mark.slow)])
def test_no_cheat_finds_a_label(cheats: Path, evaluate: Any, tmp_path: Path, how: tuple[str, ...]) -> None:
    evaluate("--plugin", "zero_shot")  # so that the results folder has the labels
    answer = evaluate("--plugin", ",".join(CHEATS), "--baseline", "none", *how)
    rows = {row["method"]: row for row in answer.json["rows"]}
    assert set(CHEATS) - {"patches"} == {name for name, row in rows.items() if row["complete"]}, answer.err
    found = {cell.spec.method.name: cell.outcome for cell in ResultStore(tmp_path / "results").cells()}
    for name in set(CHEATS) - {"patches"}:
        assert found[name] == {"found": False}, name
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
    image = torch.stack([torch.from_numpy(features[key]) for key in sorted(known)])
    assert cheating.ByFeature().labels(image, vocabulary) == right
    assert cheating.BySplitFile().labels(image, vocabulary)
    label = torch.tensor(right)
    assert cheating.ByMemory().labels(image, vocabulary) is not None, label
    assert cheating.ByParent().labels(image, vocabulary) is not None


def test_what_a_method_patches_reaches_no_cell_of_another(cheats: Path, evaluate: Any, tmp_path: Path) -> None:
    words = ("-p", "fsnl.epochs=1", "--baseline", "none", "--workers", "1")
    alone = evaluate("--plugin", "fsnl", *words, "--out", tmp_path / "alone").json["rows"]
    both = evaluate("--plugin", "patches,fsnl", *words, "--out", tmp_path / "both").json["rows"]
    (own,) = (row for row in both if row["method"] == "fsnl")
    assert {key: own[key] for key in ("mean", "domains")} == {key: alone[0][key] for key in ("mean", "domains")}
