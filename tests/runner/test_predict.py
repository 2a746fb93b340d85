"""Which column is the prediction: the best one, and of several best ones the one that the image's bytes choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harness.method import Method
from harness.metrics.compute import compute_metrics
from harness.runner import predict
from harness.runner.predict import best_columns, predict_all
from harness.types.features import Features
from harness.types.vocabulary import Vocabulary

from ..makers import few, sha, unit_rows

NAMES = {"oop": tuple(f"new {i}" for i in range(6)), "ip": tuple(f"old {i}" for i in range(4))}


@dataclass
class Alike(Method):
    """Scores all names alike."""

    def fit(self, task: Any) -> Alike:
        return self

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        return torch.zeros(len(image), len(vocabulary))


@dataclass
class ByText(Method):
    """Scores by a direction of each name's text: equal texts have equal scores."""

    def fit(self, task: Any) -> ByText:
        return self

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        return image @ torch.stack([direction(name) for name in vocabulary.names]).T


def direction(name: str) -> Tensor:
    return unit_rows(1, 16, seed=int(sha(name)[:8], 16))[0]


def images(side: str, per_class: int) -> Features:
    """Images near the directions of their names, in the order of their digests."""
    digests = sorted((sha(f"{side} {y} {i}"), y) for y in range(len(NAMES[side])) for i in range(per_class))
    label = torch.tensor([y for _, y in digests])
    towards = torch.stack([direction(NAMES[side][y]) for y in label.tolist()])
    image = torch.nn.functional.normalize(towards + 0.1 * unit_rows(len(label), 16), dim=1)
    return Features(image[:, None], label, sha256=tuple(digest for digest, _ in digests))


def accuracies(method: Method, scored: dict[str, Features], names: dict[str, tuple[str, ...]]) -> dict[str, float]:
    answers = predict_all(method, "it", scored, names, "thing")
    label = {side: features.label.numpy() for side, features in scored.items()}
    return compute_metrics(answers.predicted, label, {side: len(n) for side, n in names.items()})


def test_a_method_that_scores_all_names_alike_gets_chance_in_every_vocabulary() -> None:
    scored = {side: images(side, per_class=1000) for side in NAMES}
    found = accuracies(Alike(), scored, NAMES)
    for metric, names, count in (("oop_top1", 6, 6000), ("ip_top1", 4, 4000)):
        deviation = (1 / names * (1 - 1 / names) / count) ** 0.5
        assert found[metric] == pytest.approx(1 / names, abs=3 * deviation)
        joint = (1 / 10 * (1 - 1 / 10) / count) ** 0.5
        assert found[f"joint_{metric}"] == pytest.approx(1 / 10, abs=3 * joint)


def test_a_name_on_both_sides_is_given_to_either_side_as_often() -> None:
    shared = {"oop": NAMES["oop"], "ip": (NAMES["oop"][0], *NAMES["ip"][1:])}
    scored = {"oop": images("oop", 400), "ip": images("ip", 400)}
    of_name = scored["oop"].label == 0
    predicted = predict_all(ByText(), "it", scored, shared, "thing").predicted["joint_oop"][of_name.numpy()]
    counts = np.bincount(predicted, minlength=10)
    assert counts[0] + counts[6] == 400
    assert 160 <= counts[0] <= 240, "four standard deviations around half"


def test_every_tied_name_has_its_turn() -> None:
    scores = torch.tensor([[0.0, 2.0, 1.0, 2.0, 2.0]]).expand(3000, 5)
    counts = np.bincount(best_columns(scores, [sha(str(i)) for i in range(3000)]), minlength=5)
    assert counts[0] == counts[2] == 0
    assert min(counts[[1, 3, 4]]) > 900


@few
@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=12), st.randoms())
def test_a_choice_among_the_best_depends_on_the_image_alone(rows: list[list[int]], random: Any) -> None:
    scores = torch.tensor(rows, dtype=torch.float32)
    digests = [sha(str(i)) for i in range(len(rows))]
    found = best_columns(scores, digests)
    assert all(row[column] == max(row) for row, column in zip(rows, found, strict=True))
    order = list(range(len(rows)))
    random.shuffle(order)
    assert best_columns(scores[order], [digests[i] for i in order]).tolist() == found[order].tolist()
    alone = [best_columns(scores[i : i + 1], digests[i : i + 1])[0] for i in order]
    assert alone == found[order].tolist()


def test_without_equal_scores_it_is_the_highest() -> None:
    scores = torch.randn(500, 40, generator=torch.Generator().manual_seed(1))
    assert best_columns(scores, [sha(str(i)) for i in range(500)]).tolist() == scores.argmax(dim=1).tolist()


def test_parts_of_the_images_are_scored_like_all(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = {side: images(side, per_class=5) for side in NAMES}
    whole = predict_all(Alike(), "it", scored, NAMES, "thing").predicted
    monkeypatch.setattr(predict, "CHUNK", 7)
    parts = predict_all(Alike(), "it", scored, NAMES, "thing").predicted
    assert {key: found.tolist() for key, found in parts.items()} == {k: found.tolist() for k, found in whole.items()}
