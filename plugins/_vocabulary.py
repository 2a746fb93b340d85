"""Columns of a vocabulary: the names that a method was fitted on, and all others."""

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
    """Unit rows ``(k, d)``: text features of the protocol's prompt for every name."""
    return task.text.encode([task.template.fill(name, vocabulary.noun) for name in vocabulary.names])


def raw_zero_shot_text(task: Task, vocabulary: Vocabulary) -> Tensor:
    """Rows ``(k, d)``: the same text features with the lengths that the tower gives them."""
    prompts = [task.template.fill(name, vocabulary.noun) for name in vocabulary.names]
    return task.text.encode(prompts) * task.text.norms(prompts)[:, None]


def fitted_positions(vocabulary: Vocabulary, task: Task) -> list[int | None]:
    """For every column its position in ``task.names``; None for a name that was not fitted."""
    fitted = task.vocabulary
    known = {pair: position for position, pair in enumerate(zip(fitted.names, fitted.oop, strict=True))}
    return [known.get(pair) for pair in zip(vocabulary.names, vocabulary.oop, strict=True)]


def require_fitted_positions(vocabulary: Vocabulary, task: Task, method: str) -> list[int]:
    """For every column its position in ``task.names``, for a method that scores fitted names only.

    Raises:
        FixedVocabulary: a name of the vocabulary is not in ``task.names``.
    """
    found = fitted_positions(vocabulary, task)
    for name, position in zip(vocabulary.names, found, strict=True):
        if position is None:
            raise FixedVocabulary(f"{method} cannot score {name!r}: it was not among the names it was fitted on")
    return [position for position in found if position is not None]


def add_to_fitted(scores: Tensor, term: Tensor, at: Sequence[int | None]) -> Tensor:
    """Add a term to the zero-shot scores of the fitted names, preserving their total softmax mass.

    Other names keep their scores, so the term decides among the fitted names and does not favour them over others.

    Args:
        scores: ``(m, k)`` zero-shot scores.
        term: ``(m, n)`` term of the n fitted names.
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
