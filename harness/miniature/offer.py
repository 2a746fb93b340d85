"""The miniature as a plugin: a backbone and a data set."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from harness.errors import BackboneError
from harness.files import OTHER_CACHE_HINT
from harness.hookspecs import BackboneOffer, DatasetOffer, hookimpl
from harness.method import CONTRACT
from harness.miniature import model
from harness.progress import Reporter, staged

harness_contract = CONTRACT

FOLDER = "beyond-mini-2-files-3"
"""The folder in the cache: the world, and a number that grows when the form of the files changes."""


@hookimpl
def harness_backbone() -> BackboneOffer:
    """Return the tiny CLIP."""
    settings = {name: value for name, value in model.PREPROCESSING.items() if name not in ("size", "mode")}
    return BackboneOffer(model.CONFIG, _weights, corpus=model.NAME, preprocessing=settings)


@hookimpl
def harness_dataset() -> DatasetOffer:
    """Return the drawn world."""
    return DatasetOffer(FOLDER, _draw, backbone=model.NAME)


def _weights() -> Path:
    if not model.WEIGHTS.is_file():
        hint = "reinstall the package, or train them: python -m harness.miniature.pretrain"
        raise BackboneError("this installation lacks the file", hint)
    return model.WEIGHTS


def _draw(folder: Path, report: Reporter, workers: int) -> None:
    from harness.miniature.build import build  # imports Pillow, which listing plugins does without

    with staged(report, "concepts") as progress:
        build(folder, partial(progress, f"drawing {model.NAME}"), workers, OTHER_CACHE_HINT)
