"""Initial weights of small linear layers, drawn from the task's generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.device import to_device

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


def uniform_init(task: Task, *shape: int, inputs: int, dtype: torch.dtype | None = None) -> Tensor:
    """Uniform weights in +-1 / sqrt(inputs), as ``torch.nn.Linear`` initialises them; by default as the support."""
    drawn = torch.rand(*shape, generator=task.generator, dtype=dtype or task.support.features.dtype)
    return (2 * to_device(drawn, task.device) - 1) / inputs**0.5
