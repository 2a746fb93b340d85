"""A tiny random model without files: real tokens, real pixels, real gradients, milliseconds.

Its image projection is solved so that the image of every known name has the features of the name's prompt: a model that
was never trained, and on whose domains every working method is far better than chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from harness.backbones import openclip
from harness.backbones.text import OpenClipTextTower
from harness.prompts import Template

NAME = "harness-conformance"
WIDTH = 32
"""Size of features and token embeddings."""

SIDE = 16
"""Height and width of an image in pixels."""

LOGIT_SCALE = 50.0

CONFIG: dict[str, Any] = {
    "embed_dim": WIDTH,
    "vision_cfg": {
        "image_size": SIDE,
        "layers": 2,
        "width": 64,
        "head_width": 16,
        "patch_size": 8,
    },
    "text_cfg": {"context_length": 40, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 2},
}

CALIBRATION = ("auk", "ibex", "moth", "rose", "arch", "coat", "cat", "dog", "oak", "elm", "bee", "wasp", "fern", "crab")
"""Names whose prompt features are centred at the origin."""

KNOWN = {
    "animal": ("great auk", "ibex", "hawk moth", "red rose", "stone arch", "tabby cat", "oak", "long drum"),
    "plant": ("fern", "bread loaf", "kite", "round tower", "brown bee", "crab"),
}
"""Noun -> the names whose images look like their prompts."""


@dataclass(frozen=True)
class TinyModel:
    """The model and its text tower.

    Attributes:
        tower: the text tower.
        model: the open_clip module.
    """

    tower: OpenClipTextTower
    model: nn.Module

    def fingerprint(self) -> float:
        """A number that changes with any weight, and with whether a weight requires gradients."""
        values = [float(v.detach().double().abs().sum()) + float(v.requires_grad) for v in self.model.parameters()]
        return sum(value * (i + 1) for i, value in enumerate(values))

    @torch.no_grad()
    def preprojection(self, pixels: Tensor) -> Tensor:
        """``(n, w)`` of images ``(n, 3, 16, 16)`` uint8."""
        return _pooled(self.model, normalize(pixels))[0]

    @torch.no_grad()
    def tokens(self, pixels: Tensor) -> Tensor:
        """``(n, p, d)`` unit rows of the patches of images ``(n, 3, 16, 16)`` uint8."""
        patches: Tensor = _pooled(self.model, normalize(pixels))[1] @ self.projection[0]
        return torch.nn.functional.normalize(patches, dim=-1)

    @property
    def projection(self) -> tuple[Tensor, None]:
        """Weight ``(w, d)`` of the image projection, which has no bias."""
        visual: Any = self.model.visual
        return visual.proj.detach(), None


def prototype(name: str) -> Tensor:
    """The image ``(3, 16, 16)`` uint8 of a name, without noise."""
    generator = torch.Generator().manual_seed(sum((i + 1) * ord(letter) for i, letter in enumerate(name)))
    return torch.randint(0, 256, (3, SIDE, SIDE), generator=generator, dtype=torch.uint8)


def normalize(pixels: Tensor) -> Tensor:
    """Pixels ``(..., 3, h, w)`` uint8 as the model takes them."""
    return pixels.float().div(255).sub(0.5).div(0.5)


@cache
def tiny_model() -> TinyModel:
    """Build the model once, with the same weights in every process.

    An untrained text tower maps all prompts to nearly the same direction. The bias of the last norm is shifted so that
    prompt features are centred at the origin: then different names have different directions, as in a trained tower.
    """
    openclip.register_architecture(NAME, CONFIG)
    model: Any = openclip.random_model(NAME).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, value in model.named_parameters():
        if value.ndim > 1:
            spread = 0.01 if "positional" in name else 0.3 if "token" in name else value[0].numel() ** -0.5
            value.copy_(torch.randn(value.shape, generator=generator) * spread)
    model.visual.class_embedding.copy_(0.1 * torch.randn(model.visual.class_embedding.shape, generator=generator))
    tokenizer = openclip.tokenizer(NAME)
    prompts = [Template().fill(name, hint).text for name in CALIBRATION for hint in ("animal", "plant")]
    mean: Tensor = model.encode_text(tokenizer(prompts)).mean(dim=0)
    model.ln_final.bias -= torch.linalg.solve(model.text_projection.T, mean)
    texts = [Template().fill(name, noun).text for noun, names in KNOWN.items() for name in names]
    seen = torch.stack([prototype(name) for names in KNOWN.values() for name in names])
    pooled, _ = _pooled(model, normalize(seen))
    wanted = model.encode_text(tokenizer(texts), normalize=True)
    model.visual.proj.copy_(torch.linalg.lstsq(pooled.double(), wanted.double(), driver="gelsd").solution)
    return TinyModel(OpenClipTextTower(model, tokenizer, torch.device("cpu")), model)


def _pooled(model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The pooled token ``(n, w)`` and the patch tokens ``(n, p, w)`` before the projection."""
    visual = model.visual
    pooled, tokens = visual._pool(visual.transformer(visual._embeds(pixels)))
    return pooled, tokens
