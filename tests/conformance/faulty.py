"""A good method, and one variant of it for everything that a check forbids."""

from __future__ import annotations

import inspect
import os
import random
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from harness.errors import FixedVocabulary
from harness.method import Method
from harness.types.images import Images
from harness.types.task import Needs


@dataclass
class Good(Method):
    """Nearest mean for its own names, the prompt for others."""

    needs = Needs(support=True, captions=True)
    strength: float = 0.5
    kinds: tuple[str, ...] = ("a", "b")

    def fit(self, task: Any) -> Any:
        support = task.support
        prompts = task.text.encode([task.template.fill(name, task.noun) for name in task.names])
        means = torch.stack([support.features[support.label == y].mean(dim=(0, 1)) for y in range(len(task.names))])
        self.rows_ = dict(zip(task.names, self.strength * means + prompts, strict=True))
        self.task_ = task
        return self

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        foreign = [name for name in vocabulary.names if name not in self.rows_]
        prompts = [self.task_.template.fill(name, vocabulary.noun) for name in foreign]
        rows = self.rows_ | dict(zip(foreign, self.task_.text.encode(prompts), strict=True))
        return images.features[:, 0] @ torch.stack([rows[name] for name in vocabulary.names]).T


@dataclass
class NeedsAnArgument(Good):
    """x."""

    size: int = 0

    def __init__(self, size: int) -> None:
        self.size = size


@dataclass
class ComputesInInit(Good):
    """x."""

    def __post_init__(self) -> None:
        self.double = 2 * self.strength


@dataclass
class ChangesItsParameters(Good):
    """x."""

    def __post_init__(self) -> None:
        self.strength = self.strength / 2


@dataclass
class KeepsAFunction(Good):
    """x."""

    activation: Any = torch.relu


@dataclass
class WrongAnnotation(Good):
    """x."""

    widths: list[int] | tuple[int, ...] = (1, 2)


@dataclass
class ReturnsNothing(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        super().fit(task)


@dataclass
class AnswersBeforeFit(Good):
    """x."""

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        image = images.features[:, 0]
        if not hasattr(self, "rows_"):
            return image.new_zeros(len(image), len(vocabulary))
        return super().scores(images, vocabulary)


@dataclass
class NamesWithoutUnderscore(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        self.weights = 1
        return super().fit(task)


@dataclass
class TunesItsParameter(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        super().fit(task)
        self.strength = 0.25
        return self


@dataclass
class ReadsUndeclared(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        try:
            self.val_ = task.validation
        except Exception:
            self.val_ = None
        return super().fit(task)


@dataclass
class ReadsPrivate(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        self.val_ = task._validation
        return super().fit(task)


@dataclass
class DeclaresTooMuch(Good):
    """x."""

    needs = Needs(support=True, validation=True)


@dataclass
class Changed(Good):
    """Scores that ``change`` alters."""

    change: ClassVar[Any] = None

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        return type(self).change(super().scores(images, vocabulary))


def scores(change: Any) -> type[Method]:
    """The good method with altered scores."""
    return type("Changed", (Changed,), {"change": staticmethod(change), "__doc__": "x."})


@dataclass
class WritesIntoSupport(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        task.support.features.mul_(2)
        return super().fit(task)


@dataclass
class WritesIntoQuery(Good):
    """x."""

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        answer = super().scores(images, vocabulary)
        images.features[:, 0].zero_()
        return answer


@dataclass
class TrainsTheTower(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        task.text._embedding.weight.data[5] += 1e-3
        return super().fit(task)


@dataclass
class DrawsFromShared(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        self.noise_ = random.random()
        return super().fit(task)


@dataclass
class ChangesFolder(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        os.chdir(os.sep)
        return super().fit(task)


@dataclass
class RoundsEverybody(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        return super().fit(task)


@dataclass
class IgnoresTheSeed(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        super().fit(task)
        self.rows_ = {name: row + 0.01 * torch.randn(len(row)) for name, row in self.rows_.items()}
        return self


@dataclass
class DeniesTheSeed(Good):
    """x."""

    seeded = False

    def fit(self, task: Any) -> Any:
        super().fit(task)
        noise = 0.01 * torch.randn(len(task.names), generator=task.generator)
        self.rows_ = {name: row + n for n, (name, row) in zip(noise, self.rows_.items(), strict=True)}
        return self


@dataclass
class LearnsWhileScoring(Good):
    """x."""

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        self.rows_ = {name: row * 1.01 for name, row in self.rows_.items()}
        return super().scores(images, vocabulary)


@dataclass
class ByPosition(Good):
    """x."""

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        return images.features[:, 0] @ torch.stack([*self.rows_.values(), *self.rows_.values()])[: len(vocabulary)].T


@dataclass
class SortsNames(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        super().fit(task)
        fixed = ("great auk", "ibex", "hawk moth", "red rose", "stone arch")
        if set(fixed) == set(task.names):
            self.rows_ = dict(zip(fixed, self.rows_.values(), strict=True))
        return self


@dataclass
class RefusesEverything(Good):
    """x."""

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        if self.rows_:
            raise FixedVocabulary("no names at all")
        return images.features[:, 0]


@dataclass
class RefusesHalf(Good):
    """x."""

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        if all(vocabulary.oop) or not any(vocabulary.oop):
            return super().scores(images, vocabulary)
        raise FixedVocabulary("not both")


@dataclass
class ZerosForForeign(Good):
    """x."""

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        answer = super().scores(images, vocabulary)
        answer[:, [not oop for oop in vocabulary.oop]] = 0
        return answer


@dataclass
class LooksAtTheCaller(Good):
    """x."""

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        answer = super().scores(images, vocabulary)
        frame = inspect.currentframe()
        while frame is not None:
            scored = frame.f_locals.get("scored")
            if scored is not None and len(scored.label) == len(images):
                return torch.nn.functional.one_hot(scored.label, len(vocabulary)).float()
            frame = frame.f_back
        return answer


@dataclass
class NeedsTwoShots(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        if len(task.support.label) == len(task.names):
            raise ValueError("too few images")
        return super().fit(task)


@dataclass
class NeedsTwoClasses(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        if len(task.names) < 2:
            raise ValueError("too few classes")
        return super().fit(task)


@dataclass
class NeedsEqualClasses(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        task.support.features.reshape(len(task.names), task.shots, -1)
        return super().fit(task)


MEANS: dict[tuple[str, ...], Any] = {}


@dataclass
class KeepsTheLastDomain(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        super().fit(task)
        self.rows_ = MEANS.setdefault(task.names, self.rows_)
        return self


@dataclass
class GoesOnFromTheLastFit(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        before = len(getattr(self, "rows_", {}))
        super().fit(task)
        self.rows_ = {name: row * (1 + before) for name, row in self.rows_.items()}
        return self


@dataclass
class NeedsCaptions(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        self.words_ = [caption.split() for caption in task.support.captions]
        return super().fit(task)


LEAK: list[Any] = []


@dataclass
class HidesItsText(Good):
    """x."""

    text = False


@dataclass
class Leaks(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        LEAK.append(task)
        return super().fit(task)


@dataclass
class WithoutDocstring(Good):
    __doc__ = None


FIRST: list[Any] = []


@dataclass
class StartsFromTheFirstDomain(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        super().fit(task)
        FIRST.append(len(task.names))
        self.rows_ = {name: row * len(FIRST) for name, row in self.rows_.items()}
        return self


class ReportsATensor(Good):
    """x."""

    def outcome(self) -> Any:
        return {"loss": torch.ones(1)}


class CountsInWords(Good):
    """x."""

    def trainable(self) -> Any:
        return "many"


ENCODER = "vit_tiny_patch16_224"


@dataclass
class EveryKind(Good):
    """Reads every kind of input, and tunes an image tower."""

    needs = Needs(support=True, captions=True, preprojection=True, tokens=True, pixels=True, model=True, texts=True)
    views: int = 2
    test_views: int = 3
    encoders: tuple[str, ...] = (ENCODER,)

    def fit(self, task: Any) -> Any:
        super().fit(task)
        support, every = task.support, torch.arange(len(task.support))
        self.sentences_ = task.texts[task.names[0]]
        self.projection_ = task.projection[0]
        self.model_ = task.model(lambda name: name == "visual.ln_post.bias")
        self.second_ = support.encoded(ENCODER).mean()
        (tuned,) = [weight for weight in self.model_.parameters() if weight.requires_grad]
        image = task.encode_image(self.model_, support.pixels(every, view=1))
        (gradient,) = torch.autograd.grad(image.square().sum() - image.mean(), tuned)
        tuned.data -= 1e-3 * gradient
        return self

    def encode(self, images: Images) -> Images:
        whole = [self.task_.encode_image(self.model_, images.pixels(rows)) for rows in images.batches(1)]
        rest = images.preprojection[:, 1:] @ self.projection_ + images.tokens[:, 1:].mean(dim=2)
        return images.with_features(torch.cat([torch.cat(whole)[:, None], 0 * rest], dim=1))


@dataclass
class ProbesPixels(Good):
    """x."""

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        try:
            images[:1].pixels(torch.arange(1))
        except Exception:
            return super().scores(images, vocabulary)
        raise AssertionError


@dataclass
class ProbesTokens(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        try:
            self.tokens_ = task.support.tokens
        except Exception:
            self.tokens_ = None
        return super().fit(task)


@dataclass
class ProbesEncoder(Good):
    """x."""

    def fit(self, task: Any) -> Any:
        try:
            self.second_ = task.support.encoded("resnet50")
        except Exception:
            self.second_ = None
        return super().fit(task)


@dataclass
class DeclaresTokens(Good):
    """x."""

    needs = Needs(support=True, captions=True, tokens=True)


@dataclass
class DeclaresAnEncoder(Good):
    """x."""

    encoders: tuple[str, ...] = (ENCODER,)


@dataclass
class Encoded(Good):
    """Images that ``change`` alters."""

    change: ClassVar[Any] = None

    def encode(self, images: Images) -> Images:
        return type(self).change(images, self.task_)


def encoded(change: Any) -> type[Method]:
    """The good method with altered images."""
    return type("Encoded", (Encoded,), {"change": staticmethod(change), "__doc__": "x."})


@dataclass
class WritesIntoTheModel(Good):
    """x."""

    needs = Needs(support=True, captions=True, model=True)

    def fit(self, task: Any) -> Any:
        task.model().visual.ln_post.bias.data += 1e-3
        return super().fit(task)


@dataclass
class Counts(Good):
    """A good method on a stream: an image moves the next ones of its vocabulary."""

    needs = Needs(support=True, captions=True, stream=True)

    def fit(self, task: Any) -> Any:
        super().fit(task)
        self.seen_: dict[Any, Tensor] = {}
        return self

    def scores(self, images: Images, vocabulary: Any) -> Tensor:
        found = super().scores(images, vocabulary)
        key = self._stream(vocabulary)
        before = self.seen_.get(key, torch.zeros(()))
        self.seen_[key] = before + found.max()
        return found * (1 + before / 100)

    def _stream(self, vocabulary: Any) -> Any:
        return vocabulary


@dataclass
class MixesStreams(Counts):
    """x."""

    def _stream(self, vocabulary: Any) -> Any:
        return "all"
