"""A tiny random text tower without files: real tokens, real gradients, milliseconds."""

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

LOGIT_SCALE = 50.0

CONFIG: dict[str, Any] = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 40, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 1},
}

CALIBRATION = ("auk", "ibex", "moth", "rose", "arch", "coat", "cat", "dog", "oak", "elm", "bee", "wasp", "fern", "crab")
"""Names whose prompt features are centred at the origin."""


@dataclass(frozen=True)
class TinyText:
    """The tower and its open_clip module."""

    tower: OpenClipTextTower
    model: nn.Module

    def fingerprint(self) -> float:
        """A number that changes with any weight, and with whether a weight requires gradients."""
        values = [float(v.double().abs().sum()) + float(v.requires_grad) for v in self.model.parameters()]
        return sum(value * (i + 1) for i, value in enumerate(values))


@cache
def tiny_text() -> TinyText:
    """Build the tower once, with the same weights in every process.

    An untrained tower maps all prompts to nearly the same direction. The bias of the last norm is shifted so that
    prompt features are centred at the origin: then different names have different directions, as in a trained tower.
    """
    openclip.register_architecture(NAME, CONFIG)
    model: Any = openclip.random_model(NAME).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, value in model.named_parameters():
        if value.ndim > 1:
            spread = 0.01 if "positional" in name else 0.3 if "token" in name else value.shape[-1] ** -0.5
            value.copy_(torch.randn(value.shape, generator=generator) * spread)
    tokenizer = openclip.tokenizer(NAME)
    prompts = [Template().fill(name, hint).text for name in CALIBRATION for hint in ("animal", "plant")]
    mean: Tensor = model.encode_text(tokenizer(prompts)).mean(dim=0)
    model.ln_final.bias -= torch.linalg.solve(model.text_projection.T, mean)
    return TinyText(OpenClipTextTower(model, tokenizer, torch.device("cpu")), model)
