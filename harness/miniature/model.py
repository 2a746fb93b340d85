"""The tiny CLIP: its architecture, its shipped weights, and a text encoder that skips padding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = "beyond-mini"
"""What the architecture is called in open_clip."""

CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 12, "head_width": 32, "patch_size": None},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 3},
}
"""780k image, 150k text and 3.2M token parameters; ReLU and GELU, no QuickGELU."""

WEIGHTS = Path(__file__).parent / "weights" / "beyond_mini.safetensors"
"""The shipped weights, fp16; `python -m harness.miniature.pretrain` makes them."""


def register() -> None:
    """Make the architecture known to open_clip as ``NAME`` (idempotent)."""
    from harness.backbones.openclip import register_architecture  # here, so that CONFIG can be read without torch

    register_architecture(NAME, CONFIG)


def encode_text(clip: nn.Module, ids: Tensor) -> Tensor:
    """The text features (n, 128), not normalised, of token ids (n, 32).

    The context is cut to the longest text: with a causal mask nothing after the end token can change the result.
    """
    from torch.func import functional_call

    longest = int((ids != 0).sum(dim=1).max())
    shorter = {
        "clip.positional_embedding": clip.get_parameter("positional_embedding")[:longest],
        "clip.attn_mask": clip.get_buffer("attn_mask")[:longest, :longest],
    }
    features: Tensor = functional_call(_text_tower(clip), shorter, (ids[:, :longest],))
    return features


def _text_tower(clip: nn.Module) -> nn.Module:
    """A module whose forward is ``clip.encode_text``: what functional_call needs."""
    from torch import nn

    class TextTower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.clip = clip

        def forward(self, ids: Tensor) -> Any:
            return self.clip.encode_text(ids)  # type: ignore[operator]

    return TextTower()
