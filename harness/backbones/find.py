"""Finds a backbone by its name: what builds it, how its images are prepared, and where its weights come from.

Nothing is fetched yet, other than the description of a model on the Hugging Face Hub, so that a wrong name is refused
before anything else is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import BackboneError
from harness.miniature import model as miniature
from harness.types.cell import MODEL_FOLDERS, Preprocessing, PreprocessingSource

if TYPE_CHECKING:
    from harness.registry.loading import BackboneOffer


@dataclass(frozen=True)
class Found:
    """A backbone that was found by its name.

    Attributes:
        name: what open_clip calls it; with ``local-dir:``, where it is.
        architecture: what it is called in results, without the place.
        pretrained: likewise of the weights; None is their file's name.
        corpus: what they were trained on.
        quick_gelu: whether they are known to be of the activation that is built.
        config: all that builds the model, in open_clip's format.
        preprocessing: how images are prepared.
        source: who says so.
        weights: gives the weights file, and fetches it first if need be.
        tokenizer: sha256 over the files of the tokenizer, where it is the folder's own.
    """

    name: str
    architecture: str
    pretrained: str | None
    corpus: str
    quick_gelu: Literal["ok", "unchecked"]
    config: Mapping[str, Any]
    preprocessing: Preprocessing
    source: PreprocessingSource
    weights: Callable[[], Path]
    tokenizer: str | None = None


def find(
    name: str,
    pretrained: str | None,
    stated: str | Mapping[str, Any] | None = None,
    offer: BackboneOffer | None = None,
    cache: Path | None = None,
) -> Found:
    """Find a backbone; its weights are not fetched.

    Args:
        name: an open_clip name, ``beyond-mini``, a plugin's, ``local-dir:`` and a folder, or ``hf-hub:`` and a name.
        pretrained: a published tag, or the path of a weights file; None for weights that come with the model.
        stated: preprocessing settings, or the published tag whose settings are meant; they win over all others.
        offer: the backbone as a plugin offers it.
        cache: where downloads are kept; None is open_clip's own cache.

    Raises:
        BackboneError: unknown architecture or tag, QuickGELU mismatch, a weights file or folder that is not there,
            settings that cannot be.
    """
    if name == miniature.NAME and pretrained is None:
        found = _miniature()
    else:
        from harness.backbones import sources  # open_clip takes seconds to import, and the miniature does without

        if name.startswith(MODEL_FOLDERS):
            found = sources.from_model_folder(name, pretrained, cache)
        elif name == miniature.NAME:
            found = sources.from_file(name, miniature.CONFIG, str(pretrained))
        elif offer is not None:
            found = sources.from_plugin(name, pretrained, offer)
        else:
            found = sources.from_open_clip(name.replace("/", "-"), pretrained, cache)
    if stated is None:
        return found
    from harness.backbones import preprocessing

    return replace(found, preprocessing=preprocessing.override_settings(found, stated), source="stated")


def known(name: str) -> bool:
    """Whether a backbone needs no plugin: it is the miniature, open_clip's, or in a folder."""
    if name == miniature.NAME or name.startswith(MODEL_FOLDERS):
        return True
    from harness.backbones import openclip

    return openclip.has_architecture(name.replace("/", "-"))


def _miniature() -> Found:
    if not miniature.WEIGHTS.is_file():
        raise BackboneError(
            "the miniature's weights are missing from this installation",
            "reinstall the package, or make them again: python -m harness.miniature.pretrain",
        )
    return Found(
        name=miniature.NAME,
        architecture=miniature.NAME,
        pretrained=miniature.NAME,
        corpus=miniature.NAME,
        quick_gelu="ok",
        config=miniature.CONFIG,
        preprocessing=Preprocessing(**miniature.PREPROCESSING),
        source="published",
        weights=lambda: miniature.WEIGHTS,
    )
