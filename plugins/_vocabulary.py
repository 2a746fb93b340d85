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
    """For every column its position in ``task.names``; None for names of a side that the task did not have."""
    fitted = task.vocabulary
    known = {pair: position for position, pair in enumerate(zip(fitted.names, fitted.oop, strict=True))}
    return [known.get(pair) for pair in zip(vocabulary.names, vocabulary.oop, strict=True)]


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


def move_within(scores: Tensor, term: Tensor, at: Sequence[int | None]) -> Tensor:
    """Zero-shot scores with a term added for the names that a method was fitted on: for them alone.

    The summed softmax mass of these names stays what it was, and other names keep their scores. So what was learned
    about some names decides among them, and says nothing for or against the others.

    Args:
        scores: ``(m, k)`` zero-shot scores.
        term: ``(m, n)`` of the n names of the fit.
        at: for every column its position among the n, or None.
    """
    columns = [column for column, position in enumerate(at) if position is not None]
    if not columns:
        return scores
    before = scores[:, columns]
    after = before + term[:, [at[column] for column in columns]]
    mass = (torch.logsumexp(each, dim=1, keepdim=True) for each in (before, after))
    moved = scores.clone()
    moved[:, columns] = after + next(mass) - next(mass)
    return moved
