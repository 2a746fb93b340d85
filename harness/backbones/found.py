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
    """A backbone that was found by its name; its weights are neither fetched nor loaded.

    Attributes:
        name: name in open_clip or timm; with ``local-dir:``, the path.
        architecture: name in results, without the path.
        pretrained: name of the weights in results; None for the name of their file.
        corpus: the pre-training corpus of the weights.
        quick_gelu: ``ok`` if the weights are known to fit the activation of the model.
        config: the complete configuration of the model, in open_clip's or timm's format.
        preprocessing: how images are prepared.
        source: where the preprocessing settings come from.
        weights: returns the weights file, after fetching it if necessary.
        tokenizer: sha256 over the files of a tokenizer that comes with the model folder, else None.
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
