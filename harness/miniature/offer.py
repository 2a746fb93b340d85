"""The miniature as a plugin: a backbone and a data set."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from harness.errors import BackboneError
from harness.files import OTHER_CACHE_HINT, read_file
from harness.files import save as store
from harness.folders import cache_root, writable_cache
from harness.hookspecs import BackboneOffer, DatasetOffer, hookimpl
from harness.method import CONTRACT
from harness.miniature import model
from harness.miniature.finished import is_finished
from harness.progress import Reporter, staged

harness_contract = CONTRACT

FOLDER = "beyond-mini-2-files-5"
"""The folder in the cache: the world, and a number that grows when the form of the files changes."""


SETTINGS = {name: value for name, value in model.PREPROCESSING.items() if name not in ("size", "mode")}


@hookimpl
def harness_backbone() -> BackboneOffer:
    """Return the tiny CLIP."""
    return BackboneOffer(model.CONFIG, partial(_shipped, model.WEIGHTS), corpus=model.NAME, preprocessing=SETTINGS)


class Vit:
    """The tiny CLIP with a vision transformer, as a plugin of its own."""

    @staticmethod
    @hookimpl
    def harness_backbone() -> BackboneOffer:
        """Return it."""
        return BackboneOffer(model.VIT_CONFIG, _vit_weights, corpus=model.NAME, preprocessing=SETTINGS)


@hookimpl
def harness_dataset() -> DatasetOffer:
    """Return the drawn world."""
    return DatasetOffer(FOLDER, _draw, backbone=model.NAME)


def _shipped(weights: Path) -> Path:
    if not weights.is_file():
        hint = "reinstall the package, or train them: python -m harness.miniature.pretrain, then .distil"
        raise BackboneError(f"this installation lacks the file {weights.name}", hint)
    return weights


def _vit_weights() -> Path:
    """The weights of the whole model, in the user's cache: the package has its image tower alone."""
    from safetensors.torch import load, save  # imports torch, which listing plugins does without

    content = {
        weights: {
            name: value
            for name, value in load(read_file(_shipped(weights))).items()
            if name.startswith("visual.") == (weights == model.VIT_WEIGHTS)
        }
        for weights in (model.WEIGHTS, model.VIT_WEIGHTS)
    }
    whole = dict(sorted((content[model.WEIGHTS] | content[model.VIT_WEIGHTS]).items()))
    made = save(whole, metadata={"format": "pt"})
    path = writable_cache(cache_root()) / "weights" / f"{hashlib.sha256(made).hexdigest()}.safetensors"
    if not path.is_file():
        store(path, made, "the weights", OTHER_CACHE_HINT)
    return path


def _draw(folder: Path, report: Reporter, workers: int) -> None:
    if is_finished(folder):
        return
    from harness.miniature.build import build  # imports Pillow, which listing plugins does without

    with staged(report, "concepts") as progress:
        build(folder, partial(progress, f"drawing {model.NAME}"), workers, OTHER_CACHE_HINT)
