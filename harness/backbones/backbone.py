"""A backbone: image encoder, text tower and logit scale of one open_clip model, with its record.

``find`` (``harness.backbones.find``) checks names and fetches nothing; ``resolve`` gets the weights and writes the
record without building the model; ``load`` builds it. So a run whose results are all known never loads a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.backbones.find import Found
from harness.backbones.imagenet import imagenet_preprocessing
from harness.errors import BackboneError
from harness.files import PERMISSIONS_HINT, detect_placeholder, open_regular_file
from harness.types.cell import MODEL_FOLDERS, BackboneRecord

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from harness.backbones.text import OpenClipTextTower
    from harness.types.feature_rule import FeatureRule

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
"""Of both towers: fp32; fp32 with the matrix products of CUDA devices in TF32; bf16 by autocast, with learned numbers,
losses and features in fp32. fp16 is for the image encoder alone: gradients through the text tower would underflow."""


@dataclass(frozen=True)
class ResolvedBackbone:
    """A backbone whose weights are here, but not loaded.

    Attributes:
        record: what it is.
        name: what open_clip calls it; a folder by its place.
        weights: the file.
        config: all that builds the model, in open_clip's format.
    """

    record: BackboneRecord
    name: str
    weights: Path
    config: Mapping[str, Any]

    def with_rule(self, rule: FeatureRule) -> ResolvedBackbone:
        """The same with images prepared as a protocol wants it."""
        if rule.preprocessing == "backbone":
            return self
        change = {
            "preprocessing": imagenet_preprocessing(self.record.preprocessing.size),
            "preprocessing_source": "protocol",
        }
        return replace(self, record=self.record.model_copy(update=change))

    @property
    def libraries(self) -> tuple[str, ...]:
        """The distributions that build the model or its tokenizer beside open_clip."""
        text, vision = self.config["text_cfg"], self.config["vision_cfg"]
        hugging_face = ("transformers", "tokenizers") if {"hf_model_name", "hf_tokenizer_name"} & text.keys() else ()
        return (*hugging_face, *(("timm",) if "timm_model_name" in vision else ()))


def resolve(
    found: Found, precision: Precision, digest: Callable[[Path], str], compiled: bool = False
) -> ResolvedBackbone:
    """Get the weights of a backbone, downloading them if they are published.

    Args:
        found: the backbone.
        precision: of both encoders.
        digest: sha256 of a file (remembered between runs).
        compiled: whether learned rows go through torch.compile.

    Raises:
        BackboneError: the weights are not available, or are a Git LFS pointer.
    """
    weights = found.weights()
    _require_weights_content(weights)
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
    return ResolvedBackbone(record, found.name, weights, found.config)


def _require_weights_content(weights: Path) -> None:
    try:
        with open_regular_file(weights) as file:
            other = detect_placeholder(file.read(512))
    except OSError as error:
        raise BackboneError(f"{weights} cannot be read: {error.strerror}", PERMISSIONS_HINT) from None
    if other is not None:
        raise BackboneError(f"{weights} is {other}")


@dataclass
class Backbone:
    """A loaded model, frozen, on its device.

    Attributes:
        record: what it is.
        text: the text tower.
        logit_scale: the model's own scale of cosines, exponentiated.
        preprocess: image -> ``(3, h, w)`` at test time.
        preprocess_config: its settings.
        libraries: the distributions that build the model beside open_clip.
        unit_rows: whether features are divided by their length.
    """

    record: BackboneRecord
    device: torch.device
    text: OpenClipTextTower
    logit_scale: float
    preprocess: Callable[[Any], Tensor]
    preprocess_config: dict[str, Any]
    _model: Any
    libraries: tuple[str, ...] = ()
    unit_rows: bool = True

    def encode_image(self, batch: Tensor) -> Tensor:
        """Features ``(b, d)`` in fp32 of a preprocessed batch ``(b, 3, h, w)``; unit rows, if ``unit_rows``."""
        import torch

        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.record.precision)
        with torch.no_grad(), torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            encoded = self._model.encode_image(batch.to(self.device))
        return torch.nn.functional.normalize(encoded.float(), dim=-1) if self.unit_rows else encoded.float()


def load(resolved: ResolvedBackbone, device: torch.device, unit_rows: bool = True) -> Backbone:
    """Build the model and put it on its device; its features are unit rows, or raw.

    Raises:
        BackboneError: the configuration builds no model, the weights do not fit it, or the text tower has no token
            embedding.
    """
    from harness.backbones import openclip
    from harness.backbones.text import OpenClipTextTower

    record = resolved.record
    if not resolved.name.startswith(MODEL_FOLDERS):
        openclip.register_architecture(resolved.name, dict(resolved.config))
    model = openclip.load_model(record.architecture, resolved.config, resolved.weights)
    size, said = openclip.model_image_size(model), record.preprocessing.size
    if size != said:
        raise BackboneError(
            f"{record.architecture} takes images of {size} pixels and not of {said}",
            "its configuration must say so: image_size in vision_cfg",
        )
    logit_scale = float(model.logit_scale.exp())  # type: ignore[operator]  # on the CPU: the same on every device
    model = model.to(device)
    settings = record.preprocessing.model_dump()
    tokenizer = openclip.tokenizer(resolved.name)
    return Backbone(
        record=record,
        device=device,
        text=OpenClipTextTower(model, tokenizer, device, record.precision == "bf16", record.compiled),
        logit_scale=logit_scale,
        preprocess=openclip.transform(settings),
        preprocess_config=settings,
        _model=model,
        libraries=resolved.libraries,
        unit_rows=unit_rows,
    )
