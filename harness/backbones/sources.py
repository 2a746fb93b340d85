"""Backbones that no plugin offers: open_clip's published weights, a weights file, or a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.backbones import openclip, preprocessing
from harness.backbones.corpora import UNKNOWN, corpus_of, corpus_of_file
from harness.backbones.found import Found, require_towers
from harness.errors import BackboneError, DataError, HarnessError, one_line
from harness.files import content_digest, read_file
from harness.parsing import parse_json
from harness.registry import other_kind
from harness.types.cell import Preprocessing, PreprocessingSource

WEIGHTS_SUFFIXES = {".pt", ".pth", ".bin", ".safetensors", ".ckpt"}
"""Suffixes of weights files: a name with one of them is a file, not a published tag."""

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
        preprocessing=preprocessing.build_preprocessing(name, config, openclip.pretrained_config(name, tag)),
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
    settings = openclip.require_tag(found.name, said) if isinstance(said, str) else preprocessing.check_settings(said)
    return preprocessing.build_preprocessing(
        found.architecture, found.config, found.preprocessing.model_dump(), settings
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
    file = Path(pretrained).expanduser()
    if not file.is_file():
        if file.suffix in WEIGHTS_SUFFIXES or "/" in pretrained:
            raise BackboneError(f"no weights file at {pretrained}", "check the path given as --pretrained")
        openclip.require_tag(name, pretrained)
    return Found(
        name=name,
        architecture=name,
        pretrained=file.name,
        corpus=corpus_of_file(file.stem),
        quick_gelu="unchecked",
        config=config,
        preprocessing=preprocessing.build_preprocessing(name, config, settings or {}),
        source=source,
        weights=lambda: file,
    )


def from_model_folder(name: str, pretrained: str | None, cache: Path | None) -> Found:
    """A complete model folder, local or on the Hugging Face Hub: configuration, settings and weights.

    Raises:
        BackboneError: it is not available, or --pretrained is given, which open_clip would ignore.
    """
    kind, _, where = name.partition(":")
    if not where:
        raise BackboneError(f"{name} names no folder", "write --backbone local-dir:FOLDER, or hf-hub:OWNER/NAME")
    if pretrained is not None:
        raise BackboneError(
            f"{name} comes with its own weights, so --pretrained {pretrained} would not be used",
            "leave out one of them",
        )
    if kind == "local-dir":
        return _from_local_folder(Path(where).expanduser())
    config, settings = _read_config(name, openclip.fetch_from_hub(where, openclip.CONFIG_FILE, cache))
    published = openclip.find_hub_tag(where)
    return Found(
        name=name,
        architecture=name,
        pretrained=None,
        corpus=corpus_of(*published) if published else UNKNOWN,
        quick_gelu="ok",
        config=config,
        preprocessing=preprocessing.build_preprocessing(name, config, settings),
        source="model folder" if settings else "unchecked",
        weights=partial(openclip.fetch_from_hub, where, None, cache),
    )


def _from_local_folder(folder: Path) -> Found:
    name = f"local-dir:{folder}"
    if not folder.is_dir():
        raise BackboneError(f"there is no folder {folder}", "check the path given as --backbone local-dir:FOLDER")
    config, settings = _read_config(name, folder / openclip.CONFIG_FILE)
    weights = openclip.find_checkpoint(folder)
    if weights is None:
        raise BackboneError(
            f"there are no weights in {folder}", "put open_clip_model.safetensors next to open_clip_config.json"
        )
    own_tokenizer = "hf_tokenizer_name" in config["text_cfg"]  # then open_clip reads the tokenizer from the folder
    files = [file for file in sorted(folder.iterdir()) if file.suffix in TOKENIZER_SUFFIXES and file.is_file()]
    return Found(
        name=name,
        architecture=f"local-dir:{folder.resolve().name}",
        pretrained=weights.name,
        corpus=corpus_of_file(weights.stem),
        quick_gelu="ok",
        config=config,
        preprocessing=preprocessing.build_preprocessing(name, config, settings),
        source="model folder" if settings else "unchecked",
        weights=lambda: weights,
        tokenizer=content_digest((file.name, file) for file in files) if own_tokenizer else None,
    )


def _read_config(name: str, file: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The model configuration and the preprocessing settings of a model folder."""
    hint = "it is the JSON file that open_clip writes: model_cfg and preprocess_cfg"
    problem = f"{file.name} of {name} cannot be read"
    try:
        content = parse_json(read_file(file), problem)
    except OSError as error:
        raise BackboneError(f"{problem}: {one_line(error)}", hint) from None
    except DataError as error:
        raise BackboneError(error.message, hint) from None
    if not isinstance(content, dict) or not isinstance(content.get("model_cfg"), dict):
        raise BackboneError(f"{file.name} of {name} has no model_cfg", hint)
    settings = content.get("preprocess_cfg") or {}
    if not isinstance(settings, dict):
        raise BackboneError(f"{file.name} of {name} has a preprocess_cfg that is not an object", hint)
    return require_towers(name, content["model_cfg"]), settings
