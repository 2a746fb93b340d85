"""How the images of a model are prepared: the known settings of the model over open_clip's defaults.

The defaults are copied here because importing open_clip takes seconds; a test compares them with open_clip's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from harness.errors import BackboneError, closest, one_line
from harness.types.cell import Preprocessing

SETTINGS = tuple(name for name in Preprocessing.model_fields if name not in ("size", "mode", "crop"))
"""Settings that a user may give; the size belongs to the model, the crop to the protocol."""

DEFAULTS: Mapping[str, Any] = {
    "size": 224,
    "mode": "RGB",
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
"""open_clip's ``PreprocessCfg``; the size is for a model whose configuration has none."""

EXAMPLE = "for example --preprocessing mean=0.5,std=0.5,interpolation=bilinear,resize_mode=squash"


def image_size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the images of a model by its open_clip configuration."""
    size = config["vision_cfg"].get("image_size", DEFAULTS["size"])
    return size if isinstance(size, list | tuple) else (size, size)  # type: ignore[return-value]


def build_preprocessing(
    name: str, size: tuple[int, int], *layers: Mapping[str, Any], crop: float = 1.0
) -> Preprocessing:
    """Complete the preprocessing of a model as open_clip does.

    Args:
        name: name of the model in messages.
        size: height and width of its images.
        layers: settings, of which later ones take precedence; the rest are open_clip's defaults.
        crop: side of the centre crop divided by the shorter side after resizing.

    Raises:
        BackboneError: a setting has an invalid value.
    """
    settings = {**merge_settings(*layers), "size": size, "crop": crop}
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


def merge_settings(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings over open_clip's defaults; later ones take precedence, other keys are ignored."""
    merged = dict(DEFAULTS)
    for layer in layers:
        merged |= {key: value for key, value in layer.items() if key in DEFAULTS and value is not None}
    return merged


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
