"""Low-rank adapters (LoRA) on the queries, keys and values of self-attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from harness.device import to_device

from ._layers import uniform_init

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


class Dropout:
    """Dropout whose masks follow from a seed and the number of the layer, so that checkpointing draws them again.

    Attributes:
        rate: share of values that become zero.
        seed: of the current step; None: no dropout.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.seed: int | None = None

    def draw(self, task: Task) -> None:
        """Draw the seed of a step."""
        if self.rate:
            self.seed = int(torch.randint(2**48, (), generator=task.generator))

    def stop(self) -> None:
        """No dropout from now on."""
        self.seed = None

    def __call__(self, x: Tensor, layer: int) -> Tensor:
        """The values that are left, divided by their share."""
        if self.seed is None:
            return x
        generator = torch.Generator().manual_seed(self.seed + layer)  # on the CPU: the same on every device
        left = torch.empty(x.shape, dtype=torch.bool).bernoulli_(1 - self.rate, generator=generator)
        return x * to_device(left, x.device) / (1 - self.rate)


class Adapter:
    """The change ``scale * up @ down`` of the weights of queries, keys and values (Hu et al., ICLR 2022).

    Attributes:
        down: ``(3 r, d)`` uniform, for queries, keys and values in order.
        up: ``(3, d, r)`` zero, so that an adapter changes nothing before it is trained.
    """

    def __init__(self, task: Task, width: int, rank: int, scale: float, dropout: Dropout, layer: int) -> None:
        self.down = uniform_init(task, 3 * rank, width, inputs=width)
        self.up = self.down.new_zeros(3, width, rank)
        self._scale, self._dropout, self._layer = scale, dropout, layer

    @property
    def drops(self) -> bool:
        """Whether dropout is on, so that the weights cannot be merged."""
        return self._dropout.seed is not None

    def weight(self) -> Tensor:
        """The change of the stacked weights, ``(3 d, d)``."""
        return self._scale * (self.up @ self.down.unflatten(0, (3, -1))).flatten(0, 1)

    def __call__(self, x: Tensor) -> Tensor:
        """The change of the projected inputs: ``(..., d)`` to ``(..., 3 d)``, with dropout on the input."""
        inner = F.linear(self._dropout(x, self._layer), self.down).unflatten(-1, (3, -1))
        outer = torch.einsum("...sr,sdr->...sd", inner, self.up.to(inner.dtype))
        return self._scale * outer.flatten(-2)


class AdaptedAttention(nn.Module):
    """Self-attention with an adapter, in the place of an ``nn.MultiheadAttention`` with ``batch_first``.

    Without dropout the adapter is merged into the weights, for the time of a forward pass.
    """

    def __init__(self, attention: nn.MultiheadAttention, adapter: Adapter) -> None:
        super().__init__()
        self.attention, self._adapter = attention, adapter

    def forward(self, x: Tensor, *_: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None) -> Any:
        """Output ``(b, l, d)`` for ``(b, l, d)``, as queries, keys and values alike, and None for the weights."""
        inner = self.attention
        if not self._adapter.drops:
            merged = {"in_proj_weight": inner.in_proj_weight + self._adapter.weight()}
            return functional_call(inner, merged, (x, x, x), {"need_weights": need_weights, "attn_mask": attn_mask})
        projected = F.linear(x, inner.in_proj_weight, inner.in_proj_bias) + self._adapter(x)
        q, k, v = projected.unflatten(-1, (3, inner.num_heads, -1)).permute(2, 0, 3, 1, 4)
        taken = F.scaled_dot_product_attention(q, k, v, _by_head(attn_mask, inner.num_heads))
        return inner.out_proj(taken.transpose(1, 2).flatten(2)), None


def _by_head(mask: Tensor | None, heads: int) -> Tensor | None:
    """An attention mask ``(l, l)`` or ``(b * heads, l, l)`` as ``scaled_dot_product_attention`` takes it."""
    return mask if mask is None or mask.ndim == 2 else mask.unflatten(0, (-1, heads))


def add_adapters(task: Task, tower: nn.Module, rank: int, scale: float, dropout: Dropout, first: int) -> list[Adapter]:
    """Add an adapter to every self-attention of a tower of open_clip or timm.

    Args:
        task: provides the generator and the device.
        tower: of a private copy of the model; changed in place.
        rank: of the adapters.
        scale: factor of their product.
        dropout: of their inputs.
        first: number of the first layer.

    Returns:
        The adapters in order; none if the tower has no such attention.
    """
    made: list[Adapter] = []

    def adapter(width: int) -> Adapter:
        made.append(Adapter(task, width, rank, scale, dropout, first + len(made)))
        return made[-1]

    for block in list(tower.modules()):
        attention = getattr(block, "attn", None)
        if not hasattr(block, "mlp"):
            continue  # attention that pools
        if isinstance(attention, nn.MultiheadAttention):
            block.attn = AdaptedAttention(attention, adapter(attention.embed_dim))
        elif isinstance(qkv := getattr(attention, "qkv", None), nn.Linear):  # timm
            qkv.register_forward_hook(_added(adapter(qkv.in_features)))
    return made


def _added(adapter: Adapter) -> Any:
    return lambda _, args, output: output + adapter(args[0])
