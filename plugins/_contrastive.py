"""The symmetric contrastive loss of name learning (Chen et al., CVPR 2025)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.device import to_device


def symmetric_contrastive(
    image: Tensor, text: Tensor, image_label: Tensor, text_label: Tensor, logit_scale: float
) -> Tensor:
    """Mean of the image-to-text and the text-to-image loss.

    Each is the mean of -log of the softmax mass on all positives, the texts (images) of the same class. Rows without
    a positive are left out. (The released code includes them with a loss without gradient, which weakens its
    text-to-image half by the share of names that a batch of 8 or 16 shots misses.)

    Args:
        image: ``(n, d)`` unit rows.
        text: ``(m, d)`` unit rows.
        image_label: ``(n,)`` classes of the images, on the CPU, so that counting needs no synchronisation.
        text_label: ``(m,)`` classes of the texts, on the CPU.
        logit_scale: scale of the cosines.
    """
    positive = image_label[:, None] == text_label[None, :]
    value: Tensor = _SymmetricLoss.apply(logit_scale * image @ text.T, positive)
    return value


class _SymmetricLoss(torch.autograd.Function):
    """Both losses of logits ``(n, m)``, and their gradient: a softmax over all minus one over the positives.

    In one pass, because the matrices are small: the number of operations is what takes time.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, positive: Tensor) -> Tensor:
        negative = to_device(~positive, logits.device)
        on_positives = logits.masked_fill(negative, float("-inf"))
        value, gradient = torch.zeros((), dtype=logits.dtype, device=logits.device), torch.zeros_like(logits)
        for dim in (1, 0):
            has_positive = positive.any(dim, keepdim=True)  # on the CPU, so that counting needs no synchronisation
            left_out, count = to_device(~has_positive, logits.device), int(has_positive.sum())
            total, own = logits.logsumexp(dim, keepdim=True), on_positives.logsumexp(dim, keepdim=True)
            value += (total - own).masked_fill_(left_out, 0.0).sum() / (2 * count)
            pull = (logits - total).exp_().sub_((on_positives - own).exp_())
            gradient += pull.masked_fill_(left_out, 0.0).div_(2 * count)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None
