"""Proxy map: a linear map from text to image features, learned on IP classes and their mixtures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.device import to_device
from harness.hookspecs import hookimpl
from harness.types.paper import Paper

from ._known_concepts import KnownClasses, KnownConceptMethod
from ._training import NonNegativeInt, PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task

RIDGES = (0.01, 0.1, 1.0, 10.0)
"""Candidate weights of the map's size, relative to the mean eigenvalue of the texts."""
WEIGHTS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Candidate weights of the mapped feature; zero is zero-shot."""


@dataclass
class ProxyMap(KnownConceptMethod):
    """A ridge map from texts to mean images, fitted on IP classes and mixtures of two (after Jeong et al., AAAI 2024).

    With t and v the text and the mean image feature of an IP class, both without their means, A minimises
    ``sum |A t - v|^2 + ridge |A|^2``; the pairs are the classes and, as in ProxyDet, random mixtures of two of them,
    ``normalise(l t_i + (1 - l) t_j)`` and the same of v, with l from Beta(mix, mix), which fill the space between
    classes. An OOP name's feature is ``normalise((1 - weight) t + weight normalise(mean v + A (t - mean t)))``. Ridge
    and weight are chosen on folds of the IP classes.

    ProxyDet trains a detector on such mixtures; a linear map in the space of features is our reading.
    """

    paper = Paper(
        "Jeong et al.",
        "ProxyDet: Synthesizing Proxy Novel Classes via Classwise Mixup for Open-Vocabulary Object Detection",
        "AAAI",
        2024,
        "https://arxiv.org/abs/2312.07266",
    )
    presets = {"paper": {"mixtures": 100, "mix": 1.0}}  # noqa: RUF012 - read only

    mixtures: NonNegativeInt = 100
    """Mixtures of two classes."""
    mix: PositiveFloat = 1.0
    """Both parameters of the Beta distribution of their shares."""

    def grids(self) -> dict[str, tuple[float, ...]]:
        """Ridges and weights."""
        return {"ridge": RIDGES, "weight": WEIGHTS}

    def learner(self, task: Task) -> Callable[[KnownClasses], Callable[..., Tensor]]:
        """The map of known classes."""
        count = self.mixtures
        pick = torch.rand(count, 2, generator=task.generator)
        share = to_device(_beta(self.mix, count, task.generator), task.device)[:, None]

        def learn(known: KnownClasses) -> Callable[..., Tensor]:
            first, second = to_device((pick * len(known.texts)).long(), known.texts.device).T
            share_ = share.to(known.texts.dtype)
            t, v = (
                torch.cat([own, F.normalize(share_ * own[first] + (1 - share_) * own[second], dim=1)])
                for own in (known.texts, known.means)
            )
            return ridge_map(t, v)

        return learn


def ridge_map(t: Tensor, v: Tensor) -> Callable[..., Tensor]:
    """The function from texts, a ridge and a weight to changed texts, of pairs ``(n, d)`` of texts and images."""
    middle, of_images = t.mean(dim=0), v.mean(dim=0)
    centred, target = (t - middle).double(), (v - of_images).double()
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    mean = values.clamp_min(0).mean()

    def change(text: Tensor, ridge: float, weight: float) -> Tensor:
        """``(m, d)`` unit rows."""
        solved = vectors @ ((vectors.T @ target) / (values.clamp_min(0) + ridge * mean)[:, None])
        mapped = of_images + (((text - middle).double() @ centred.T) @ solved).to(text.dtype)
        return F.normalize((1 - weight) * text + weight * F.normalize(mapped, dim=1), dim=1)

    return change


def _beta(mix: float, count: int, generator: torch.Generator) -> Tensor:
    """``(count,)`` draws from Beta(mix, mix), by Jöhnk's method (1964): torch's own sampler has no generator."""
    found: list[Tensor] = []
    while sum(map(len, found)) < count:
        u = torch.rand(4 * count, 2, generator=generator) ** (1 / mix)
        total = u.sum(dim=1)
        found.append((u[:, 0] / total)[(total <= 1) & (total > 0)])
    return torch.cat([torch.zeros(0), *found])[:count]


@hookimpl
def harness_method() -> type[ProxyMap]:
    """Return the method."""
    return ProxyMap
