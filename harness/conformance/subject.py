"""A method under test: fits copies of it and computes scores, and turns every exception into a MethodError."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.backbones.no_text import NoTextTower
from harness.conformance.backbone import tiny_model
from harness.conformance.world import SyntheticDomain, declared
from harness.errors import FixedVocabulary, MethodError, error_location, one_line
from harness.execution.one_thread import one_thread_per_operation
from harness.method import Method
from harness.runner.predict import checked_encoding, checked_scores
from harness.types.images import Images, Support
from harness.types.task import Task
from harness.types.vocabulary import Vocabulary

DOMAIN = SyntheticDomain()
"""The default domain of the checks."""

TOLERANCE = 1e-4
"""Maximum difference of scores, relative to the largest one, if only the order of sums changes."""


DEFAULTS_HINT = "give every field a default, and compute nothing in __init__ or __post_init__"


def with_defaults(name: str, cls: type[Method]) -> Method:
    """An object of a class; raises MethodError unless it can be created without arguments."""
    try:
        return cls()
    except Exception as error:
        raise MethodError(f"{name} cannot be created without arguments: {error}", DEFAULTS_HINT) from error


_UNDECLARED: Any = NoTextTower("the method says text = False, and uses the text tower", "remove `text = False`")


class Subject:
    """A method under test.

    Attributes:
        name: its name in messages.
        cls: its class.
        method: an unfitted object with the parameters to test.
    """

    def __init__(self, name: str, method: Method) -> None:
        self.name = name
        self.cls = type(method)
        self.method = method
        self._fitted: Method | None = None

    def fresh(self) -> Method:
        """An unfitted copy with the same parameters."""
        return replace(self.method)  # type: ignore[type-var]

    def task(self, world: SyntheticDomain, seed: int = 0) -> Task:
        """The task of a domain for this method's needs."""
        task = world.task(self.method, seed)
        return task if self.method.text else replace(task, text=_UNDECLARED)

    def fitted(self) -> Method:
        """The method fitted to the default domain; shared by checks that do not modify it."""
        if self._fitted is None:
            self._fitted = self.fit(DOMAIN)
        return self._fitted

    def fit(
        self,
        world: SyntheticDomain,
        when: str = "",
        seed: int = 0,
        method: Method | None = None,
        task: Task | None = None,
    ) -> Method:
        """Fit a fresh copy (or ``method``) to a domain's task (or to ``task``).

        Raises:
            MethodError: fit raises; ``when`` describes the situation.
        """
        method = method or self.fresh()
        task = task or self.task(world, seed)
        tiny_model().tower.clear_cache()
        try:
            with one_thread_per_operation(task.device):
                method.fit(task)
        except FixedVocabulary as error:
            hint = "fit always gets names it can learn; raise FixedVocabulary in scores, for names outside the task"
            raise MethodError(
                f"{self.name}.fit raised FixedVocabulary{_suffix(when)}: {error.message}", hint
            ) from error
        except (Exception, SystemExit) as error:
            raise self.raised("fit", error, when) from error
        return method

    def images(self, world: SyntheticDomain) -> Images:
        """The scored images of a domain, with what this method declares."""
        return self.unlabeled(world.scored)

    def unlabeled(self, part: Support) -> Images:
        """Images without labels, with what this method declares."""
        given = declared(part, self.method, self.method.test_views)
        return Images(given.features, _kinds=given._kinds, _pixels=given._pixels)

    def scores(self, method: Method, images: Images, vocabulary: Vocabulary, when: str = "") -> Tensor:
        """The scores ``(m, k)`` of m images, checked as in a run; those of a stream one after the other, from a copy.

        Raises:
            MethodError: scores raises, or violates the contract.
            FixedVocabulary: raised by the method itself.
        """
        stream = self.method.needs.stream
        return self.next_scores(_copy(method) if stream else method, images, vocabulary, when)

    def next_scores(self, method: Method, images: Images, vocabulary: Vocabulary, when: str = "") -> Tensor:
        """The same by the method itself; what it keeps of a stream's images remains."""
        stream = self.method.needs.stream
        parts = [images[at : at + 1] for at in range(len(images))] if stream else [images]
        try:
            with one_thread_per_operation(images.features.device):
                encoded = (checked_encoding(method, self.name, part, when) for part in parts)
                return torch.cat([checked_scores(method, self.name, part, vocabulary, when) for part in encoded])
        except (FixedVocabulary, MethodError):
            raise
        except (Exception, SystemExit) as error:
            raise self.raised("scores", error, when) from error

    def accuracy(self, method: Method, world: SyntheticDomain, when: str = "") -> float:
        """Accuracy on the scored images of a domain."""
        scores = self.scores(method, self.images(world), world.vocabulary, when)
        return float((scores.argmax(dim=1) == world.scored.label).double().mean())

    def raised(self, function: str, error: BaseException, when: str = "") -> MethodError:
        """The error for an exception raised by a method."""
        message = f"{self.name}.{function} raised {type(error).__name__}{_suffix(when)}: {one_line(error)}"
        where = error_location(error, self.cls.__module__)
        origin = f"it came from {where}; " if where else ""
        hint = getattr(error, "hint", None) or f"{origin}the contract is docs/contract.md, and in harness/method.py"
        return MethodError(message, hint)


def scores_agree(one: Tensor, other: Tensor) -> bool:
    """Whether scores are equal up to the order of sums."""
    bound = TOLERANCE * max(float(one.abs().max()), float(other.abs().max()), 1e-30)
    return bool(((one - other).abs() <= bound).all())


def _copy(method: Method) -> Method:
    """A copy with a state of its own, and the same task: that is an input."""
    return deepcopy(method, {id(value): value for value in vars(method).values() if isinstance(value, Task)})


def _suffix(when: str) -> str:
    return f" {when}" if when else ""
