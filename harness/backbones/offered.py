"""Backbones that plugins offer. Importing this module does not import open_clip, which takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from harness.backbones import preprocessing
from harness.backbones.found import Found, require_towers
from harness.errors import BackboneError, HarnessError, one_line
from harness.hookspecs import BackboneOffer
from harness.types.cell import PreprocessingSource


def offered(name: str, pretrained: str | None, offer: BackboneOffer) -> Found:
    """A plugin's backbone, with its own weights or a file.

    Raises:
        BackboneError: the name is open_clip's, its configuration or preprocessing is invalid, or there are no weights.
    """
    if _open_clip_has(name):
        raise BackboneError(f"a plugin offers the backbone {name}, which is open_clip's own", "ask the plugin's author")
    config = require_towers(name, offer.config)
    settings = preprocessing.check_settings(offer.preprocessing or {})
    source: PreprocessingSource = "plugin" if settings else "unchecked"
    if pretrained is not None:
        from harness.backbones import sources  # imports open_clip

        return sources.from_file(name, config, pretrained, settings, source)
    if offer.weights is None:
        raise BackboneError(f"{name} needs weights", "give --pretrained: a weights file")
    return Found(
        name=name,
        architecture=name,
        pretrained=None,
        corpus=offer.corpus,
        quick_gelu="unchecked",
        config=config,
        preprocessing=preprocessing.build_preprocessing(name, preprocessing.image_size(config), settings),
        source=source,
        weights=partial(offered_weights, name, offer.weights),
    )


def offered_weights(name: str, weights: Callable[[], Path]) -> Path:
    """The weights file that a plugin returns.

    Raises:
        BackboneError: it raises, or what it returns is not a file.
    """
    try:
        path = Path(weights())
    except HarnessError as error:
        raise BackboneError(f"the weights of {name} are not available: {error.message}", error.hint) from None
    except (Exception, SystemExit) as error:  # third-party code
        reason = one_line(error) or type(error).__name__
        raise BackboneError(f"the weights of {name} are not available: {reason}", "ask the plugin's author") from None
    if not path.is_file():
        raise BackboneError(f"the weights of {name} should be {path}, which is not a file", "ask the plugin's author")
    return path


def _open_clip_has(name: str) -> bool:
    """Whether open_clip ships a configuration of that name; looks for its file."""
    spec = find_spec("open_clip")
    return spec is not None and any(
        Path(folder, "model_configs", f"{name}.json").is_file() for folder in spec.submodule_search_locations or ()
    )
