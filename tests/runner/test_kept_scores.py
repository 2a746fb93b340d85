"""What is kept of scores: confidences and margins against plain numbers, and as they reach a cell."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from harness.metrics.confidence import probability
from harness.progress import NullReporter
from harness.prompts import Template
from harness.results.predictions import unpack
from harness.runner.kept_scores import KeptScores
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request
from harness.types.vocabulary import Vocabulary

from ..cells import run_cell, task_of
from ..datasets.roots import make_root
from .test_streams import provider_of

JOINT = Vocabulary.of("thing", oop=("a", "b", "c"), ip=("d", "e"))
OWN = Vocabulary.of("thing", oop=("a", "b", "c"))


def scores(m: int, k: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(m, k, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("vocabulary", [JOINT, OWN], ids=["joint", "own"])
def test_confidence_is_the_softmax_of_the_prediction(vocabulary: Vocabulary) -> None:
    given = scores(50, len(vocabulary))
    kept = KeptScores.of(given, vocabulary)
    for row, found in zip(given.double().tolist(), probability(kept.confidence), strict=True):
        total = math.fsum(math.exp(value) for value in row)
        assert found == pytest.approx(math.exp(max(row)) / total, abs=0.0006)
    assert len(kept.margin) == (50 if vocabulary is JOINT else 0)


def test_margins_and_the_best_names_of_each_side() -> None:
    given = scores(50, 5)
    kept = KeptScores.of(given, JOINT)
    sha256 = [f"{i:064x}" for i in range(50)]
    oop, ip = (columns.choose(sha256) for columns in kept.own)
    for row, margin, a, b in zip(given.double().tolist(), kept.margin, oop, ip, strict=True):
        assert row[a] == max(row[:3])
        assert row[3 + b] == max(row[3:])
        assert margin == row[a] - row[3 + b]


@pytest.mark.parametrize("value", [1e30, 0.0])
def test_one_name_or_scores_without_bounds_are_stored_at_the_ends(value: float) -> None:
    one = KeptScores.of(torch.full((2, 1), value), Vocabulary.of("thing", oop=("a",)))
    assert one.confidence.tolist() == [2**16 - 1] * 2
    far = KeptScores.of(torch.tensor([[value, -value, 0.0, 0.0, 0.0]]), JOINT)
    assert probability(far.confidence)[0] == pytest.approx(1.0 if value else 0.2, abs=0.0005)


def test_parts_are_joined_in_order_and_read_back() -> None:
    given = scores(20, 5)
    whole = dict(KeptScores.of(given, JOINT).arrays("joint"))
    parts = [KeptScores.of(part, JOINT) for part in given.split(7)]
    sent = dict(KeptScores.joined(parts).arrays("joint"))
    assert {key: array.tolist() for key, array in sent.items()} == {key: array.tolist() for key, array in whole.items()}
    again = dict(KeptScores.read(sent, "joint", 20, JOINT).arrays("joint"))
    assert all((again[key] == array).all() for key, array in whole.items())


@pytest.mark.parametrize(
    "forged",
    [
        {"joint.confidence": None},
        {"joint.confidence": np.zeros(19, np.uint16)},
        {"joint.confidence": np.zeros(20, np.float64)},
        {"joint.margin": np.full(20, np.nan)},
        {"joint.margin": None},
        {"joint.ip": np.full(20, 2)},
        {"joint.oop.among": None},
    ],
)
def test_what_was_changed_on_its_way_is_refused(forged: dict[str, Any]) -> None:
    sent: dict[str, Any] = dict(KeptScores.of(scores(20, 5), JOINT).arrays("joint")) | forged
    with pytest.raises(ValueError, match="joint"):
        KeptScores.read({key: value for key, value in sent.items() if value is not None}, "joint", 20, JOINT)


def test_a_cell_stores_what_follows_from_the_scores_of_its_images(tmp_path: Any) -> None:
    place = {
        "data": make_root(tmp_path / "data"),
        "cache": tmp_path / "cache",
        "backbone": "beyond-mini",
        "device": "cpu",
    }
    plan = make_plan(Request((MethodChoice("zero_shot"),), ("Animals",), **place), NullReporter())
    provider, job = provider_of(plan), plan.jobs[0]
    cell = run_cell(job, Template(), provider)
    assert cell.predictions_content is not None
    stored = unpack(cell.predictions_content)
    task, _ = task_of(job, Template(), provider)
    data, scored = provider.domains["Animals"], provider.scored("Animals")
    names = {side: split.names for side, split in data.scored.items()}
    text = {side: task.text.encode([task.template.fill(n, task.noun) for n in own]) for side, own in names.items()}
    best = {
        side: {other: (task.logit_scale * scored[side].image[:, 0] @ text[other].T).double() for other in names}
        for side in names
    }
    margin = {side: (best[side]["oop"].amax(1) - best[side]["ip"].amax(1)).tolist() for side in names}
    every = sorted({round(value, 4) for side in names for value in margin[side]})
    for side in names:
        own, joint = best[side][side], torch.cat([best[side]["oop"], best[side]["ip"]], dim=1)
        for key, table in ((f"{side}_confidence", own), (f"joint_{side}_confidence", joint)):
            assert probability(stored[key]) == pytest.approx(table.softmax(1).amax(1).numpy(), abs=0.001)
        assert stored[f"joint_{side}_own"].tolist() == own.argmax(1).tolist()
        assert stored[f"{side}_margin"].tolist() == pytest.approx(
            [every.index(round(m, 4)) for m in margin[side]], abs=1
        )
    assert {"joint_ausuc", "gate_auroc", "gate_oscr", "joint_micro_ap", "oop_ece", "ip_aurc"} <= cell.metrics.keys()
    above = [(a > b) + (a == b) / 2 for a in margin["oop"] for b in margin["ip"]]
    assert cell.metrics["gate_auroc"] == pytest.approx(sum(above) / len(above), abs=1e-3)
