"""Image preprocessing of a model: known settings over open_clip's defaults, in one normalized form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from harness.backbones import openclip
from harness.backbones.find import Found
from harness.errors import BackboneError, closest, one_line
from harness.types.cell import Preprocessing

SETTINGS = tuple(name for name in Preprocessing.model_fields if name not in ("size", "mode", "crop"))
"""Settings that a user may give; the size belongs to the model, the crop to the protocol."""

EXAMPLE = "for example --preprocessing mean=0.5,std=0.5,interpolation=bilinear,resize_mode=squash"


def build_preprocessing(name: str, config: Mapping[str, Any], *layers: Mapping[str, Any]) -> Preprocessing:
    """Complete the preprocessing of a model as open_clip does.

    Args:
        name: name of the model in messages.
        config: the model's configuration, for the image size.
        layers: settings, later ones win; the rest are open_clip's defaults.

    Raises:
        BackboneError: a setting has an invalid value.
    """
    settings = openclip.merge_settings(*layers)
    size = openclip.configured_image_size(config)
    settings["size"] = size if isinstance(size, list | tuple) else (size, size)
    for key in ("mean", "std"):
        if not isinstance(settings[key], list | tuple):
            settings[key] = (settings[key],) * 3
    if settings["interpolation"] == "random":  # for training only; open_clip uses bicubic at test time
        settings["interpolation"] = "bicubic"
    try:
        return Preprocessing(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        reason = f"{key} is {settings[key]!r}: {first['msg']}"
        raise BackboneError(f"the preprocessing of {name} is not valid: {one_line(reason)}", EXAMPLE) from None


def shared_settings(name: str) -> Mapping[str, Any]:
    """The settings that all published weights of an architecture share; empty if they differ or none exist."""
    found = [openclip.merge_settings(openclip.pretrained_config(name, tag)) for tag in openclip.pretrained_tags(name)]
    return found[0] if found and all(one == found[0] for one in found) else {}


def override_settings(found: Found, given: str | Mapping[str, Any]) -> Preprocessing:
    """The preprocessing of a model with a user's settings, or with those of named published weights.

    Raises:
        BackboneError: unknown weights, unknown setting or invalid value.
    """
    settings = openclip.require_tag(found.name, given) if isinstance(given, str) else check_settings(given)
    return build_preprocessing(found.architecture, found.config, found.preprocessing.model_dump(), settings)


def check_settings(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings after checking their names.

    Raises:
        BackboneError: unknown setting; the hint gives the closest one.
    """
    for key in settings:
        if key not in SETTINGS:
            near = closest(key, SETTINGS)
            raise BackboneError(
                f"preprocessing has no setting {key!r}",
                f"did you mean {near}?" if near else f"its settings are {', '.join(SETTINGS)}",
            )
    return settings
