"""Private copies of the model, which a method may change and train; the frozen model stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRECISIONS = {"bf16": torch.bfloat16}
"""Precision of a run -> type that is trained with; fp16 gradients would underflow, so that fp16 is fp32 here."""

WORDS_AT_ONCE = 2**20
"""Words of 4 bytes whose checksum is computed at once: it needs 8 MiB."""


def private_copy(model: nn.Module, train: Callable[[str], bool] | None = None) -> nn.Module:
    """A copy of a model with modules of its own, and the weights of the original.

    Weights to train are cloned and require gradients; all others share the memory of the original's, and nothing else:
    a gradient or a hook of one is the copy's own. Buffers are cloned.

    Args:
        model: frozen.
        train: whether the weight of a name is trained; None: none is.
    """
    shared: dict[int, Any] = {id(buffer): buffer.clone() for buffer in model.buffers()}
    for name, weight in model.named_parameters():
        trained = train is not None and train(name)
        value = weight.detach().clone() if trained else weight.detach()
        shared[id(weight)] = nn.Parameter(value, requires_grad=trained)
    return deepcopy(model, shared)


def weights_checksum(model: nn.Module) -> tuple[int, ...]:
    """A number for each weight and buffer of a model that changes with any of its bits, in all likelihood."""
    return tuple(_checksum(value) for value in (*model.parameters(), *model.buffers()))


def still_frozen(model: nn.Module, checksum: tuple[int, ...]) -> bool:
    """Whether a model has the weights that it had; afterwards none requires or has a gradient."""
    for weight in model.parameters():
        weight.requires_grad_(False)
        weight.grad = None
    return weights_checksum(model) == checksum


def _checksum(value: Tensor) -> int:
    """A sum of a tensor's bits that depends on their positions: an exchange of two values changes it too."""
    bits = value.detach().reshape(-1).contiguous().view(torch.uint8)
    words = bits[: len(bits) // 4 * 4].view(torch.int32)
    position = torch.arange(1, 1 + min(len(words), WORDS_AT_ONCE), device=value.device)
    total = bits[len(words) * 4 :].sum()
    for part in torch.split(words, WORDS_AT_ONCE):
        total = 31 * total + (part * position[: len(part)]).sum()  # of int64, which wraps around
    return int(total)


@dataclass(frozen=True)
class ModelCopies:
    """Makes private copies of a frozen model, and encodes images with them."""

    model: nn.Module
    precision: str

    def __call__(self, train: Callable[[str], bool] | None = None) -> nn.Module:
        """See ``private_copy``."""
        return private_copy(self.model, train)

    def encode_image(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """Unit rows ``(b, d)`` in fp32 of pixels ``(b, 3, h, w)``, with the precision of the run, with gradients."""
        dtype = PRECISIONS.get(self.precision)
        with torch.autocast(pixels.device.type, dtype=dtype, enabled=dtype is not None):
            encoded = model.encode_image(pixels)  # type: ignore[operator]
        return F.normalize(encoded.float(), dim=-1)
