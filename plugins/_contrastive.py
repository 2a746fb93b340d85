"""The symmetric contrastive loss of name learning (Chen et al., CVPR 2025)."""

from __future__ import annotations

import torch
from torch import Tensor

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
        image_label: ``(n,)`` classes of the images, on the CPU, so that row selection needs no synchronisation.
        text_label: ``(m,)`` classes of the texts, on the CPU.
        logit_scale: scale of the cosines.
    """
    logits = logit_scale * image @ text.T
    positive = image_label[:, None] == text_label[None, :]
    return (_mass_loss(logits, positive) + _mass_loss(logits.T, positive.T)) / 2


def _mass_loss(logits: Tensor, positive: Tensor) -> Tensor:
    rows = positive.any(dim=1).nonzero()[:, 0]
    logits, other = logits[to_device(rows, logits.device)], to_device(~positive[rows], logits.device)
    on_positives = torch.logsumexp(logits.masked_fill(other, float("-inf")), dim=1)
    return (torch.logsumexp(logits, dim=1) - on_positives).mean()
