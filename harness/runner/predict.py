"""Ask a fitted method for its predictions, in every vocabulary; runs in the process of the cell."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.errors import FixedVocabulary, MethodError
from harness.method import Method
from harness.runner.best_columns import CHUNK, BestColumns
from harness.types.vocabulary import Vocabulary


def predict_all(
    method: Method, name: str, image: Tensor, vocabularies: dict[str, Vocabulary]
) -> tuple[dict[str, BestColumns], str | None]:
    """The best columns of all images ``(n, d)`` in every vocabulary, and the message about those that do not apply.

    A method of fixed vocabulary can score neither IP names nor both sides' together.

    Raises:
        MethodError: scores that the contract forbids.
        FixedVocabulary: the method cannot even score the OOP names.
    """
    found: dict[str, BestColumns] = {}
    refused = None
    for key, vocabulary in vocabularies.items():
        try:
            found[key] = predict(method, name, image, vocabulary)
        except FixedVocabulary as answer:
            if key == "oop":
                raise
            refused = answer.message
    return found if refused is None else {"oop": found["oop"]}, refused


def predict(method: Method, name: str, image: Tensor, vocabulary: Vocabulary) -> BestColumns:
    """The best-scored columns of every image ``(n,)``.

    Raises:
        MethodError: scores that the contract forbids.
    """
    starts = range(0, len(image), CHUNK)
    scores = (checked_scores(method, name, image[start : start + CHUNK], vocabulary) for start in starts)
    return BestColumns.joined([BestColumns.of(each) for each in scores])


def checked_scores(method: Method, name: str, image: Tensor, vocabulary: Vocabulary, when: str = "") -> Tensor:
    """The scores ``(m, k)`` of images ``(m, d)``, checked for type, shape, device and finiteness.

    Args:
        method: fitted.
        name: its name in errors.
        image: unit rows; the method gets a copy, it may write into what it is given.
        vocabulary: the k names to score.
        when: the situation, for errors.

    Raises:
        MethodError: the method returned what the contract forbids. What it raises itself passes through.
    """
    with torch.no_grad():
        scores: Any = method.scores(image.clone(), vocabulary)
    wanted = (len(image), len(vocabulary))
    returned = f"{name}.scores returned %s{f' {when}' if when else ''}"
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        kind = str(scores.dtype) if isinstance(scores, Tensor) else type(scores).__name__
        message = f"{returned % kind}; scores must be a floating-point tensor"
        raise MethodError(message, "return a torch tensor of floating-point scores before softmax, not labels")
    if tuple(scores.shape) != wanted:
        message = f"{returned % str(tuple(scores.shape))}; scores must be {wanted}"
        raise MethodError(message, f"return {wanted}: one row per image, one column per name of the vocabulary")
    if scores.device != image.device:
        message = f"{returned % f'scores on {scores.device}'}; they belong on {image.device}"
        raise MethodError(message, "keep everything on task.device; call neither .cuda() nor .cpu()")
    if not bool(torch.isfinite(scores).all()):
        hint = "look for a division by zero, the logarithm of zero, or a learning rate that is too high"
        raise MethodError(returned % "NaN or infinity", hint)
    return scores
