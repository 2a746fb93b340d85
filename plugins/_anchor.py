"""How well zero-shot knows each name, by the labelled images: what holds a learned name to its prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._clustering import class_means

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Support


def known_names(support: Support, prompt: Tensor, scale: float) -> Tensor:
    """``(k,)`` mean zero-shot probability of each name for its own images above chance: 0 for none, 1 for certain.

    Args:
        support: labelled images of the names; a name without images is not known.
        prompt: ``(k, d)`` text features of the names.
        scale: scale of the cosines.
    """
    chance = 1 / len(prompt)
    right = (scale * support.features[:, 0] @ prompt.T).softmax(dim=1)
    own = class_means(right, support.label, len(prompt)).diagonal()
    return ((own - chance) / max(1 - chance, chance)).clamp_min(0)
