"""How the images of a model are prepared, in one form: what is known of the model over open_clip's defaults.

The defaults are written down here, because importing open_clip takes seconds; a test compares them with open_clip's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from harness.errors import BackboneError, closest, one_line
from harness.types.cell import Preprocessing

SETTINGS = tuple(name for name in Preprocessing.model_fields if name not in ("size", "mode", "crop"))
"""What may be stated; the size is the model's own, and a crop a protocol's."""

DEFAULTS: Mapping[str, Any] = {
    "size": 224,
    "mode": "RGB",
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
"""open_clip's ``PreprocessCfg``; the size is that of a model whose configuration says none."""

EXAMPLE = "for example --preprocessing mean=0.5,std=0.5,interpolation=bilinear,resize_mode=squash"


def complete(name: str, config: Mapping[str, Any], *layers: Mapping[str, Any]) -> Preprocessing:
    """The preprocessing of a model, as open_clip would do it.

    Args:
        name: what the model is called in messages.
        config: the model's configuration, for the size of its images.
        layers: settings, later ones win; what none says is open_clip's default.

    Raises:
        BackboneError: a setting has a value that it cannot have.
    """
    settings = merge(*layers)
    size = config["vision_cfg"].get("image_size", DEFAULTS["size"])
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


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings over open_clip's defaults; later ones win, and other keys are left out."""
    merged = dict(DEFAULTS)
    for layer in layers:
        merged |= {key: value for key, value in layer.items() if key in DEFAULTS and value is not None}
    return merged


def only_settings(said: Mapping[str, Any]) -> Mapping[str, Any]:
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
