"""The training loop against a plain implementation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from harness.types.task import Support
from harness_plugins._layers import uniform_init
from harness_plugins._training import TrainedMethod

from ..makers import unit_rows
from .tasks import make_task


@dataclass
class Example(TrainedMethod):
    """Only the loop."""

    def fit(self, task: Any) -> Any:
        raise NotImplementedError

    scores = fit


def numbered(n: int, views: int = 1) -> Any:
    """A task whose image i is the number i, and v / 10 more in view v."""
    image = torch.arange(n)[:, None, None] + torch.arange(views)[None, :, None] / 10
    return make_task(_support=Support(image, torch.arange(n)))


def trained(task: Any, batch: int | None = None, images: int | None = None, epochs: int | None = None, **parameters):
    """The batches of a run, as lists."""
    seen = []
    value = torch.zeros(1)

    def loss(chosen):
        assert torch.equal(chosen.index, chosen.label)
        assert torch.equal(chosen.image[:, 0].floor().long(), chosen.label)
        seen.append(chosen.image[:, 0].tolist())
        return (value - 1).square().sum()

    Example(**parameters).train(task, [value], loss, batch, images, epochs)
    assert not value.requires_grad
    return seen


def test_every_epoch_sees_every_image_once():
    seen = trained(numbered(10), batch=4, epochs=3)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 3
    epochs = [[x for batch in seen[i : i + 3] for x in batch] for i in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_without_a_batch_size_a_step_sees_all():
    assert [len(batch) for batch in trained(numbered(10), epochs=2)] == [10, 10]


def test_an_epoch_of_a_few_random_images():
    seen = trained(numbered(10), batch=3, images=4, epochs=50)
    assert [len(batch) for batch in seen] == [3, 1] * 50
    assert len({x for batch in seen for x in batch}) == 10
    assert [len(batch) for batch in trained(numbered(3), batch=16, images=16, epochs=2)] == [3, 3]


def test_incomplete_batch_can_be_dropped():
    seen = trained(numbered(10), batch=4, epochs=40, whole_batches=True)
    assert [len(batch) for batch in seen] == [4] * 80
    assert len({x for batch in seen for x in batch}) == 10
    for batch in (10, 16, None):
        assert [len(batch) for batch in trained(numbered(10), batch=batch, epochs=2, whole_batches=True)] == [10, 10]


def test_all_views_are_used():
    seen = trained(numbered(5, views=3), epochs=30)
    assert {round(x % 1 * 10) for batch in seen for x in batch} == {0, 1, 2}


@pytest.mark.parametrize("warmup_lr", [None, 0.001])
def test_sgd_matches_reference_with_cosine_schedule(warmup_lr):
    start = unit_rows(1, 4, 1)[0].double()
    parameter = start.clone()
    method = Example(epochs=7, optimizer="sgd", lr=0.3, momentum=0.9, weight_decay=0.01, warmup_lr=warmup_lr)
    method.train(numbered(4), [parameter], lambda batch: (parameter.pow(4) * batch.label.sum()).sum())
    value, velocity = start.clone(), torch.zeros(4, dtype=torch.float64)
    cosine = [0.3 * (1 + math.cos(math.pi * epoch / 7)) / 2 for epoch in range(7)]
    for lr in cosine if warmup_lr is None else [warmup_lr, *cosine[:-1]]:
        velocity = 0.9 * velocity + 4 * value**3 * 6 + 0.01 * value
        value = value - lr * velocity
    torch.testing.assert_close(parameter, value)


def test_adam_reduces_loss():
    parameter = torch.full((3,), 5.0)
    Example(epochs=200, lr=0.2).train(numbered(4), [parameter], lambda batch: (parameter - 1).square().sum())
    torch.testing.assert_close(parameter, torch.ones(3), atol=1e-3, rtol=0)


def test_layers_start_uniform_within_inverse_root_of_inputs():
    drawn = uniform_init(make_task(), 400, 25, inputs=25)
    assert drawn.shape == (400, 25)
    assert torch.equal(uniform_init(make_task(), 400, 25, inputs=25), drawn), "by the task's generator"
    assert float(drawn.abs().max()) <= 0.2
    for quarter in range(4):
        low = -0.2 + 0.1 * quarter
        assert float(((drawn >= low) & (drawn < low + 0.1)).double().mean()) == pytest.approx(0.25, abs=0.02)
