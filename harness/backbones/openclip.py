"""The only module that imports open_clip: everything else goes through these functions."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor, nn

from harness.device import out_of_memory
from harness.errors import BackboneError, closest, one_line

Preprocess = Callable[[Image.Image], Tensor]


def register_architecture(name: str, config: dict[str, Any]) -> None:
    """Make a model configuration known to open_clip under ``name`` (idempotent)."""
    if open_clip.get_model_config(name) == config:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.json"
        path.write_text(json.dumps(config))
        open_clip.add_model_config(path)


def random_model(name: str) -> nn.Module:
    """The architecture ``name`` with random weights, in fp32 on the CPU."""
    with _quiet():
        model: nn.Module = open_clip.create_model(name, pretrained=None, pretrained_text=False)
    return model


def tokenizer(name: str) -> Any:
    """The tokenizer of architecture ``name``: a call turns a list of n texts into ids (n, context length).

    Raises:
        BackboneError: it needs a package or files that are not there.
    """
    try:
        with _quiet():
            return open_clip.get_tokenizer(name)
    except Exception as error:  # tokenizers of other publishers come with their own package, and from the network
        raise BackboneError(
            f"the tokenizer of {name} cannot be loaded: {one_line(error)[:300]}",
            "install what is missing (pip install transformers); its files are fetched once, with a network",
        ) from None


def require_architecture(name: str) -> None:
    """Check that open_clip knows ``name``.

    Raises:
        BackboneError: it does not; the hint names the nearest one.
    """
    known = open_clip.list_models()
    if name.replace("/", "-") not in known and not name.startswith(("hf-hub:", "local-dir:")):
        near = closest(name, known)
        raise BackboneError(
            f"open_clip {open_clip.__version__} has no architecture {name!r}",
            f"did you mean {near}?" if near else f"it has {len(known)}, such as ViT-B-16 and ViT-L-14",
        )


def fetch_weights(name: str, tag: str, cache: Path | None = None) -> Path:
    """The file of a published weights tag, downloaded on first use.

    Raises:
        BackboneError: no such tag, a QuickGELU mismatch, or the file cannot be fetched.
    """
    tags = open_clip.list_pretrained_tags_by_model(name.replace("/", "-"))
    published = open_clip.get_pretrained_cfg(name.replace("/", "-"), tag)
    if not published:
        near = closest(tag, tags)
        known = f"published for {name}: {', '.join(tags)}" if tags else f"nothing is published for {name}"
        raise BackboneError(
            f"{tag!r} is neither a weights file nor a published tag of {name}",
            f"did you mean {near}?" if near else known,
        )
    trained_with = bool(published.get("quick_gelu", False))
    built_with = bool((open_clip.get_model_config(name.replace("/", "-")) or {}).get("quick_gelu", False))
    right = name.removesuffix("-quickgelu") if built_with else f"{name}-quickgelu"
    # Some weights are published for one architecture alone, without a word on QuickGELU: it is as it was trained.
    if trained_with != built_with and right != name:
        raise BackboneError(
            f"the weights {tag} were trained {'with' if trained_with else 'without'} QuickGELU, but {name} is built "
            f"{'with' if built_with else 'without'} it: every number would be wrong",
            f"use --backbone {right}",
        )
    try:
        with _quiet():
            return Path(open_clip.download_pretrained(published, cache_dir=str(cache) if cache else None))
    except Exception as error:  # hub, network and disk errors of several libraries
        reason = one_line(error)[:200] or type(error).__name__
        source = published.get("hf_hub") or published.get("url") or "its publisher"
        raise BackboneError(
            f"the weights {tag} of {name} cannot be fetched: {reason}",
            f"on a machine with a network get the file from {source.rstrip('/')}, copy it here and give it as "
            f"--pretrained path/to/{Path(str(published.get('url') or 'open_clip_model.safetensors')).name}",
        ) from None


def load_model(name: str, weights: Path) -> nn.Module:
    """The architecture with the weights of a file: strict, fp32, on the CPU, in evaluation mode.

    Raises:
        BackboneError: the file is damaged or belongs to another architecture, or memory ran out.
    """
    try:
        with _quiet():
            model: nn.Module = open_clip.create_model(name, pretrained=str(weights), pretrained_text=False)
    except Exception as error:  # open_clip, torch and safetensors raise many types
        if out_of_memory(error):
            hint = "use a smaller backbone, or give the process more memory (ulimit -a shows its limits)"
            raise BackboneError(f"there is not enough memory for {name}", hint) from None
        reason = one_line(error)
        raise BackboneError(
            f"{weights.name} cannot be loaded into {name}: {reason[:300]}",
            "the file is damaged or its weights belong to another architecture; check --backbone and --pretrained",
        ) from None
    return model.eval().requires_grad_(False)


def preprocessing(model: nn.Module) -> tuple[Preprocess, dict[str, Any]]:
    """The test-time image transform of a model, and its settings (size, mean, std, interpolation...)."""
    config: dict[str, Any] = dict(open_clip.model.get_model_preprocess_cfg(model))
    return image_transform_v2(PreprocessCfg(**config), is_train=False), config


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # open_clip logs at root level and warns about every random initialisation; errors still come as exceptions.
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
