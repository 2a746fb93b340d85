"""Gradient descent on the support: optimizer, schedule, batches and views of every trained method."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field

from harness.device import to_device
from harness.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Support, Task

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""Parameter types with bounds."""

PAPER: dict[str, Any] = {
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "warmup_lr": 1e-5,
    "epochs": 200,
    "views": 16,
    "whole_batches": True,
}
"""Settings shared by the LAION-Beyond paper's trained methods. 16 cached views, the whole image and 15 random crops,
replace the new crop that the paper draws at every step."""


@dataclass(frozen=True)
class Batch:
    """Support images of one step, each in one of its views.

    Attributes:
        index: ``(b,)`` positions in the support, on the CPU, so that lookups do not synchronise.
        view: ``(b,)`` the view of each, on the CPU.
        image: ``(b, d)`` frozen features.
        label: ``(b,)`` positions in ``Task.names``.
    """

    index: Tensor
    view: Tensor
    image: Tensor
    label: Tensor
    _support: Support

    @classmethod
    def draw(cls, task: Task, support: Support, index: Tensor) -> Batch:
        """Images of the support at positions ``index``, in random views."""
        view = torch.randint(support.features.shape[1], (len(index),), generator=task.generator)
        at, of = to_device(torch.stack([index, view]), task.device)
        return cls(index, view, support.features[at, of], support.label[at], support)

    def pixels(self) -> Tensor:
        """Normalized pixels ``(b, 3, h, w)`` (need: pixels)."""
        return self._support.pixels(self.index, self.view)


@dataclass
class TrainedMethod(Method):
    """Base of the methods that are fitted by gradient descent. The last epoch counts; there is no model selection.

    The defaults are ours, for cached features: Adam on whole images, mostly with all of the support in one batch.
    The preset ``paper`` has the optimizer, batches, crops and epochs of the LAION-Beyond paper.
    """

    epochs: NonNegativeInt = 60
    """Passes over the support images."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Adam, Adam with decoupled weight decay, or SGD with momentum."""
    lr: NonNegativeFloat = 0.01
    """Learning rate, with cosine decay to zero."""
    momentum: Fraction = 0.9
    """Momentum of SGD."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay of the optimizer."""
    eps: PositiveFloat = 1e-8
    """What Adam adds to its denominator."""
    warmup_lr: NonNegativeFloat | None = None
    """Constant learning rate of the first epoch, before the cosine; None: no warm-up."""
    whole_batches: bool = False
    """Drop the last incomplete batch of an epoch, unless it is the only one."""
    views: PositiveInt = 1
    """Views of each support image; a batch takes one of them at random."""
    crop: Fraction = 0.08
    """Minimum area of a view's crop, as a share of the image."""

    def train(
        self,
        task: Task,
        parameters: Sequence[Tensor],
        loss: Callable[[Batch], Tensor],
        batch: int | None = None,
        images: int | None = None,
        epochs: int | None = None,
        support: Support | None = None,
        each_epoch: Callable[[int], None] | None = None,
    ) -> None:
        """Minimise the loss, changing the parameters in place.

        Args:
            task: provides the support, the generator and the progress.
            parameters: leaf tensors.
            loss: the loss of a batch.
            batch: images of a batch; None: all images of an epoch.
            images: random images of an epoch; None: all of the support.
            epochs: number of passes; None: the parameter ``epochs``.
            support: images to learn from; None: the task's support.
            each_epoch: called after every epoch with its number, from 0.
        """
        for parameter in parameters:
            parameter.requires_grad_(True)
        support = support or task.support
        images = min(images or len(support.label), len(support.label))
        batch, epochs = batch or images, self.epochs if epochs is None else epochs
        images -= images % batch if self.whole_batches and images > batch else 0
        step = self._optimizer(parameters)
        per_epoch = math.ceil(images / batch)
        for epoch in range(epochs):
            for group in step.param_groups:
                group["lr"] = self._lr(epoch, batch, epochs)
            order = torch.randperm(len(support.label), generator=task.generator)[:images]
            for n, index in enumerate(order.split(batch)):
                value = loss(Batch.draw(task, support, index))
                step.zero_grad()
                value.backward()
                step.step()
                task.progress(epoch * per_epoch + n + 1, epochs * per_epoch)
            if each_epoch is not None:
                each_epoch(epoch)
        step.zero_grad()
        for parameter in parameters:
            parameter.requires_grad_(False)

    def _optimizer(self, parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
        if self.optimizer == "sgd":
            return torch.optim.SGD(parameters, lr=0.0, momentum=self.momentum, weight_decay=self.weight_decay)
        adam = torch.optim.AdamW if self.optimizer == "adamw" else torch.optim.Adam
        return adam(parameters, lr=0.0, eps=self.eps, weight_decay=self.weight_decay)

    def _lr(self, epoch: int, batch: int, epochs: int | None = None) -> float:
        if epoch == 0 and self.warmup_lr is not None:
            return self.warmup_lr
        since = epoch if self.warmup_lr is None else epoch - 1  # CoOp's schedule
        return self._peak(batch) * 0.5 * (1 + math.cos(math.pi * since / (epochs or self.epochs)))

    def _peak(self, batch: int) -> float:
        return self.lr
