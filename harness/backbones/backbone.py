"""A backbone: image encoder, text tower and logit scale of one open_clip model, with its record.

``resolve`` finds the weights and writes the record without building the model; ``load`` builds it. So a run whose
results are all known never loads a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from harness.backbones.corpora import corpus_of
from harness.errors import BackboneError, one_line
from harness.miniature import model as miniature
from harness.types.cell import BackboneRecord

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from harness.backbones.text import TextTower
    from harness.registration import BackboneOffer

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
"""Of both towers: fp32; fp32 with the matrix products of CUDA devices in TF32; bf16 by autocast, with learned numbers,
losses and features in fp32. fp16 is for the image encoder alone: gradients through the text tower would underflow."""

WEIGHTS_SUFFIXES = {".pt", ".pth", ".bin", ".safetensors", ".ckpt"}
"""By which a word that is no file was meant as one, and not as a published tag."""


@dataclass(frozen=True)
class Resolved:
    """A backbone that was found but not loaded: its record, its weights file, and its architecture if a plugin's."""

    record: BackboneRecord
    weights: Path
    config: Mapping[str, Any] | None = None


def resolve(
    architecture: str,
    pretrained: str | None,
    precision: Precision,
    digest: Callable[[Path], str],
    cache: Path | None = None,
    offer: BackboneOffer | None = None,
    compiled: bool = False,
) -> Resolved:
    """Find the weights of a backbone, downloading them if they are published.

    Args:
        architecture: an open_clip name, or ``beyond-mini``.
        pretrained: a published tag, or the path of a weights file; None for the miniature's own weights.
        precision: of both encoders.
        digest: sha256 of a file (remembered between runs).
        cache: where downloads are kept; None is open_clip's own cache.
        offer: the backbone as a plugin offers it.
        compiled: whether learned rows go through torch.compile.

    Raises:
        BackboneError: unknown architecture or tag, QuickGELU mismatch, weights that cannot be had.
    """
    found = _find(architecture, pretrained, cache, offer)
    record = BackboneRecord(
        architecture=architecture,
        pretrained=found.name,
        weights_sha256=digest(found.weights),
        corpus=found.corpus,
        quick_gelu="ok" if found.checked else "unchecked",
        precision=precision,
        compiled=compiled,
    )
    return Resolved(record, found.weights, None if offer is None else offer.config)


class _Found(NamedTuple):
    weights: Path
    name: str
    corpus: str
    checked: bool  # whether the weights are known to be of this activation


def _find(architecture: str, pretrained: str | None, cache: Path | None, offer: BackboneOffer | None) -> _Found:
    if pretrained is None:
        if architecture == miniature.NAME:
            return _own_weights()
        if offer is not None and offer.weights is not None:
            weights = offered_weights(architecture, offer.weights)
            return _Found(weights, weights.name, offer.corpus, False)
    if offer is None:
        _require(architecture)
    if pretrained is None:
        raise BackboneError(f"{architecture} needs weights", "give --pretrained: a published tag or a weights file")
    file = Path(pretrained).expanduser()
    if file.is_file():
        return _Found(file, file.name, corpus_of(file.stem), False)
    if file.suffix in WEIGHTS_SUFFIXES or "/" in pretrained:
        raise BackboneError(f"no weights file at {pretrained}", "check the path given as --pretrained")
    return _published(architecture, pretrained, cache)


def _own_weights() -> _Found:
    if not miniature.WEIGHTS.is_file():
        raise BackboneError(
            "the miniature's weights are missing from this installation",
            "reinstall the package, or make them again: python -m harness.miniature.pretrain",
        )
    return _Found(miniature.WEIGHTS, miniature.NAME, miniature.NAME, True)


def _published(architecture: str, tag: str, cache: Path | None) -> _Found:
    _require(architecture)
    from harness.backbones import openclip

    return _Found(openclip.fetch_weights(architecture, tag, cache), tag, corpus_of(tag), True)


def offered_weights(name: str, weights: Callable[[], Path]) -> Path:
    """The weights file that a plugin gives.

    Raises:
        BackboneError: it raises, or what it gives is no file.
    """
    try:
        path = Path(weights())
    except (Exception, SystemExit) as error:  # third-party code
        reason = one_line(error) or type(error).__name__
        raise BackboneError(f"the weights of {name} cannot be had: {reason}", "ask the plugin's author") from None
    if not path.is_file():
        raise BackboneError(f"the weights of {name} should be {path}, which is no file", "ask the plugin's author")
    return path


def known(architecture: str) -> bool:
    """Whether an architecture is the miniature's or open_clip's."""
    try:
        if architecture != miniature.NAME:
            _require(architecture)
    except BackboneError:
        return False
    return True


def _require(architecture: str) -> None:
    from harness.backbones import openclip

    if architecture == miniature.NAME:
        miniature.register()
    openclip.require_architecture(architecture)


@dataclass
class Backbone:
    """A loaded model, frozen, on its device.

    Attributes:
        record: what it is.
        text: the text tower.
        logit_scale: the model's own scale of cosines, exponentiated.
        preprocess: image -> ``(3, h, w)`` at test time.
        preprocess_config: its settings.
    """

    record: BackboneRecord
    device: torch.device
    text: TextTower
    logit_scale: float
    preprocess: Callable[[Any], Tensor]
    preprocess_config: dict[str, Any]
    _model: Any

    def encode_image(self, batch: Tensor) -> Tensor:
        """Unit rows ``(b, d)`` in fp32 of a preprocessed batch ``(b, 3, h, w)``."""
        import torch

        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.record.precision)
        with torch.no_grad(), torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            encoded = self._model.encode_image(batch.to(self.device))
        return torch.nn.functional.normalize(encoded.float(), dim=-1)


def load(resolved: Resolved, device: torch.device) -> Backbone:
    """Build the model and put it on its device.

    Raises:
        BackboneError: the weights do not fit the architecture, or the text tower has no token embedding.
    """
    from harness.backbones import openclip
    from harness.backbones.text import TextTower

    architecture = resolved.record.architecture
    if architecture == miniature.NAME:
        miniature.register()
    if resolved.config is not None:
        openclip.register_architecture(architecture, dict(resolved.config))
    model = openclip.load_model(architecture, resolved.weights)
    logit_scale = float(model.logit_scale.exp())  # type: ignore[operator]  # on the CPU: the same on every device
    model = model.to(device)
    preprocess, config = openclip.preprocessing(model)
    return Backbone(
        record=resolved.record,
        device=device,
        text=TextTower(
            model,
            openclip.tokenizer(architecture),
            device,
            resolved.record.precision == "bf16",
            resolved.record.compiled,
        ),
        logit_scale=logit_scale,
        preprocess=preprocess,
        preprocess_config=config,
        _model=model,
    )
