"""Columns of a vocabulary: which of its names a method was fitted on, and what the others get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from harness.errors import FixedVocabulary

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


def zero_shot_text(task: Task, vocabulary: Vocabulary) -> Tensor:
    """Unit rows ``(k, d)``: the protocol's prompt of every name."""
    return task.text.encode([task.template.fill(name, vocabulary.hint) for name in vocabulary.names])


def positions(vocabulary: Vocabulary, task: Task) -> list[int | None]:
    """For every column its position in ``task.names``; None for IP names and for names the task did not have."""
    known = {name: position for position, name in enumerate(task.names)}
    return [known.get(n) if oop else None for n, oop in zip(vocabulary.names, vocabulary.oop, strict=True)]


def fixed_positions(vocabulary: Vocabulary, task: Task, method: str) -> list[int]:
    """The same for a method that knows no other names.

    Raises:
        FixedVocabulary: the vocabulary holds a name that is not among ``task.names``.
    """
    found = positions(vocabulary, task)
    for name, position in zip(vocabulary.names, found, strict=True):
        if position is None:
            raise FixedVocabulary(f"{method} cannot score {name!r}: it was not among the names it was fitted on")
    return [position for position in found if position is not None]


def spread(values: Tensor, at: Sequence[int | None]) -> Tensor:
    """The columns ``at`` of ``values`` ``(m, n)`` as ``(m, k)``; zeros where ``at`` is None."""
    padded = torch.cat([values, values.new_zeros(len(values), 1)], dim=1)
    return padded[:, [values.shape[1] if position is None else position for position in at]]
