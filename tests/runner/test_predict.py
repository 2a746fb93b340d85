"""Which column is the prediction: the best one, and of several best ones the one that the image's bytes choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from harness.method import Method
from harness.runner import image_input
from harness.runner.best_columns import BestColumns
from harness.runner.kept_scores import KeptScores
from harness.runner.predict import checked_scores
from harness.types.images import Images
from harness.types.vocabulary import Vocabulary

from ..cells import predicted
from ..makers import few, sha, unit_rows

NAMES = {"oop": tuple(f"new {i}" for i in range(6)), "ip": tuple(f"old {i}" for i in range(4))}


@dataclass
class Alike(Method):
    """Scores all names alike."""

    def fit(self, task: Any) -> Alike:
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        return torch.zeros(len(images), len(vocabulary))


@dataclass
class ByText(Method):
    """Scores by a direction of each name's text: equal texts have equal scores."""

    def fit(self, task: Any) -> ByText:
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        return images.features[:, 0] @ torch.stack([direction(name) for name in vocabulary.names]).T


@dataclass
class ByTunedText(ByText):
    """The same with gradients, as of a method that tunes itself on the images."""

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        with torch.enable_grad():
            return super().scores(images, vocabulary) * torch.ones((), requires_grad=True)


def direction(name: str) -> Tensor:
    return unit_rows(1, 16, seed=int(sha(name)[:8], 16))[0]


def images(side: str, per_class: int) -> tuple[Tensor, NDArray[np.int64], list[str]]:
    """Images near the directions of their names, their labels and digests."""
    digests = sorted((sha(f"{side} {y} {i}"), y) for y in range(len(NAMES[side])) for i in range(per_class))
    label = np.array([y for _, y in digests])
    towards = torch.stack([direction(NAMES[side][y]) for y in label])
    image = torch.nn.functional.normalize(towards + 0.1 * unit_rows(len(label), 16), dim=1)
    return image, label, [digest for digest, _ in digests]


def columns(method: Method, image: Tensor, sha256: list[str], **names: tuple[str, ...]) -> NDArray[np.int64]:
    return predicted(method, image, Vocabulary.of("thing", **names)).choose(sha256)


def best_columns(scores: Tensor, sha256: list[str]) -> NDArray[np.int64]:
    return BestColumns.of(scores).choose(sha256)


def test_a_method_that_scores_all_names_alike_gets_chance_in_every_vocabulary() -> None:
    for side, first in (("oop", 0), ("ip", len(NAMES["oop"]))):
        image, label, sha256 = images(side, per_class=1000)
        own = columns(Alike(), image, sha256, **{side: NAMES[side]}) == label
        joint = columns(Alike(), image, sha256, **NAMES) == label + first
        for right, names in ((own, len(NAMES[side])), (joint, 10)):
            deviation = (1 / names * (1 - 1 / names) / len(label)) ** 0.5
            assert right.mean() == pytest.approx(1 / names, abs=3 * deviation)


def test_scores_with_gradients_are_scores() -> None:
    shown, names = Images(images("oop", 3)[0][:, None]), Vocabulary.of("thing", **NAMES)
    plain, tuned = (
        KeptScores.of(checked_scores(method, "own", shown, names), names) for method in (ByText(), ByTunedText())
    )
    np.testing.assert_array_equal(plain.confidence, tuned.confidence)
    np.testing.assert_array_equal(plain.margin, tuned.margin)


def test_a_name_on_both_sides_is_given_to_either_side_as_often() -> None:
    image, label, sha256 = images("oop", 400)
    shared = {"oop": NAMES["oop"], "ip": (NAMES["oop"][0], *NAMES["ip"][1:])}
    counts = np.bincount(columns(ByText(), image, sha256, **shared)[label == 0], minlength=10)
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
    image, _, sha256 = images("oop", per_class=5)
    whole = columns(Alike(), image, sha256, **NAMES)
    monkeypatch.setattr(image_input, "CHUNK", 7)
    assert columns(Alike(), image, sha256, **NAMES).tolist() == whole.tolist()


@few
@given(st.lists(st.lists(st.integers(0, 1), min_size=9, max_size=9), min_size=1, max_size=6), st.data())
def test_best_columns_that_were_changed_on_their_way_are_refused(rows: list[list[int]], data: Any) -> None:
    sent = dict(BestColumns.of(torch.tensor(rows, dtype=torch.float32)).arrays("oop"))
    read = BestColumns.read(sent, "oop", len(rows), 9)
    assert all((one == other).all() for one, other in zip(read, sent.values(), strict=True))
    key = data.draw(st.sampled_from(sorted(sent)))
    wrong = data.draw(st.sampled_from(["missing", "longer", "scalar", "other type", "high", "negative"]))
    array = sent[key]
    changed = {
        "missing": None,
        "longer": np.concatenate([array, np.zeros((1, *array.shape[1:]), array.dtype)]),
        "scalar": np.zeros((), array.dtype),
        "other type": array.astype(np.float32),
        "high": np.full_like(array, 255),
        "negative": -1 - array if array.dtype == np.int64 else np.zeros_like(array),
    }[wrong]
    if changed is not None and array.shape == changed.shape and not array.size and changed.dtype == array.dtype:
        return  # there is nothing to change
    forged = sent | {key: changed} if changed is not None else {k: v for k, v in sent.items() if k != key}
    with pytest.raises(ValueError, match="predictions of the oop names"):
        BestColumns.read(forged, "oop", len(rows), 9)
