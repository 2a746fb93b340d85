"""Small synthetic domains on which every working method is better than chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.backbones.private_copy import ModelCopies
from harness.conformance.backbone import LOGIT_SCALE, normalize, prototype, tiny_model
from harness.method import Method
from harness.runner.image_input import ArrayPixels
from harness.types.images import Images, Support
from harness.types.task import Task
from harness.types.vocabulary import Vocabulary

Captions = Literal["whole", "partly", "nameless", "none"]
"""All captions contain the name; a third is missing and a third lacks the name; none contains it; all are missing."""

NOISE = 40
"""Standard deviation of the random part of a pixel, of 255: classes are separable, images differ."""

ENCODED = 24
"""Size of the features of a second encoder, which here is a random projection of the pixels."""


@dataclass(frozen=True)
class SyntheticDomain:
    """A domain whose images look like the prompts of their names, to the tiny model.

    Attributes:
        names: the OOP names, which are among ``backbone.KNOWN``.
        foreign: the IP names, likewise.
        noun: what the concepts are called in a prompt.
        shots: support images per class.
        queries: scored images per class.
        shift: images of a class look like the class this many positions later; 0 is its own.
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

    def task(self, method: Method, seed: int = 0) -> Task:
        """The task for a method, with what it declares.

        Args:
            method: not fitted.
            seed: seed of the task's generator.
        """
        needs, model = method.needs, tiny_model()
        support, validation = (self.images(self.names, self.shots, self.seed + part) for part in (1, 2))
        known = self.images(self.foreign, self.queries, self.seed + 7)

        def given(part: Support, views: int = 1) -> Support:
            return declared(part, method, views)

        captions = self._captions() if needs.captions else None
        return Task(
            noun=self.noun,
            text=model.tower,
            logit_scale=LOGIT_SCALE,
            generator=_generator(seed),
            device=torch.device("cpu"),
            shots=self.shots,
            _support=replace(given(support, method.views), captions=captions) if needs.includes("support") else None,
            _validation=given(validation) if needs.validation else None,
            _unlabeled=_unlabeled(given(self._pool())) if needs.unlabeled else None,
            _ip=given(known) if needs.ip else None,
            _ip_names=self.foreign if needs.ip else None,
            _clusters=len(self.names) if needs.clusters else None,
            _names=self.names if needs.includes("vocabulary") else None,
            _texts=self._sentences() if needs.texts else None,
            _model=ModelCopies(model.model, "fp32") if needs.model else None,
            _projection=_projection if needs.preprojection else None,
        )

    @cached_property
    def scored(self) -> Support:
        """Scored images of the OOP names, in an order independent of the class; all kinds, one view."""
        return self._shuffled(self.images(self.names, self.queries, self.seed + 4))

    @property
    def vocabulary(self) -> Vocabulary:
        """The OOP names."""
        return Vocabulary.of(self.noun, oop=self.names)

    def images(self, names: tuple[str, ...], count: int, seed: int) -> Support:
        """``count`` images of each name, class after class, in one view."""
        shifted = [names[(i + self.shift) % len(names)] for i in range(len(names))]
        # One generator per class, so that its images do not depend on its position among the names.
        noise = [
            torch.randn(count, *prototype(name).shape, generator=_generator(seed + 10 * sum(map(ord, name))))
            for name in names
        ]
        clean = torch.stack([prototype(name) for name in shifted]).repeat_interleave(count, dim=0)
        pixels = _noisy(clean, torch.cat(noise))
        label = torch.arange(len(names)).repeat_interleave(count)
        return Support(_features(pixels[:, None]), label, _pixels=_pixels(pixels[:, None]))

    @property
    def unknown(self) -> Vocabulary:
        """Names that look like the OOP names, and are none of them."""
        return Vocabulary.of(self.noun, ip=tuple(f"{name} of elsewhere" for name in self.names))

    def _sentences(self) -> dict[str, tuple[str, ...]]:
        every = (*self.names, *self.foreign, *self.unknown.names)
        return {name: (f"a {name}.", f"one {name} seen from above.") for name in every}

    def _captions(self) -> tuple[str | None, ...]:
        texts: list[str | None] = []
        for i, name in enumerate(name for name in self.names for _ in range(self.shots)):
            kind = {"whole": 0, "nameless": 1, "none": 2, "partly": i % 3}[self.captions]
            texts.append((f"a {name} in the wind, number {i}", f"picture {i}", None)[kind])
        return tuple(texts)

    def _pool(self) -> Support:
        return self._shuffled(self.images(self.names, self.queries, self.seed + 8))

    def _shuffled(self, images: Support) -> Support:
        return images[torch.randperm(len(images), generator=_generator(self.seed + 6))]


def other_domain() -> SyntheticDomain:
    """A second domain with other names, another number of names and another noun."""
    names = ("fern", "bread loaf", "kite", "round tower")
    return SyntheticDomain(names=names, foreign=("brown bee", "crab"), noun="plant", seed=100)


def declared(part: Support, method: Method, views: int = 1) -> Support:
    """The images in v views, with the kinds that a method declares and no others."""
    assert isinstance(part._pixels, ArrayPixels)
    whole = torch.from_numpy(part._pixels.array)
    noise = torch.randn(views - 1, *whole.shape[2:], generator=_generator(3))  # of each view, the same for all images
    pixels = torch.cat([whole, _noisy(whole, noise)], dim=1) if views > 1 else whole
    kinds = {kind: make(pixels) for kind, make in _KINDS.items() if getattr(method.needs, kind)}
    kinds |= {encoder: _encoded(pixels, encoder) for encoder in method.encoders}
    features = _features(pixels) if views > 1 else part.features
    return replace(part, features=features, _kinds=kinds, _pixels=_pixels(pixels) if method.needs.pixels else None)


def _features(pixels: Tensor) -> Tensor:
    """``(n, v, d)`` unit rows of pixels ``(n, v, 3, h, w)``."""
    return F.normalize(_preprojection(pixels) @ tiny_model().projection[0], dim=-1)


def _preprojection(pixels: Tensor) -> Tensor:
    return _by_image("preprojection", pixels)


def _tokens(pixels: Tensor) -> Tensor:
    return _by_image("tokens", pixels)


_KINDS: dict[str, Callable[[Tensor], Tensor]] = {"preprojection": _preprojection, "tokens": _tokens}


def _by_image(kind: str, pixels: Tensor) -> Tensor:
    """The features of each image alone: in a batch they are rounded by its size."""
    return _encoded_once(kind, pixels.numpy().tobytes(), tuple(pixels.shape)).clone()


@lru_cache(maxsize=256)
def _encoded_once(kind: str, pixels: bytes, shape: tuple[int, ...]) -> Tensor:
    """Encoding takes longest of all, and most checks pose the same images."""
    encode: Callable[[Tensor], Tensor] = getattr(tiny_model(), kind)
    images = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(-1, 1, *shape[2:])
    each = [encode(image)[0] for image in images]
    return torch.stack(each).view(*shape[:2], *each[0].shape)


def _encoded(pixels: Tensor, encoder: str) -> Tensor:
    rows = pixels.flatten(2).float() - 127.5
    return F.normalize(rows @ torch.randn(rows.shape[2], ENCODED, generator=_generator(sum(map(ord, encoder)))), dim=-1)


def _projection() -> tuple[Tensor, None]:
    return tiny_model().projection


def _pixels(pixels: Tensor) -> ArrayPixels:
    return ArrayPixels(pixels.numpy(), normalize, torch.device("cpu"))


def _noisy(pixels: Tensor, noise: Tensor) -> Tensor:
    return (pixels.float() + NOISE * noise).clamp(0, 255).round().to(torch.uint8)


def _unlabeled(part: Support) -> Images:
    return Images(part.features, _kinds=part._kinds, _pixels=part._pixels)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
