"""Asking a fitted method for scores: what the contract allows as an answer, in a run and in the conformance checks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.errors import MethodError
from harness.method import Method
from harness.types.vocabulary import Vocabulary


def checked_scores(method: Method, name: str, image: Tensor, vocabulary: Vocabulary, when: str = "") -> Tensor:
    """The scores ``(m, k)`` of images ``(m, d)``, checked for type, shape, device and finiteness.

    Args:
        method: fitted.
        name: how it is called in errors.
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
