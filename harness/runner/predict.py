"""Predictions of a fitted method: its scores, checked, and the best-scored name of every image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import FixedVocabulary, MethodError
from harness.method import Method
from harness.types.features import Features
from harness.types.task import Task
from harness.types.vocabulary import Vocabulary

CHUNK = 8192
"""Images that are scored at once."""

Indices = NDArray[np.int64]


class AllPredictions:
    """Predicted columns of every image, and why some do not apply.

    Attributes:
        predicted: ``oop``, ``ip``, ``joint_oop``, ``joint_ip`` -> ``(n,)`` columns of the vocabulary.
        not_applicable: the method's message about names that it does not know, None if it knew all.
    """

    def __init__(self, predicted: dict[str, Indices], not_applicable: str | None) -> None:
        self.not_applicable = not_applicable
        # A method of fixed vocabulary cannot score IP names, neither alone nor in the joint vocabulary.
        self.predicted = predicted if not_applicable is None else {"oop": predicted["oop"]}


def predict_all(
    method: Method, name: str, scored: dict[str, Features], names: dict[str, tuple[str, ...]], hint: str
) -> AllPredictions:
    """The predictions of a method for both sides' images in the joint and in their own vocabulary.

    In the joint one a method must not learn which side an image is from: both come together, ordered by the sha256 of
    the images, and before the vocabularies of single sides.

    Args:
        method: fitted.
        name: its name in errors.
        scored: test features of ``oop`` and, if the data have it, of ``ip``.
        names: the names of each side.
        hint: what the domain's concepts are called in a prompt.

    Raises:
        MethodError: scores that the contract forbids.
        FixedVocabulary: the method cannot even score the OOP names.
    """
    joint: dict[str, Indices] = {}
    refused = None
    if "ip" in scored:
        try:
            joint = _mixed(method, name, scored, Vocabulary.of(hint, oop=names["oop"], ip=names["ip"]))
        except FixedVocabulary as answer:
            refused = answer.message
    own = {"oop": _own(method, name, scored["oop"], Vocabulary.of(hint, oop=names["oop"]))}
    if joint:
        try:
            own["ip"] = _own(method, name, scored["ip"], Vocabulary.of(hint, ip=names["ip"]))
        except FixedVocabulary as answer:
            refused = answer.message
    return AllPredictions(own | joint, refused)


def _own(method: Method, name: str, scored: Features, vocabulary: Vocabulary) -> Indices:
    """The predictions for one side's images."""
    return predict(method, name, scored.image[:, 0], scored.sha256, vocabulary)


def _mixed(method: Method, name: str, scored: dict[str, Features], vocabulary: Vocabulary) -> dict[str, Indices]:
    """The predictions for the images of all sides, asked for together."""
    sha256 = [each for features in scored.values() for each in features.sha256]
    order = sorted(range(len(sha256)), key=sha256.__getitem__)
    image = torch.cat([features.image[:, 0] for features in scored.values()])
    predicted = np.empty(len(order), np.int64)
    predicted[order] = predict(method, name, image[order], [sha256[i] for i in order], vocabulary)
    ends = np.cumsum([len(features.sha256) for features in scored.values()])
    return {f"joint_{side}": part for side, part in zip(scored, np.split(predicted, ends[:-1]), strict=True)}


def reference(task: Task, scored: dict[str, Features], names: dict[str, tuple[str, ...]]) -> Indices | None:
    """Zero-shot predictions of the IP images among the IP names: what IP retention is measured against."""
    if "ip" not in scored:
        return None
    text, scale = task.text.encode([task.template.fill(name, task.hint) for name in names["ip"]]), task.logit_scale
    image, sha256 = scored["ip"].image[:, 0], scored["ip"].sha256
    with torch.no_grad():  # scaled as methods do: otherwise one in 16,000 images, nearly tied, is rounded another way
        best = [
            best_columns(scale * image[start : start + CHUNK] @ text.T, sha256[start : start + CHUNK])
            for start in range(0, len(image), CHUNK)
        ]
    return np.concatenate(best)


def predict(method: Method, name: str, image: Tensor, sha256: Sequence[str], vocabulary: Vocabulary) -> Indices:
    """The best-scored column of every image ``(n,)``; ``best_columns`` says which of several.

    Raises:
        MethodError: scores that the contract forbids.
    """
    best = [
        best_columns(
            checked_scores(method, name, image[start : start + CHUNK], vocabulary), sha256[start : start + CHUNK]
        )
        for start in range(0, len(image), CHUNK)
    ]
    return np.concatenate(best)


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


def best_columns(scores: Tensor, sha256: Sequence[str]) -> Indices:
    """The column with the highest score of every image ``(m,)``, of scores ``(m, k)``.

    Among c columns that share the highest score, the image's own sha256 modulo c decides. So no name and no side is
    favoured, a method that scores all names alike is right by chance, and nothing depends on order, batch or device.
    """
    highest, column = scores.max(dim=1)
    best: Indices = column.cpu().numpy().astype(np.int64)
    tied = scores == highest[:, None]
    several = tied.sum(dim=1, dtype=torch.int32) > 1
    rows = several.nonzero()[:, 0].tolist()
    if rows:
        among = tied[several].cpu().numpy()
        turn = np.array([int(sha256[row], 16) % int(count) for row, count in zip(rows, among.sum(axis=1), strict=True)])
        best[rows] = (among.cumsum(axis=1) > turn[:, None]).argmax(axis=1)  # the first column that is the turn's
    return best
