"""Wrapper of open_clip: the only module that imports it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.factory import _find_checkpoint_in_dir
from open_clip.pretrained import download_pretrained_from_hf
from open_clip.tokenizer import get_clean_fn
from open_clip.transform import PreprocessCfg, ResizeKeepRatio, image_transform_v2
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from harness.backbones.model_library import as_backbone_error, quiet
from harness.datasets.hub import cached_files_without_hub
from harness.errors import BackboneError, closest, one_line

Preprocess = Callable[[Image.Image], Tensor]

canonicalize: Callable[[str], str] = get_clean_fn("canonicalize")
"""SigLIP's clean-up of a text: lower case, no punctuation."""

IMAGENET_TEMPLATES = tuple(words("{name}") for words in open_clip.OPENAI_IMAGENET_TEMPLATES)
"""CLIP's prompts for ImageNet, with ``{name}`` in the place of the name."""

CONFIG_FILE = "open_clip_config.json"
"""Configuration file of a model folder, local or on the Hub: ``model_cfg`` and ``preprocess_cfg``."""


def register_architecture(name: str, config: dict[str, Any]) -> None:
    """Register a model configuration with open_clip under ``name`` (idempotent)."""
    if open_clip.get_model_config(name) == config:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.json"
        path.write_text(json.dumps(config))
        open_clip.add_model_config(path)


def random_model(name: str) -> nn.Module:
    """A model of architecture ``name`` with random weights, in fp32 on the CPU."""
    with quiet():
        model: nn.Module = open_clip.create_model(name, pretrained=None, pretrained_text=False)
    return model


def tokenizer(name: str) -> Any:
    """The tokenizer of architecture ``name``: a call turns a list of n texts into ids ``(n, context length)``.

    Raises:
        BackboneError: a required package or file is missing.
    """
    try:
        with quiet():
            return open_clip.get_tokenizer(name)
    except Exception as error:  # third-party tokenizers need other packages and the network
        raise BackboneError(
            f"the tokenizer of {name} cannot be loaded: {one_line(error)[:300]}",
            "install what is missing (pip install transformers sentencepiece protobuf); its files are downloaded once, "
            "with a network",
        ) from None


def has_architecture(name: str) -> bool:
    """Whether open_clip knows ``name``."""
    return name in open_clip.list_models()


def unknown_architecture(name: str) -> BackboneError:
    """The error for an architecture that open_clip does not know; the hint gives the closest one."""
    known = open_clip.list_models()
    near = closest(name, known)
    return BackboneError(
        f"no backbone named {name!r}: no plugin offers it, and open_clip {open_clip.__version__} has no such model",
        f"did you mean {near}?" if near else f"open_clip has {len(known)} models, such as ViT-B-16 and ViT-L-14",
    )


def model_config(name: str) -> dict[str, Any]:
    """The configuration of architecture ``name`` in open_clip's format."""
    return dict(open_clip.get_model_config(name))


def pretrained_config(name: str, tag: str) -> dict[str, Any]:
    """open_clip's entry for published weights: source, QuickGELU and preprocessing; empty for an unknown tag."""
    return dict(open_clip.get_pretrained_cfg(name, tag))


def pretrained_tags(name: str) -> list[str]:
    """The published tags of an architecture."""
    return list(open_clip.list_pretrained_tags_by_model(name))


def find_hub_tag(model: str) -> tuple[str, str] | None:
    """(architecture, tag) of the published weights with that model name on the Hugging Face Hub, or None."""
    for name, tag in open_clip.list_pretrained():
        if pretrained_config(name, tag)["hf_hub"].strip("/") == model:
            return name, tag
    return None


def require_tag(name: str, tag: str) -> dict[str, Any]:
    """open_clip's entry for published weights.

    Raises:
        BackboneError: unknown tag; the hint gives the closest one.
    """
    found = pretrained_config(name, tag)
    if not found:
        raise unknown_tag(name, tag)
    return found


def unknown_tag(name: str, tag: str) -> BackboneError:
    """The error for a tag that open_clip does not have."""
    tags = pretrained_tags(name)
    near = closest(tag, tags)
    known = f"published for {name}: {', '.join(tags)}" if tags else f"nothing is published for {name}"
    problem = f"{tag!r} is neither a weights file nor a published tag of {name}"
    return BackboneError(problem, f"did you mean {near}?" if near else known)


def require_activation(name: str, tag: str) -> None:
    """Check that published weights were trained with the activation of architecture ``name``.

    Raises:
        BackboneError: only one of both uses QuickGELU; the hint names the matching architecture.
    """
    trained_with = bool(pretrained_config(name, tag).get("quick_gelu", False))
    built_with = bool(model_config(name).get("quick_gelu", False))
    right = name.removesuffix("-quickgelu") if built_with else f"{name}-quickgelu"
    # Some weights exist for one architecture only, with no QuickGELU flag: the architecture is the trained one.
    if trained_with != built_with and right != name:
        raise BackboneError(
            f"the weights {tag} were trained {'with' if trained_with else 'without'} QuickGELU, but {name} is built "
            f"{'with' if built_with else 'without'} it: every number would be wrong",
            f"use --backbone {right}",
        )


def fetch_weights(name: str, tag: str, cache: Path | None = None) -> Path:
    """The file of published weights, downloaded on first use.

    Raises:
        BackboneError: the download fails.
    """
    config = pretrained_config(name, tag)
    try:
        with quiet(), cached_files_without_hub():
            return Path(open_clip.download_pretrained(config, cache_dir=str(cache) if cache else None))
    except Exception as error:  # hub, network and disk errors of several libraries
        reason = one_line(error) or type(error).__name__
        repository, _, file = config["hf_hub"].rpartition("/")
        file = file or "open_clip_model.safetensors"
        copy = f"{name}-{tag}{Path(file).suffix}"  # the tag in its name states the corpus
        raise BackboneError(
            f"the weights {tag} of {name} cannot be fetched: {reason}",
            f"on a machine with a network get {file} from https://huggingface.co/{repository}, copy it here as {copy}, "
            f"and give --pretrained path/to/{copy} --preprocessing {tag}; --backbone beyond-mini needs no download",
        ) from None


def fetch_from_hub(model: str, file: str | None, cache: Path | None = None) -> Path:
    """A file of a model on the Hugging Face Hub, downloaded on first use; None for its weights.

    Raises:
        BackboneError: the download fails.
    """
    try:
        with quiet(), cached_files_without_hub():
            return Path(download_pretrained_from_hf(model, file, cache_dir=str(cache) if cache else None))
    except Exception as error:  # hub, network and disk errors of several libraries
        raise BackboneError(
            f"{file or 'the weights file'} of hf-hub:{model} cannot be fetched: {one_line(error)}",
            "check the name; without a network, copy the model's folder here and give --backbone local-dir:FOLDER",
        ) from None


def find_checkpoint(folder: Path, expected: str) -> Path:
    """The weights file that open_clip chooses in a folder.

    Raises:
        BackboneError: there is none; the hint names the file that is ``expected``, and its configuration.
    """
    with quiet():
        found = _find_checkpoint_in_dir(folder)
    if found is None:
        raise BackboneError(f"there are no weights in {folder}", f"put {expected}")
    return Path(found)


def load_model(name: str, config: Mapping[str, Any], weights: Path) -> nn.Module:
    """Build a model and load a weights file strictly, in fp32 on the CPU, in evaluation mode.

    Args:
        name: name of the model in messages.
        config: complete configuration in open_clip's format.
        weights: the weights file.

    Raises:
        BackboneError: invalid configuration, a damaged file or one of another model, or too little memory.
    """
    with as_backbone_error(
        name,
        f"no model can be built from the configuration of {name}",
        "check the configuration and the installed packages",
    ):
        model = _build(config)
    wrong = "the file is damaged or its weights belong to another architecture; check --backbone and --pretrained"
    with as_backbone_error(name, f"{weights.name} cannot be loaded into {name}", wrong):
        open_clip.load_checkpoint(model, str(weights))
    return model.eval().requires_grad_(False)


def _build(config: Mapping[str, Any]) -> nn.Module:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG_FILE).write_text(json.dumps({"model_cfg": dict(config)}))
        source = f"local-dir:{folder}"
        model: nn.Module = open_clip.create_model(source, load_weights=False, pretrained_text=False)
    return model


def model_image_size(model: nn.Module) -> tuple[int, int]:
    """Height and width of the images that a model really takes."""
    size = open_clip.model.get_model_preprocess_cfg(model)["size"]
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return int(height), int(width)


def transform(settings: Mapping[str, Any]) -> Preprocess:
    """The test-time image transform of preprocessing settings: image -> normalized ``(3, h, w)``."""
    made: Preprocess = transforms.Compose(_transforms(settings))
    return made


def pixel_transform(settings: Mapping[str, Any]) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """``transform`` without its normalization: RGB image -> resized and cropped ``(3, h, w)``, a strided view."""
    *resizing, _to_tensor, _normalize = _transforms(settings)
    resize = transforms.Compose(resizing)
    size = _exact_size(settings)

    def pixels(image: Image.Image) -> NDArray[np.uint8]:
        return _to_array(image if image.size == size else resize(image))

    return pixels


def _exact_size(settings: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height of the images that resizing and cropping leave as they are."""
    size = settings.get("size")
    if size is None or settings.get("crop", 1) != 1:
        return None
    return (size, size) if isinstance(size, int) else (size[1], size[0])


def _to_array(image: Image.Image) -> NDArray[np.uint8]:
    """An RGB image as ``(3, h, w)``. Pillow puts lines of one colour after each other, which are copied as lines."""
    lines = np.frombuffer(image.tobytes("raw", "RGB;L"), np.uint8)
    return lines.reshape(image.height, 3, image.width).transpose(1, 0, 2)


def normalize(pixels: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """Batch ``(b, 3, h, w)`` of ``transform`` from that of ``pixel_transform``, bit for bit, in float32."""
    # CUDA divides by a number through its reciprocal, which rounds otherwise: hence the tensor 255.
    largest, mean, std = (
        torch.tensor(value, dtype=torch.float32, device=pixels.device).view(-1, 1, 1)
        for value in (255, settings["mean"], settings["std"])
    )
    return pixels.float().div_(largest).sub_(mean).div_(std)


def _transforms(settings: Mapping[str, Any]) -> list[Any]:
    """The steps of open_clip's transform; ``crop`` below 1 resizes larger, then centre-crops."""
    config = PreprocessCfg(**{key: value for key, value in settings.items() if key != "crop"})
    steps: list[Any] = image_transform_v2(config, is_train=False).transforms
    if isinstance(steps[0], ResizeKeepRatio):
        steps[0].get_params = _size_within
    if settings.get("crop", 1) == 1:
        return steps
    sides = [int(side / settings["crop"]) for side in settings["size"]]
    larger = transforms.Resize(
        sides if config.resize_mode == "squash" else min(sides), transforms.InterpolationMode(config.interpolation)
    )
    return [larger, transforms.CenterCrop(settings["size"]), *steps]


def _size_within(image: Image.Image, *how: Any) -> list[int]:
    """The size to which ``ResizeKeepRatio`` resizes an image: no side of a long one is rounded down to nothing."""
    return [max(1, side) for side in ResizeKeepRatio.get_params(image, *how)]
