"""A method under test: fresh copies of it, fitted and asked, with every fault turned into a sentence."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from harness.conformance.backbone import tiny_text
from harness.conformance.world import SyntheticDomain
from harness.errors import FixedVocabulary, MethodError, error_location, one_line
from harness.features.encode import one_thread_per_operation
from harness.method import Method
from harness.runner.checked_scores import checked_scores
from harness.types.task import Task
from harness.types.vocabulary import Vocabulary

DOMAIN = SyntheticDomain()
"""The domain that checks use unless they need another."""

TOLERANCE = 1e-4
"""How far scores may differ, as a share of the largest, when only the order of sums has changed."""


class Subject:
    """A method under test.

    Attributes:
        name: what it is called in messages.
        cls: its class.
        method: the parameters to test it with; never fitted.
    """

    def __init__(self, name: str, method: Method) -> None:
        self.name = name
        self.cls = type(method)
        self.method = method
        self._fitted: Method | None = None

    def fresh(self) -> Method:
        """A copy with the same parameters that has learned nothing."""
        return replace(self.method)  # type: ignore[type-var]

    def task(self, world: SyntheticDomain, seed: int = 0) -> Task:
        """The task that the world poses to this method."""
        return world.task(self.method.needs, self.method.views, seed)

    def fitted(self) -> Method:
        """The method fitted to the usual domain; shared by the checks that change nothing."""
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
        """Fit a fresh copy (or ``method``) to a world's task (or to ``task``).

        Raises:
            MethodError: fit raised; ``when`` says in which situation.
        """
        method = method or self.fresh()
        task = task or self.task(world, seed)
        tiny_text().tower.clear_cache()
        try:
            with one_thread_per_operation(task.device):
                method.fit(task)
        except FixedVocabulary as error:
            hint = (
                "fit always gets names it can learn; raise FixedVocabulary in scores, for names that are not the task's"
            )
            raise MethodError(
                f"{self.name}.fit raised FixedVocabulary{_suffix(when)}: {error.message}", hint
            ) from error
        except (Exception, SystemExit) as error:
            raise self.raised("fit", error, when) from error
        return method

    def scores(self, method: Method, image: Tensor, vocabulary: Vocabulary, when: str = "") -> Tensor:
        """The scores ``(m, k)`` of images ``(m, d)``, checked as in a run.

        Raises:
            MethodError: scores raised, or returned what the contract forbids.
            FixedVocabulary: the method's own answer.
        """
        try:
            with one_thread_per_operation(image.device):
                return checked_scores(method, self.name, image, vocabulary, when)
        except (FixedVocabulary, MethodError):
            raise
        except (Exception, SystemExit) as error:
            raise self.raised("scores", error, when) from error

    def accuracy(self, method: Method, world: SyntheticDomain, when: str = "") -> float:
        """The share of the world's OOP images whose own name has the highest score."""
        scores = self.scores(method, world.scored.image[:, 0], world.vocabulary, when)
        return float((scores.argmax(dim=1) == world.scored.label).double().mean())

    def raised(self, function: str, error: BaseException, when: str = "") -> MethodError:
        """The sentence for an exception out of a method."""
        message = f"{self.name}.{function} raised {type(error).__name__}{_suffix(when)}: {one_line(error)}"
        where = error_location(error, self.cls.__module__)
        came = f"it came from {where}; " if where else ""
        hint = getattr(error, "hint", None) or f"{came}the contract is in harness/method.py"
        return MethodError(message, hint)


def scores_agree(one: Tensor, other: Tensor) -> bool:
    """Whether scores are the same up to the order of sums."""
    bound = TOLERANCE * max(float(one.abs().max()), float(other.abs().max()), 1e-30)
    return bool(((one - other).abs() <= bound).all())


def _suffix(when: str) -> str:
    return f" {when}" if when else ""
