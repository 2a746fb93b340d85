"""The record of a backbone that was found by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import BackboneError
from harness.types.cell import Preprocessing, PreprocessingSource


@dataclass(frozen=True)
class Found:
    """A backbone that was found by its name; its weights are not loaded, nor fetched.

    Attributes:
        name: what open_clip calls it; with ``local-dir:``, where it is.
        architecture: what it is called in results, without the place.
        pretrained: what the weights are called in results; None is their file's name.
        corpus: what they were trained on.
        quick_gelu: whether they are known to fit the activation that is built.
        config: all that builds the model, in open_clip's format.
        preprocessing: how images are prepared.
        source: who says so.
        weights: returns the weights file, and fetches it first if need be.
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


def require_towers(name: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of a model, checked to describe both towers.

    Raises:
        BackboneError: it does not.
    """
    for part in ("vision_cfg", "text_cfg"):
        if not isinstance(config.get(part), Mapping):
            raise BackboneError(f"the configuration of {name} has no {part}", "write it as open_clip does")
    return config
