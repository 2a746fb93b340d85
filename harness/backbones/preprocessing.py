"""How the images of a model are prepared, in one form: open_clip's defaults under what is known of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from harness.backbones import openclip
from harness.backbones.find import Found
from harness.errors import BackboneError, closest, one_line
from harness.types.cell import Preprocessing

SETTINGS = tuple(name for name in Preprocessing.model_fields if name not in ("size", "mode", "crop"))
"""What may be stated; the size is the model's own, and a crop a protocol's."""

EXAMPLE = "for example --preprocessing mean=0.5,std=0.5,interpolation=bilinear,resize_mode=squash"


def build_preprocessing(name: str, config: Mapping[str, Any], *layers: Mapping[str, Any]) -> Preprocessing:
    """The preprocessing of a model, as open_clip would do it.

    Args:
        name: what the model is called in messages.
        config: the model's configuration, for the size of its images.
        layers: settings, later ones win; what none says is open_clip's default.

    Raises:
        BackboneError: a setting has a value that it cannot have.
    """
    settings = openclip.merge_settings(*layers)
    size = openclip.configured_image_size(config)
    settings["size"] = size if isinstance(size, list | tuple) else (size, size)
    for key in ("mean", "std"):
        if not isinstance(settings[key], list | tuple):
            settings[key] = (settings[key],) * 3
    if settings["interpolation"] == "random":  # of training; at test time open_clip takes bicubic for it
        settings["interpolation"] = "bicubic"
    try:
        return Preprocessing(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        reason = f"{key} is {settings[key]!r}: {first['msg']}"
        raise BackboneError(f"the preprocessing of {name} is not valid: {one_line(reason)}", EXAMPLE) from None


def shared_settings(name: str) -> Mapping[str, Any]:
    """The settings that all published weights of an architecture share; none if they differ or there are no such."""
    found = [openclip.merge_settings(openclip.pretrained_config(name, tag)) for tag in openclip.pretrained_tags(name)]
    return found[0] if found and all(one == found[0] for one in found) else {}


def override_settings(found: Found, said: str | Mapping[str, Any]) -> Preprocessing:
    """The preprocessing of a model with what a user states, in words of their own or by the name of published weights.

    Raises:
        BackboneError: no such weights, no such setting, or a value that it cannot have.
    """
    settings = openclip.require_tag(found.name, said) if isinstance(said, str) else check_settings(said)
    return build_preprocessing(found.architecture, found.config, found.preprocessing.model_dump(), settings)


def check_settings(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is stated, checked to hold settings alone.

    Raises:
        BackboneError: there is no such setting.
    """
    for key in said:
        if key not in SETTINGS:
            near = closest(key, SETTINGS)
            raise BackboneError(
                f"preprocessing has no setting {key!r}",
                f"did you mean {near}?" if near else f"its settings are {', '.join(SETTINGS)}",
            )
    return said
