"""Small synthetic domains on which every working method is better than chance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from harness.conformance.backbone import LOGIT_SCALE, WIDTH, tiny_text
from harness.prompts import Template
from harness.types.features import Features
from harness.types.task import Needs, Support, Task
from harness.types.vocabulary import Vocabulary

Captions = Literal["whole", "partly", "nameless", "none"]
"""All captions contain the name; a third is missing and a third lacks the name; none contains it; all are missing."""

NOISE = 0.5
"""Length of the random part of an image, relative to a unit vector: classes are separable, images differ."""


@dataclass(frozen=True)
class SyntheticDomain:
    """A domain whose image features are close to the prompt features of their names.

    Attributes:
        names: the OOP names.
        foreign: the IP names.
        noun: what the concepts are called in a prompt.
        shots: support images per class.
        queries: scored images per class.
        shift: images of a class are close to the prompt of the class this many positions later; 0 is its own.
        captions: kind of the support captions.
        seed: seed of the images.
    """

    names: tuple[str, ...] = ("great auk", "ibex", "hawk moth", "red rose", "stone arch")
    foreign: tuple[str, ...] = ("tabby cat", "oak", "long drum")
    noun: str = "animal"
    shots: int = 4
    queries: int = 8
    shift: int = 0
    captions: Captions = "whole"
    seed: int = 0

    def task(self, needs: Needs, views: int = 1, seed: int = 0) -> Task:
        """The task for a method with these needs.

        Args:
            needs: the declared needs.
            views: views per support image.
            seed: seed of the task's generator.
        """
        captions = self._captions() if needs.captions else None
        support, validation = (self.images(self.names, self.shots, self.seed + part) for part in (1, 2))
        known = self.images(self.foreign, self.queries, self.seed + 7)
        noise = torch.randn(len(support.label), views - 1, WIDTH, generator=_generator(self.seed + 3))
        crops = _unit(support.image + NOISE * noise / WIDTH**0.5)
        image = torch.cat([support.image, crops], dim=1)
        return Task(
            noun=self.noun,
            text=tiny_text().tower,
            logit_scale=LOGIT_SCALE,
            generator=_generator(seed),
            device=torch.device("cpu"),
            shots=self.shots,
            _support=Support(image, support.label, captions) if needs.includes("support") else None,
            _validation=Support(validation.image, validation.label) if needs.validation else None,
            _unlabeled=self._pool() if needs.unlabeled else None,
            _ip=Support(known.image, known.label) if needs.ip else None,
            _clusters=len(self.names) if needs.clusters else None,
            _names=self.names if needs.includes("vocabulary") else None,
        )

    @cached_property
    def scored(self) -> Features:
        """Scored images of the OOP names, in an order independent of the class."""
        return self._shuffled(self.images(self.names, self.queries, self.seed + 4))

    @property
    def vocabulary(self) -> Vocabulary:
        """The OOP names."""
        return Vocabulary.of(self.noun, oop=self.names)

    def images(self, names: tuple[str, ...], count: int, seed: int) -> Features:
        """``count`` images of each name, class after class."""
        shifted = [names[(i + self.shift) % len(names)] for i in range(len(names))]
        tower = tiny_text().tower
        # Not tower.encode: its cache, and so the last bit, depends on earlier calls.
        with torch.no_grad():
            centre = tower.encode_tokens(tower.tokenize([Template().fill(name, self.noun) for name in shifted]))
        # One generator per class, so that its images do not depend on its position among the names.
        noise = [torch.randn(count, WIDTH, generator=_generator(seed + 10 * sum(map(ord, name)))) for name in names]
        image = _unit(centre.repeat_interleave(count, dim=0) + NOISE * torch.cat(noise) / WIDTH**0.5)
        return Features(image[:, None], torch.arange(len(names)).repeat_interleave(count))

    def _captions(self) -> tuple[str | None, ...]:
        texts: list[str | None] = []
        for i, name in enumerate(name for name in self.names for _ in range(self.shots)):
            kind = {"whole": 0, "nameless": 1, "none": 2, "partly": i % 3}[self.captions]
            texts.append((f"a {name} in the wind, number {i}", f"picture {i}", None)[kind])
        return tuple(texts)

    def _pool(self) -> Tensor:
        return self._shuffled(self.images(self.names, self.queries, self.seed + 8)).image[:, 0]

    def _shuffled(self, features: Features) -> Features:
        order = torch.randperm(len(features.label), generator=_generator(self.seed + 6))
        return Features(features.image[order], features.label[order])


def other_domain() -> SyntheticDomain:
    """A second domain with other names, another number of names and another noun."""
    names = ("fern", "bread loaf", "kite", "round tower")
    return SyntheticDomain(names=names, foreign=("brown bee", "crab"), noun="plant", seed=100)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=-1)
