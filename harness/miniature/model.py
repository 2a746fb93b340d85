"""The tiny CLIP: its architecture and the path of its shipped weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.backbones.preprocessing import DEFAULTS

NAME = "beyond-mini"
"""Name of the architecture in open_clip."""

CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 12, "head_width": 32, "patch_size": None},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 3},
}
"""780k image, 150k text and 3.2M token parameters; ReLU and GELU, no QuickGELU."""

VIT_NAME = "beyond-mini-vit"
"""Name of the same model with a vision transformer, for methods that tune one."""

VIT_CONFIG: dict[str, Any] = {
    **CONFIG,
    "vision_cfg": {"image_size": 64, "layers": 4, "width": 64, "head_width": 32, "patch_size": 8},
}
"""The same text tower, and an image tower of 220k parameters."""

PREPROCESSING: dict[str, Any] = {**DEFAULTS, "size": (64, 64)}
"""Preprocessing of its images, in pre-training and later: open_clip's defaults at its own size."""

WEIGHTS = Path(__file__).parent / "weights" / "beyond_mini.safetensors"
"""The shipped weights, fp16; `python -m harness.miniature.pretrain` makes them."""


VIT_WEIGHTS = WEIGHTS.with_name("beyond_mini_vit.safetensors")
"""The shipped weights of the transformer alone, fp16; `python -m harness.miniature.distil` makes them."""


def register() -> None:
    """Register both architectures with open_clip (idempotent)."""
    from harness.backbones.openclip import register_architecture  # here, so that CONFIG can be read without torch

    register_architecture(NAME, CONFIG)
    register_architecture(VIT_NAME, VIT_CONFIG)
