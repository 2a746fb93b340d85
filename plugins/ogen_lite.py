"""OGEN's extrapolation, without training: an OOP name moves as its nearest known names move to their images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper

from ._known_concepts import KnownClasses, KnownConceptMethod
from ._training import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task

SHARPNESSES = (1.0, 10.0, 30.0, 100.0)
"""Candidate scales of the cosines in the attention."""
STRENGTHS = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0)
"""Candidate lengths of the move; zero is zero-shot."""


@dataclass
class OgenLite(KnownConceptMethod):
    """An OOP name's feature is extrapolated from its nearest IP names by attention (after Zang et al., ICLR 2024).

    With t and v the text and the mean image feature of the IP classes, an OOP name attends to its nearest IP names,
    ``a = softmax(sharpness * cos(t, t_j))``, and becomes ``normalise(t + strength * sum_j a_j (v_j - t_j))``. Sharpness
    and strength are chosen on folds of the IP classes.

    OGEN trains a small attention network that generates image features of unknown classes, from which a prompt is then
    learned; the lite form keeps its three nearest known classes and the attention over them, and has no network.
    """

    seeded = False
    paper = Paper(
        "Zang et al.",
        "Overcoming the Pitfalls of Vision-Language Model Finetuning for OOD Generalization",
        "ICLR",
        2024,
        "https://arxiv.org/abs/2401.15914",
    )
    presets = {"paper": {"nearest": 3}}  # noqa: RUF012 - read only

    nearest: PositiveInt = 3
    """Nearest IP names of a name."""

    def grids(self) -> dict[str, tuple[float, ...]]:
        """Sharpnesses and strengths."""
        return {"sharpness": SHARPNESSES, "strength": STRENGTHS}

    def learner(self, task: Task) -> Callable[[KnownClasses], Callable[..., Tensor]]:
        """The attention over known classes."""

        def learn(known: KnownClasses) -> Callable[..., Tensor]:
            def change(text: Tensor, sharpness: float, strength: float) -> Tensor:
                near = (text @ known.texts.T).topk(min(self.nearest, len(known.texts)), dim=1)
                attention = (sharpness * near.values).softmax(dim=1)[..., None]
                move = (attention * (known.means - known.texts)[near.indices]).sum(dim=1)
                return F.normalize(text + strength * move, dim=1)

            return change

        return learn


@hookimpl
def harness_method() -> type[OgenLite]:
    """Return the method."""
    return OgenLite
