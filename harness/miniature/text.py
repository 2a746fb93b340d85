"""A text encoder that skips padding, around open_clip's own."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.func import functional_call


class _TextTower(nn.Module):
    """A module whose forward is ``clip.encode_text``: functional_call swaps parameters only around a forward."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, ids: Tensor) -> Any:
        return self.clip.encode_text(ids)  # type: ignore[operator]


def encode_text(clip: nn.Module, ids: Tensor) -> Tensor:
    """The text features (n, 128), not normalised, of token ids (n, 32).

    The context is cut to the longest text: with a causal mask nothing after the end token can change the result.
    """
    longest = int((ids != 0).sum(dim=1).max())
    shorter = {
        "clip.positional_embedding": clip.get_parameter("positional_embedding")[:longest],
        "clip.attn_mask": clip.get_buffer("attn_mask")[:longest, :longest],
    }
    features: Tensor = functional_call(_TextTower(clip), shorter, (ids[:, :longest],))
    return features
