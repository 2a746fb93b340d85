"""A backbone: image encoder, text tower and logit scale of one open_clip model, or an encoder of timm; with its record.

``find`` (``harness.backbones.find``) checks names without downloading; ``resolve`` gets the weights and creates the
record without building the model; ``load`` builds it. So a run whose results are all stored never loads a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.backbones.found import Found
from harness.backbones.imagenet import imagenet_preprocessing
from harness.datasets.image_bytes import large_file_digest
from harness.errors import BackboneError
from harness.file_stamp import Stamp
from harness.files import PERMISSIONS_HINT, detect_placeholder, open_regular_file
from harness.types.cell import MODEL_FOLDERS, BackboneRecord

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from harness.backbones.text import OpenClipTextTower
    from harness.prompts import Prompt
    from harness.types.feature_rule import FeatureRule

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
"""Precision of both towers: fp32; fp32 with TF32 matrix products on CUDA; bf16 autocast with learned parameters,
losses and features in fp32. fp16 applies to the image encoder only: gradients of the text tower would underflow."""


@dataclass(frozen=True)
class ResolvedBackbone:
    """A backbone with local weights that are not loaded yet.

    Attributes:
        record: its record for results.
        name: its name in open_clip or timm, or the model folder.
        weights: the weights file.
        stamp: of that file, before it was read.
        config: the complete model configuration in open_clip's or timm's format.
    """

    record: BackboneRecord
    name: str
    weights: Path
    stamp: Stamp
    config: Mapping[str, Any]

    def with_rule(self, rule: FeatureRule) -> ResolvedBackbone:
        """A copy with the image preprocessing of a protocol."""
        if rule.preprocessing == "backbone":
            return self
        change = {
            "preprocessing": imagenet_preprocessing(self.record.preprocessing.size),
            "preprocessing_source": "protocol",
        }
        return replace(self, record=self.record.model_copy(update=change))

    def has_same_weights(self) -> bool:
        """Whether the weights file is the one that was identified: by its stamp, or else by its sha256."""
        return Stamp.of(self.weights) == self.stamp or large_file_digest(self.weights) == self.record.weights_sha256

    @property
    def libraries(self) -> tuple[str, ...]:
        """Distributions other than open_clip that build the model or its tokenizer."""
        if not self.record.has_text:
            return ("timm",)
        text, vision = self.config["text_cfg"], self.config["vision_cfg"]
        hugging_face = ("transformers", "tokenizers") if {"hf_model_name", "hf_tokenizer_name"} & text.keys() else ()
        return (*hugging_face, *(("timm",) if "timm_model_name" in vision else ()))


def resolve(
    found: Found, precision: Precision, digest: Callable[[Path], str], compiled: bool = False
) -> ResolvedBackbone:
    """Get the weights of a backbone, downloading published ones.

    Args:
        found: the backbone.
        precision: of both encoders.
        digest: computes the sha256 of a file (cached between runs).
        compiled: whether learned rows are encoded through torch.compile.

    Raises:
        BackboneError: the weights are not available, or are a Git LFS pointer.
    """
    weights = found.weights()
    _require_weights_content(weights)
    stamp = Stamp.of(weights)
    canonical = json.dumps([found.config, found.tokenizer], sort_keys=True, separators=(",", ":"))
    record = BackboneRecord(
        architecture=found.architecture,
        pretrained=found.pretrained or weights.name,
        weights_sha256=digest(weights),
        corpus=found.corpus,
        quick_gelu=found.quick_gelu,
        config=hashlib.sha256(canonical.encode()).hexdigest(),
        preprocessing=found.preprocessing,
        preprocessing_source=found.source,
        precision=precision,
        compiled=compiled,
    )
    return ResolvedBackbone(record, found.name, weights, stamp, found.config)


def _require_weights_content(weights: Path) -> None:
    try:
        with open_regular_file(weights) as file:
            placeholder = detect_placeholder(file.read(512))
    except OSError as error:
        raise BackboneError(f"{weights} cannot be read: {error.strerror}", PERMISSIONS_HINT) from None
    if placeholder is not None:
        raise BackboneError(f"{weights} is {placeholder}")


@dataclass
class Backbone:
    """A loaded model, frozen, on its device.

    Attributes:
        record: its record for results.
        text: the text tower; for a vision-only model it raises wherever it is used.
        logit_scale: the model's own scale of cosines, exponentiated; 1 for a vision-only model.
        logit_bias: the bias of scaled cosines in models that were trained with a sigmoid loss; 0 in others.
        preprocess: test-time transform, image -> ``(3, h, w)``.
        preprocess_config: settings of ``preprocess``.
        model: the open_clip module or the encoder of timm, frozen.
        embed_dim: width of features.
        libraries: distributions other than open_clip that build the model.
        unit_rows: whether features are L2-normalized.
    """

    record: BackboneRecord
    device: torch.device
    text: OpenClipTextTower
    logit_scale: float
    preprocess: Callable[[Any], Tensor]
    preprocess_config: dict[str, Any]
    model: Any
    embed_dim: int
    libraries: tuple[str, ...] = ()
    logit_bias: float = 0.0
    unit_rows: bool = True

    def encode_image(self, batch: Tensor) -> Tensor:
        """Features ``(b, d)`` in fp32 of a preprocessed batch ``(b, 3, h, w)``; unit rows if ``unit_rows``."""
        import torch

        encoded = self.compute(self.model.encode_image, batch).float()
        return torch.nn.functional.normalize(encoded, dim=-1) if self.unit_rows else encoded

    def compute(self, function: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
        """``function(batch)`` on the device, in the precision of the model, without gradients."""
        import torch

        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.record.precision)
        with torch.no_grad(), torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            return function(batch.to(self.device))

    def prompt_keys(self, prompts: Mapping[str, Prompt]) -> dict[str, Hashable]:
        """Name -> the token ids of its prompt, or its text where there is no text tower."""
        if not self.record.has_text:
            return {name: prompt.text for name, prompt in prompts.items()}
        rows = self.text.token_rows(list(prompts.values())).tolist()
        return dict(zip(prompts, map(tuple, rows), strict=True))

    @property
    def image_tower(self) -> torch.nn.Module:
        """The model's image encoder."""
        tower: torch.nn.Module = self.model.visual
        return tower


def load(resolved: ResolvedBackbone, device: torch.device, unit_rows: bool = True) -> Backbone:
    """Build the model on its device, with unit-row or raw features.

    Raises:
        BackboneError: the configuration is invalid, the weights do not fit it or changed since they were identified,
            or there is no token embedding.
    """
    # A method can write to a folder of models, for its own ones; on another machine it is another file.
    if not resolved.has_same_weights():
        raise BackboneError(f"{resolved.weights.name} changed after the run had identified it", "start the run again")
    import torch

    from harness.execution.one_thread import one_thread_per_operation

    with one_thread_per_operation(torch.device("cpu")):  # there it is built; threads that wait take cores from others
        return (_load_towers if resolved.record.has_text else _load_encoder)(resolved, device, unit_rows)


def _load_towers(resolved: ResolvedBackbone, device: torch.device, unit_rows: bool) -> Backbone:
    """A model of open_clip."""
    from harness.backbones import openclip
    from harness.backbones.text import OpenClipTextTower

    record, settings = resolved.record, resolved.record.preprocessing.model_dump()
    if not resolved.name.startswith(MODEL_FOLDERS):
        openclip.register_architecture(resolved.name, dict(resolved.config))
    model = openclip.load_model(record.architecture, resolved.config, resolved.weights)
    size, stated = openclip.model_image_size(model), record.preprocessing.size
    if size != stated:
        raise BackboneError(
            f"{record.architecture} takes images of {size} pixels, but its configuration says {stated}",
            "set image_size in vision_cfg of its configuration",
        )
    logit_scale = float(model.logit_scale.exp())  # type: ignore[operator]  # on the CPU: the same on every device
    model = model.to(device)
    tokenizer = openclip.tokenizer(resolved.name)
    return Backbone(
        record=record,
        device=device,
        text=OpenClipTextTower(model, tokenizer, device, record.precision == "bf16", record.compiled),
        logit_scale=logit_scale,
        preprocess=openclip.transform(settings),
        preprocess_config=settings,
        model=model,
        embed_dim=int(resolved.config["embed_dim"]),
        libraries=resolved.libraries,
        logit_bias=float(model.logit_bias or 0.0),  # type: ignore[arg-type]
        unit_rows=unit_rows,
    )


def _load_encoder(resolved: ResolvedBackbone, device: torch.device, unit_rows: bool) -> Backbone:
    """An encoder of timm, without a text tower."""
    from harness.backbones import openclip, timm_model
    from harness.backbones.no_text import no_text

    record, settings = resolved.record, resolved.record.preprocessing.model_dump()
    model = timm_model.load_encoder(record.architecture, resolved.config, resolved.weights)
    return Backbone(
        record=record,
        device=device,
        text=no_text(record.architecture),
        logit_scale=1.0,
        preprocess=openclip.transform(settings),
        preprocess_config=settings,
        model=model.to(device),
        embed_dim=model.width,
        libraries=resolved.libraries,
        unit_rows=unit_rows,
    )
