"""Learned tokens inside a tower: appended before a module, or in the place of others before a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from harness.device import to_device

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.types.task import Task

Tokens: TypeAlias = "Callable[[], Tensor]"
"""Gives the learned tokens ``(n, width)`` of a forward pass."""

DEVIATION = 0.02
"""Standard deviation of random tokens (Khattak et al., CVPR 2023)."""


def random_tokens(task: Task, depth: int, length: int, width: int) -> list[Tensor]:
    """Normal random tokens ``(length, width)`` of each of ``depth`` blocks."""
    drawn = torch.randn(depth, length, width, generator=task.generator, dtype=task.support.features.dtype)
    return list((DEVIATION * to_device(drawn, task.device)).unbind())


def as_they_are(rows: list[Tensor]) -> list[Tokens]:
    """Learned tokens that are not computed from others."""
    return [lambda own=own: own for own in rows]  # type: ignore[misc]


def append_tokens(module: nn.Module, tokens: Tokens) -> None:
    """Append learned tokens to the input ``(b, l, width)`` of a module."""

    def append(_: nn.Module, args: Any) -> Any:
        x, *rest = args
        return torch.cat([x, _repeat(tokens(), x)], dim=1), *rest

    module.register_forward_pre_hook(append)


def replace_tokens(module: nn.Module, tokens: Tokens, start: int) -> None:
    """Put learned tokens in the place of as many tokens of the input ``(b, l, width)`` of a module.

    Args:
        module: a block.
        tokens: n learned tokens.
        start: position of the first one; a negative one counts from the end.
    """

    def replace(_: nn.Module, args: Any) -> Any:
        x, *rest = args
        learned = _repeat(tokens(), x)
        first = start % x.shape[1]
        return torch.cat([x[:, :first], learned, x[:, first + learned.shape[1] :]], dim=1), *rest

    module.register_forward_pre_hook(replace)


def prompt_image_tower(visual: Any, blocks: list[nn.Module], tokens: list[Tokens]) -> None:
    """Add learned tokens to a vision transformer of open_clip.

    The first ones follow the patches, before the first norm; each further block up to their depth gets fresh ones
    in their place, so that what the blocks before made of them is dropped.
    """
    first, *deeper = tokens
    append_tokens(visual.ln_pre, first)
    for block, fresh in zip(blocks[1:], deeper, strict=False):
        replace_tokens(block, fresh, -len(fresh()))


def prompt_text_tower(blocks: list[nn.Module], tokens: list[Tokens], start: int) -> None:
    """Replace the learned words of all prompts, which start at a position, before each block after the first."""
    for block, fresh in zip(blocks[1:], tokens, strict=False):
        replace_tokens(block, fresh, start)


def _repeat(tokens: Tensor, x: Tensor) -> Tensor:
    return tokens.to(x.dtype).expand(len(x), -1, -1)
