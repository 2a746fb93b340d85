"""Ask a fitted method for its predictions, in every vocabulary; runs in the process of the cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.backbones.backbone import Backbone
from harness.errors import FixedVocabulary, MethodError
from harness.method import Method
from harness.runner.cell_input import Query
from harness.runner.kept_scores import KeptScores
from harness.types.images import Images
from harness.types.vocabulary import Vocabulary


def predict_all(
    method: Method, name: str, query: Query, backbone: Backbone
) -> tuple[dict[str, KeptScores], str | None]:
    """What is kept of the scores of the images in every vocabulary, and the message about those that do not apply.

    A method of fixed vocabulary can score neither IP names nor both sides' together.

    Raises:
        MethodError: scores that the contract forbids.
        FixedVocabulary: the method cannot even score the OOP names.
    """
    found: dict[str, list[KeptScores]] = {key: [] for key in query.vocabularies}
    refused = None
    for images, keys in _questions(method, name, query, backbone):
        for key in keys:
            if key not in found:
                continue
            names = query.vocabularies[key]
            try:
                found[key].append(KeptScores.of(checked_scores(method, name, images, names), names))
            except FixedVocabulary as answer:
                if key == "oop":
                    raise
                refused = answer.message
                del found[key]
    kept = found if refused is None else {"oop": found["oop"]}
    return {key: KeptScores.joined(parts) for key, parts in kept.items()}, refused


def _questions(method: Method, name: str, query: Query, backbone: Backbone) -> Iterator[tuple[Images, tuple[str, ...]]]:
    """Images as ``encode`` returned them, and the vocabularies to score them in; of a stream one image at a time."""
    if query.streams is None:
        for part in query.images.parts(backbone):
            yield checked_encoding(method, name, part), tuple(query.vocabularies)
        return
    images = query.images.images(backbone)
    for key, positions in query.streams.items():
        for at in positions.tolist():
            yield checked_encoding(method, name, images[at : at + 1]), (key,)


def checked_encoding(method: Method, name: str, images: Images, when: str = "") -> Images:
    """What a method makes of the scored images.

    Raises:
        MethodError: it is not a record of as many images, on their device, with finite features.
    """
    with torch.no_grad():
        encoded: Any = method.encode(images)
    returned = f"{name}.encode returned %s{f' {when}' if when else ''}"
    if not isinstance(encoded, Images):
        hint = "return images.with_features(...)"
        raise MethodError(f"{returned % type(encoded).__name__}; it must be Images", hint)
    features = encoded.features
    if features.ndim != 3 or len(features) != len(images):
        what = f"features {tuple(features.shape)}"
        hint = "return images.with_features(features), with a row for every image"
        raise MethodError(f"{returned % what}; they must be ({len(images)}, views, d)", hint)
    _require_usable(features, images.features.device, returned, "features")
    return encoded


def checked_scores(method: Method, name: str, images: Images, vocabulary: Vocabulary, when: str = "") -> Tensor:
    """The scores ``(m, k)`` of m images, checked for type, shape, device and finiteness.

    Args:
        method: fitted.
        name: its name in errors.
        images: as ``encode`` returned them; the method gets a copy of the features, it may write into them.
        vocabulary: the k names to score.
        when: the situation, for errors.

    Raises:
        MethodError: the method returned what the contract forbids. What it raises itself passes through.
    """
    with torch.no_grad():
        scores: Any = method.scores(replace(images, features=images.features.clone()), vocabulary)
    wanted = (len(images), len(vocabulary))
    returned = f"{name}.scores returned %s{f' {when}' if when else ''}"
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        kind = str(scores.dtype) if isinstance(scores, Tensor) else type(scores).__name__
        message = f"{returned % kind}; scores must be a floating-point tensor"
        raise MethodError(message, "return a torch tensor of floating-point scores before softmax, not labels")
    if tuple(scores.shape) != wanted:
        message = f"{returned % str(tuple(scores.shape))}; scores must be {wanted}"
        raise MethodError(message, f"return {wanted}: one row per image, one column per name of the vocabulary")
    _require_usable(scores, images.features.device, returned, "scores")
    return scores.detach()  # a method that tunes itself on the images may compute them with gradients


def _require_usable(values: Tensor, device: torch.device, returned: str, what: str) -> None:
    """Check that values are on a device and finite."""
    if values.device != device:
        message = f"{returned % f'{what} on {values.device}'}; they belong on {device}"
        raise MethodError(message, "keep everything on task.device; call neither .cuda() nor .cpu()")
    if not bool(torch.isfinite(values).all()):
        hint = "look for a division by zero, the logarithm of zero, or a learning rate that is too high"
        raise MethodError(returned % "NaN or infinity", hint)
