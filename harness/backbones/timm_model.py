"""Wrapper of timm: the only module that imports it. A configuration is that of ``config.json``, as timm writes it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from timm import models
from timm.data.config import resolve_data_config
from timm.models import _hub
from torch import Tensor, nn

from harness.backbones.model_library import as_backbone_error, quiet
from harness.datasets.hub import cached_files_without_hub
from harness.errors import BackboneError, one_line
from harness.types.cell import MODEL_FOLDERS, TIMM

CONFIG_FILE = "config.json"
"""Configuration file of a model folder, local or on the Hub."""

WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")
"""Weights files of a model on the Hub; the first that exists is used."""

_SOURCE = {"url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "custom_load"}
"""Keys of ``pretrained_cfg`` that say where weights come from, and not what the model is."""


class PooledEncoder(nn.Module):
    """A timm model without its classifier: one pooled vector per image.

    Attributes:
        module: the timm model.
        width: size d of the vector.
    """

    def __init__(self, module: nn.Module, width: int) -> None:
        super().__init__()
        self.module = module
        self.width = width

    def encode_image(self, batch: Tensor) -> Tensor:
        """Features ``(b, d)`` of a preprocessed batch ``(b, 3, h, w)``."""
        encoded: Tensor = self.module(batch)
        return encoded


def split_name(name: str) -> tuple[str, str]:
    """Architecture and tag of a timm name such as ``vit_small_patch14_dinov2.lvd142m``; the tag is empty for none.

    Raises:
        BackboneError: unknown architecture or tag; the hint gives the closest ones.
    """
    architecture, tag = models.split_model_name_tag(name)
    known = models.list_models()
    if architecture not in known:
        problem = f"timm {timm.__version__} has no model {architecture!r}"
        raise _unknown(problem, architecture, known, "python -c 'import timm; print(*timm.list_models())' lists all")
    if tag and tag not in published_tags(architecture):
        raise unknown_tag(architecture, tag)
    return architecture, tag


def unknown_tag(architecture: str, tag: str) -> BackboneError:
    """The error for a tag that timm does not have."""
    tags = published_tags(architecture)
    problem = f"{tag!r} is neither a weights file nor a published tag of {TIMM}{architecture}"
    known = f"published for {architecture}: {', '.join(tags)}" if tags else f"nothing is published for {architecture}"
    return _unknown(problem, tag, tags, known)


def _unknown(problem: str, name: str, known: list[str], otherwise: str) -> BackboneError:
    near = get_close_matches(name, known, n=3)
    return BackboneError(problem, f"did you mean {' or '.join(near)}?" if near else otherwise)


def published_tags(architecture: str) -> list[str]:
    """The tags of an architecture's published weights, the default one first."""
    found = models.list_pretrained(f"{architecture}.*")
    tags = [models.split_model_name_tag(name)[1] for name in found]
    default = _published(architecture).tag
    return sorted(tags, key=lambda tag: tag != default)


def published_config(architecture: str, tag: str) -> dict[str, Any]:
    """The configuration of published weights; of the default ones for an empty tag."""
    return _config(architecture, {}, _published(f"{architecture}.{tag}" if tag else architecture).to_dict())


def _published(name: str) -> Any:
    return models.get_pretrained_cfg(name) or models.PretrainedCfg()


def parse_config(name: str, content: Any) -> dict[str, Any]:
    """The configuration in a ``config.json`` of timm, in its present or its earlier flat form.

    Raises:
        BackboneError: it is not of a timm model.
    """
    hint = "it is the JSON file that timm.models.save_for_hf writes: architecture and pretrained_cfg"
    parts = content if isinstance(content, dict) else {}
    settings = parts.get("pretrained_cfg", parts)
    if not isinstance(settings, dict) or not isinstance(parts.get("architecture"), str):
        raise BackboneError(f"{CONFIG_FILE} of {name} has no architecture", hint)
    split_name(parts["architecture"])
    with as_backbone_error(name, f"{CONFIG_FILE} of {name} is not valid", hint):
        known, architecture, arguments = _hub._parse_model_cfg(deepcopy(parts), {})
        models.PretrainedCfg(**known)
        return _config(architecture, arguments, known)


def _config(architecture: str, arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in settings.items() if key not in _SOURCE}
    return {"architecture": architecture, "model_args": dict(arguments), "pretrained_cfg": own}


def image_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """How timm prepares the test images of a model: ``input_size``, ``mean``, ``std``, ``interpolation`` and crop."""
    return dict(resolve_data_config(pretrained_cfg=dict(config["pretrained_cfg"])))  # type: ignore[no-untyped-call]


def fetch_weights(architecture: str, tag: str, cache: Path | None = None) -> Path:
    """The file of published weights, downloaded on first use.

    Raises:
        BackboneError: the download fails.
    """
    settings, name = _published(f"{architecture}.{tag}"), f"{TIMM}{architecture}.{tag}"
    if settings.hf_hub_id:
        return fetch_from_hub(settings.hf_hub_id, name, WEIGHTS_FILES, cache)
    try:
        with quiet():
            return Path(_hub.download_cached_file(settings.url, cache_dir=cache))
    except Exception as error:  # network and disk errors of several libraries
        raise _not_fetched("the weights", name, settings.url, error) from None


def fetch_from_hub(model: str, name: str, files: tuple[str, ...], cache: Path | None = None) -> Path:
    """A file of a model on the Hugging Face Hub, downloaded on first use.

    Args:
        model: owner and name on the Hub.
        name: name of the model in messages.
        files: names of the file; the first that exists is taken.
        cache: where downloads are stored.

    Raises:
        BackboneError: the download fails.
    """
    first, *others = files
    try:
        with quiet(), cached_files_without_hub():
            return Path(_hub.download_from_hf(model, first, cache_dir=cache))
    except Exception as error:  # hub, network and disk errors of several libraries
        missing = isinstance(error, _hub.EntryNotFoundError)  # type: ignore[attr-defined]
        if not others or not missing or isinstance(error, FileNotFoundError):  # the last: there is no network
            raise _not_fetched(first, name, f"https://huggingface.co/{model}", error) from None
    return fetch_from_hub(model, name, tuple(others), cache)


def _not_fetched(what: str, name: str, source: str, error: Exception) -> BackboneError:
    folder = name.startswith(MODEL_FOLDERS)
    given = f"{TIMM}local-dir:FOLDER" if folder else f"{name} --pretrained path/to/{WEIGHTS_FILES[0]}"
    return BackboneError(
        f"{what} of {name} cannot be fetched: {one_line(error) or type(error).__name__}",
        f"on a machine with a network get it from {source}, copy it here and give --backbone {given}",
    )


def load_encoder(name: str, config: Mapping[str, Any], weights: Path) -> PooledEncoder:
    """Build a timm model, load a weights file strictly and remove the classifier; in fp32 on the CPU, frozen.

    Args:
        name: name of the model in messages.
        config: its configuration.
        weights: the weights file.

    Raises:
        BackboneError: invalid configuration, a damaged file or one of another model, too little memory, or a model
            that does not return one vector per image.
    """
    wrong = "the file is damaged or its weights belong to another model; check --backbone and --pretrained"
    with as_backbone_error(name, f"{weights.name} cannot be loaded into {name}", wrong):
        model = _load(config, weights)
    blank = torch.zeros(1, *image_settings(config)["input_size"])
    with as_backbone_error(name, f"{name} accepts no images", "check its configuration"), torch.no_grad():
        encoded = model(blank)
    if not isinstance(encoded, Tensor) or encoded.ndim != 2:
        raise BackboneError(f"{name} does not return one vector per image", "choose a model with pooled features")
    return PooledEncoder(model, encoded.shape[1])


def _load(config: Mapping[str, Any], weights: Path) -> nn.Module:
    # timm loads strictly only if the model has the classifier of the file: so it is built with it, then without.
    settings = dict(config["pretrained_cfg"])
    classes = _classes_in_file(settings.get("classifier"), weights)
    model: nn.Module = timm.create_model(
        config["architecture"],
        pretrained=True,
        pretrained_cfg={**settings, "num_classes": classes, "label_offset": 0, "file": str(weights)},
        **{**config["model_args"], "num_classes": classes},
    )
    if classes:
        model.reset_classifier(0)  # type: ignore[operator]
    return model.eval().requires_grad_(False)


def _classes_in_file(classifier: str | list[str] | None, weights: Path) -> int:
    """How many classes the classifier in a weights file has; 0 without one."""
    first = classifier if isinstance(classifier, str) or not classifier else classifier[0]
    return len(models.load_state_dict(str(weights)).get(f"{first}.weight", ()))
