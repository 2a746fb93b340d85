"""Asking a fitted method for its answers; what they are worth is worked out in ``harness.metrics``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import FixedVocabulary
from harness.method import Method
from harness.runner.checked_scores import checked_scores
from harness.types.features import Features
from harness.types.task import Task
from harness.types.vocabulary import Vocabulary

CHUNK = 8192
"""Images that are scored at once."""

Indices = NDArray[np.int64]


class Answers:
    """Predicted columns of every image, and why some do not apply.

    Attributes:
        predicted: ``oop``, ``ip``, ``joint_oop``, ``joint_ip`` -> ``(n,)`` columns of the vocabulary.
        not_applicable: what the method said when it was asked for names it does not know, None if it knew all.
    """

    def __init__(self, predicted: dict[str, Indices], not_applicable: str | None) -> None:
        self.not_applicable = not_applicable
        # A method of fixed vocabulary has no IP accuracy of its own, so none of the others either.
        self.predicted = predicted if not_applicable is None else {"oop": predicted["oop"]}


def predict_all(
    method: Method, name: str, scored: dict[str, Features], names: dict[str, tuple[str, ...]], hint: str
) -> Answers:
    """The predictions of a method for both sides' images in the joint and in their own vocabulary.

    In the joint one a method must not learn which side an image is from: both come together, by the sha256 of the
    images, and before the vocabularies that would tell.

    Args:
        method: fitted.
        name: how it is called in errors.
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
    return Answers(own | joint, refused)


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
