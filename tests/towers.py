"""Tiny text towers of every kind that open_clip has, with random weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from harness.backbones import openclip
from harness.backbones.text import OpenClipTextTower

VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
CLIP: dict[str, Any] = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}

CONFIGS: dict[str, dict[str, Any]] = {
    "unit-clip": CLIP,
    "unit-custom-text": {**CLIP, "custom_text": True},
    "unit-bidirectional": {**CLIP, "custom_text": True, "text_cfg": {**TEXT, "no_causal_mask": True}},
    "unit-coca": {
        **CLIP,
        "custom_text": True,
        "vision_cfg": {**VISION, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": {**TEXT, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {
            "width": 32,
            "context_length": 16,
            "vocab_size": 49408,
            "mlp_ratio": 2,
            "layers": 1,
            "dim_head": 16,
            "heads": 2,
            "n_queries": 4,
            "attn_pooler_heads": 2,
        },
    },
}
"""Name -> architecture. The last two cannot cut their context."""

CUTS = ("unit-clip", "unit-custom-text")


def make_model(name: str) -> Any:
    """The architecture with weights that are spread enough to distinguish prompts."""
    openclip.register_architecture(name, CONFIGS[name])
    torch.manual_seed(0)
    model = openclip.random_model(name).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    tower = model.text if hasattr(model, "text") else model
    for values in (tower.token_embedding.weight, tower.positional_embedding):
        values.copy_(torch.randn(values.shape, generator=generator) * 0.5)
    return model


@cache
def tokenizer(name: str) -> Any:
    """The tokenizer of an architecture; making one takes longer than most tests."""
    openclip.register_architecture(name, CONFIGS[name])
    return openclip.tokenizer(name)


def make_tower(name: str, model: Any = None) -> OpenClipTextTower:
    """The text tower of a model."""
    return OpenClipTextTower(model if model is not None else make_model(name), tokenizer(name), torch.device("cpu"))
