"""Vision-only backbones: the encoders of timm, by name or from a model folder as timm writes it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.backbones import openclip, timm_model
from harness.backbones.corpora import corpus_of_encoder, corpus_of_file
from harness.backbones.found import Found
from harness.backbones.local_files import find_weights_file, read_config, require_folder, split_folder_name
from harness.backbones.preprocessing import build_preprocessing
from harness.errors import BackboneError
from harness.types.cell import LOCAL, MODEL_FOLDERS, TIMM, Preprocessing

_RESIZE_MODES = {"center": "shortest", "squash": "squash", "border": "longest"}
"""timm's ``crop_mode`` -> open_clip's ``resize_mode``."""


def from_timm(name: str, pretrained: str | None, cache: Path | None) -> Found:
    """An encoder of timm: ``timm:NAME``, ``timm:local-dir:FOLDER`` or ``timm:hf-hub:OWNER/NAME``.

    Args:
        name: the backbone; a name without a tag is that of timm's default weights, unless a file is given.
        pretrained: a tag, or the path of a weights file; None for published weights.
        cache: where downloads are stored.

    Raises:
        BackboneError: unknown model or tag, a missing file or folder, or an invalid configuration.
    """
    if name.startswith(MODEL_FOLDERS):
        kind, where = split_folder_name(name, pretrained)
        return _from_local_folder(require_folder(where)) if kind == "local-dir" else _from_hub(where, cache)
    model = name.removeprefix(TIMM)
    architecture, tag = timm_model.split_name(model)
    if pretrained is not None and (tag or pretrained not in timm_model.published_tags(architecture)):
        return _from_file(model, architecture, tag, pretrained)
    tags = [pretrained or tag] if pretrained or tag else timm_model.published_tags(architecture)
    if not tags:
        raise BackboneError(f"timm has no weights of {name}", "give --pretrained: a weights file")
    config = timm_model.published_config(architecture, tags[0])
    return Found(
        name=f"{TIMM}{architecture}",
        architecture=f"{TIMM}{architecture}",
        pretrained=tags[0],
        corpus=corpus_of_encoder(tags[0]),
        quick_gelu="ok",
        config=config,
        preprocessing=_preprocessing(name, config),
        source="published",
        weights=partial(timm_model.fetch_weights, architecture, tags[0], cache),
    )


def _from_file(model: str, architecture: str, tag: str, pretrained: str) -> Found:
    """A weights file with the settings of a tag, or of the architecture's default weights."""
    file = find_weights_file(pretrained)
    if file is None:
        raise timm_model.unknown_tag(architecture, pretrained)
    config = timm_model.published_config(architecture, tag)
    return Found(
        name=f"{TIMM}{model}",
        architecture=f"{TIMM}{model}",
        pretrained=file.name,
        corpus=corpus_of_file(file.stem),
        quick_gelu="unchecked",
        config=config,
        preprocessing=_preprocessing(f"{TIMM}{model}", config),
        source="published" if tag else "unchecked",
        weights=lambda: file,
    )


def _from_local_folder(folder: Path) -> Found:
    name = f"{TIMM}{LOCAL}{folder}"
    config = _read_config(name, folder / timm_model.CONFIG_FILE)
    weights = openclip.find_checkpoint(folder, "model.safetensors next to config.json")
    return Found(
        name=name,
        architecture=f"{TIMM}{LOCAL}{folder.resolve().name}",
        pretrained=weights.name,
        corpus=corpus_of_file(weights.stem),
        quick_gelu="ok",
        config=config,
        preprocessing=_preprocessing(name, config),
        source="model folder",
        weights=lambda: weights,
    )


def _from_hub(model: str, cache: Path | None) -> Found:
    name = f"{TIMM}hf-hub:{model}"
    config = _read_config(name, timm_model.fetch_from_hub(model, name, (timm_model.CONFIG_FILE,), cache))
    return Found(
        name=name,
        architecture=name,
        pretrained=None,
        corpus=corpus_of_encoder(model.partition(".")[2]),
        quick_gelu="ok",
        config=config,
        preprocessing=_preprocessing(name, config),
        source="model folder",
        weights=partial(timm_model.fetch_from_hub, model, name, timm_model.WEIGHTS_FILES, cache),
    )


def _read_config(name: str, file: Path) -> dict[str, Any]:
    hint = "it is the JSON file that timm.models.save_for_hf writes"
    return timm_model.parse_config(name, read_config(name, file, hint))


def _preprocessing(name: str, config: Mapping[str, Any]) -> Preprocessing:
    """How timm itself prepares the test images of a model, in open_clip's terms.

    Raises:
        BackboneError: its images have other than three channels, or a setting is not valid.
    """
    settings = timm_model.image_settings(config)
    channels, height, width = settings["input_size"]
    if channels != 3:
        raise BackboneError(f"{name} takes images of {channels} channels", "choose a model of RGB images")
    settings["resize_mode"] = _RESIZE_MODES.get(settings["crop_mode"], settings["crop_mode"])
    settings["fill_color"] = round(255 * settings["mean"][0])
    return build_preprocessing(name, (height, width), settings, crop=settings["crop_pct"])
