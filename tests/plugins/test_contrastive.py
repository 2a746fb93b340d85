"""The symmetric contrastive loss against its formula, written out with loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harness_plugins._contrastive import symmetric_contrastive

from ..makers import few, unit_rows

SCALE = 14.3


def one_side(from_: list[list[float]], to: list[list[float]], own: list[int], other: list[int]) -> float:
    """Mean over the rows that have a positive of -log(mass on positives / mass on all)."""
    losses = []
    for row, label in zip(from_, own, strict=True):
        mass = [math.exp(SCALE * sum(a * b for a, b in zip(row, column, strict=True))) for column in to]
        good = sum(m for m, y in zip(mass, other, strict=True) if y == label)
        if good > 0:
            losses.append(-math.log(good / sum(mass)))
    return sum(losses) / len(losses)


def formula(image: Tensor, text: Tensor, image_label: list[int], text_label: list[int]) -> float:
    i, t = image.tolist(), text.tolist()
    return (one_side(i, t, image_label, text_label) + one_side(t, i, text_label, image_label)) / 2


labels = st.lists(st.integers(0, 3), min_size=1, max_size=7)


@few
@given(labels, labels, st.integers(0, 100))
def test_loss_matches_formula(image_label: list[int], text_label: list[int], seed: int) -> None:
    text_label = [*text_label, image_label[0]]  # at least one pair
    image = unit_rows(len(image_label), 5, seed).double()
    text = unit_rows(len(text_label), 5, seed + 1).double()
    loss = symmetric_contrastive(image, text, torch.tensor(image_label), torch.tensor(text_label), SCALE)
    assert float(loss) == pytest.approx(formula(image, text, image_label, text_label), rel=1e-9)


def test_gradients_match_numerical_gradients() -> None:
    image = unit_rows(5, 4, 0).double().requires_grad_(True)
    text = unit_rows(4, 4, 1).double().requires_grad_(True)
    image_label, text_label = torch.tensor([0, 0, 1, 2, 7]), torch.tensor([0, 1, 2, 2])  # 7 has no text

    def loss(image: Tensor, text: Tensor) -> Tensor:
        return symmetric_contrastive(image, text, image_label, text_label, SCALE)

    assert torch.autograd.gradcheck(loss, (image, text))


def test_rows_without_positive_have_no_loss() -> None:
    image, text = unit_rows(3, 4, 0), unit_rows(2, 4, 1)
    label = torch.tensor([0, 1])
    both = symmetric_contrastive(image[:2], text, label, label, SCALE)
    lonely = symmetric_contrastive(image, text, torch.tensor([0, 1, 9]), label, SCALE)
    # The third image has no row of its own in image-to-text, but is one more wrong image in text-to-image.
    assert float(lonely) == pytest.approx(formula(image, text, [0, 1, 9], [0, 1]), rel=1e-5)
    assert float(lonely) > float(both)


def test_loss_is_zero_for_perfect_pairs_and_single_class() -> None:
    eye = torch.eye(4)
    label = torch.arange(4)
    assert float(symmetric_contrastive(eye, eye, label, label, 100.0)) == pytest.approx(0, abs=1e-6)
    assert float(symmetric_contrastive(eye, eye, label * 0, label * 0, 100.0)) == pytest.approx(0, abs=1e-6)


def test_loss_does_not_depend_on_order() -> None:
    image, text = unit_rows(6, 4, 0), unit_rows(3, 4, 1)
    image_label, text_label = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 1, 2])
    one = symmetric_contrastive(image, text, image_label, text_label, SCALE)
    i, t = torch.tensor([5, 3, 1, 0, 2, 4]), torch.tensor([2, 0, 1])
    other = symmetric_contrastive(image[i], text[t], image_label[i], text_label[t], SCALE)
    torch.testing.assert_close(one, other)


def test_loss_is_finite_for_large_scales() -> None:
    image = unit_rows(6, 4, 0).requires_grad_(True)
    label = torch.tensor([0, 1, 2, 0, 1, 2])
    loss = symmetric_contrastive(image, unit_rows(6, 4, 1), label, label, 1e4)
    loss.backward()
    assert math.isfinite(loss.item())
    assert image.grad is not None
    assert bool(torch.isfinite(image.grad).all())
