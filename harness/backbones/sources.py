"""Backbones that no plugin offers: open_clip's published weights, a weights file, or a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.backbones import openclip, preprocessing
from harness.backbones.corpora import UNKNOWN, corpus_of, corpus_of_file
from harness.backbones.found import Found, require_towers
from harness.backbones.local_files import find_weights_file, read_config, require_folder, split_folder_name
from harness.errors import BackboneError, HarnessError
from harness.files import content_digest
from harness.registry import other_kind
from harness.types.cell import LOCAL, TIMM, Preprocessing, PreprocessingSource

TOKENIZER_SUFFIXES = {".json", ".txt", ".model"}
"""Suffixes of the files in a model folder that can belong to its tokenizer."""


def from_open_clip(name: str, pretrained: str | None, cache: Path | None) -> Found:
    """An architecture of open_clip, with published weights or a weights file.

    Raises:
        BackboneError, PluginError: unknown architecture or tag, QuickGELU mismatch, or a missing file.
    """
    given, name = name, name.replace("/", "-")
    if not openclip.has_architecture(name):
        raise _unknown(given)
    if pretrained is None:
        raise BackboneError(f"{name} needs weights", "give --pretrained: a published tag or a weights file")
    tag = pretrained.lower().replace("-", "_")  # as open_clip reads it
    if not openclip.pretrained_config(name, tag):
        return from_file(name, openclip.model_config(name), pretrained, usual(name))
    openclip.require_activation(name, tag)
    config = openclip.model_config(name)
    return Found(
        name=name,
        architecture=name,
        pretrained=tag,
        corpus=corpus_of(name, tag),
        quick_gelu="ok",
        config=config,
        preprocessing=preprocessing.build_preprocessing(
            name, preprocessing.image_size(config), openclip.pretrained_config(name, tag)
        ),
        source="published",
        weights=partial(openclip.fetch_weights, name, tag, cache),
    )


def _unknown(name: str) -> HarnessError:
    """The error for a backbone that neither a plugin nor open_clip offers."""
    if "/" in name and Path(name).is_dir():
        return BackboneError(f"the backbone {name} is a folder", f"write --backbone local-dir:{name}")
    return other_kind("backbone", name) or openclip.unknown_architecture(name)


def usual(name: str) -> Mapping[str, Any]:
    """The settings that all published weights of an architecture share; empty if they differ or there are none."""
    found = [
        preprocessing.merge_settings(openclip.pretrained_config(name, tag)) for tag in openclip.pretrained_tags(name)
    ]
    return found[0] if found and all(one == found[0] for one in found) else {}


def stated(found: Found, said: str | Mapping[str, Any]) -> Preprocessing:
    """The preprocessing of a model with what a user states: settings, or a published tag whose settings to use.

    Raises:
        BackboneError: no such tag, no such setting, or an invalid value.
    """
    if isinstance(said, str) and found.name.startswith(TIMM):
        hint = f"name the tag in the backbone, as in {TIMM}resnet18.a1_in1k, or give settings; {preprocessing.EXAMPLE}"
        raise BackboneError(f"the preprocessing of {found.name} cannot be that of the tag {said}", hint)
    settings = openclip.require_tag(found.name, said) if isinstance(said, str) else preprocessing.check_settings(said)
    known = found.preprocessing
    return preprocessing.build_preprocessing(
        found.architecture, known.size, known.model_dump(), settings, crop=known.crop
    )


def from_file(
    name: str,
    config: Mapping[str, Any],
    pretrained: str,
    settings: Mapping[str, Any] | None = None,
    source: PreprocessingSource = "unchecked",
) -> Found:
    """A model configuration with a weights file.

    Args:
        name: name of the architecture.
        config: its configuration.
        pretrained: path of the weights file.
        settings: preprocessing settings.
        source: where the settings come from.

    Raises:
        BackboneError: the file does not exist.
    """
    file = find_weights_file(pretrained)
    if file is None:
        raise openclip.unknown_tag(name, pretrained)
    return Found(
        name=name,
        architecture=name,
        pretrained=file.name,
        corpus=corpus_of_file(file.stem),
        quick_gelu="unchecked",
        config=config,
        preprocessing=preprocessing.build_preprocessing(name, preprocessing.image_size(config), settings or {}),
        source=source,
        weights=lambda: file,
    )


def from_model_folder(name: str, pretrained: str | None, cache: Path | None) -> Found:
    """A complete model folder, local or on the Hugging Face Hub: configuration, settings and weights.

    Raises:
        BackboneError: it is not available, or --pretrained is given, which open_clip would ignore.
    """
    kind, where = split_folder_name(name, pretrained)
    if kind == "local-dir":
        return _from_local_folder(require_folder(where))
    config, settings = _read_config(name, openclip.fetch_from_hub(where, openclip.CONFIG_FILE, cache))
    published = openclip.find_hub_tag(where)
    return Found(
        name=name,
        architecture=name,
        pretrained=None,
        corpus=corpus_of(*published) if published else UNKNOWN,
        quick_gelu="ok",
        config=config,
        preprocessing=preprocessing.build_preprocessing(name, preprocessing.image_size(config), settings),
        source="model folder" if settings else "unchecked",
        weights=partial(openclip.fetch_from_hub, where, None, cache),
    )


def _from_local_folder(folder: Path) -> Found:
    name = f"{LOCAL}{folder}"
    config, settings = _read_config(name, folder / openclip.CONFIG_FILE)
    weights = openclip.find_checkpoint(folder, "open_clip_model.safetensors next to open_clip_config.json")
    own_tokenizer = "hf_tokenizer_name" in config["text_cfg"]  # then open_clip reads the tokenizer from the folder
    files = [file for file in sorted(folder.iterdir()) if file.suffix in TOKENIZER_SUFFIXES and file.is_file()]
    return Found(
        name=name,
        architecture=f"{LOCAL}{folder.resolve().name}",
        pretrained=weights.name,
        corpus=corpus_of_file(weights.stem),
        quick_gelu="ok",
        config=config,
        preprocessing=preprocessing.build_preprocessing(name, preprocessing.image_size(config), settings),
        source="model folder" if settings else "unchecked",
        weights=lambda: weights,
        tokenizer=content_digest((file.name, file) for file in files) if own_tokenizer else None,
    )


def _read_config(name: str, file: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The model configuration and the preprocessing settings of a model folder."""
    hint = "it is the JSON file that open_clip writes: model_cfg and preprocess_cfg"
    content = read_config(name, file, hint)
    if not isinstance(content.get("model_cfg"), dict):
        raise BackboneError(f"{file.name} of {name} has no model_cfg", hint)
    settings = content.get("preprocess_cfg") or {}
    if not isinstance(settings, dict):
        raise BackboneError(f"{file.name} of {name} has a preprocess_cfg that is not an object", hint)
    return require_towers(name, content["model_cfg"]), settings
