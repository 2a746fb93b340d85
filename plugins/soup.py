"""Model soup: the weights of several trainings are averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field

from harness.errors import UserError
from harness.hookspecs import hookimpl
from harness.inner_method import Inner, wrap
from harness.method import Method
from harness.types.paper import Paper
from harness.types.task import Needs

from ._training import TrainedMethod
from .cosine_head import CosineHead

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

State = list["Tensor"]
"""The trained tensors of a method, in its order."""


@dataclass
class Soup(Method):
    """The mean of the weights of several trainings of one method (Wortsman et al., ICML 2022).

    The members start at the same weights and differ in their learning rate and in their random numbers. The uniform
    soup is the mean of all. The greedy soup adds members in the order of their accuracy on the validation draw, each
    only if the mean does not become worse. Any method of this package that is trained by gradient descent can be
    the inner one (``-p soup.inner=coop``). The authors average towers that were trained in full on large data sets.
    """

    needs = Needs(support=True)
    paper = Paper(
        "Wortsman et al.",
        "Model soups: averaging weights of multiple fine-tuned models "
        "improves accuracy without increasing inference time",
        "ICML",
        2022,
        "https://arxiv.org/abs/2203.05482",
    )
    presets = {"paper": {"greedy": True}}  # noqa: RUF012 - read only

    inner: Inner | None = None
    """Trained method; None: ``cosine_head``."""
    rates: Annotated[tuple[float, ...], Field(min_length=1)] = (0.5, 1.0, 2.0)
    """Learning rate of every member, as a multiple of the inner method's."""
    greedy: bool = False
    """Leave out members that make the mean worse on the validation draw."""

    def __post_init__(self) -> None:
        if self.inner is not None:
            made = wrap(self, self.inner)
            if not isinstance(made, TrainedMethod):
                raise UserError(f"soup cannot average {self.inner.name}", "name a trained method, such as fsnl or coop")
            self.needs = made.needs
        if min(self.rates) < 0:
            raise UserError(f"soup: rates={self.rates} has a negative one", "give multiples, such as 0.5, 1 and 2")
        if self.greedy:
            self.needs = replace(self.needs, validation=True)

    def fit(self, task: Task) -> Self:
        """Train the members, and average their weights."""
        start: State = []
        states = [
            self._train(task.as_part(number, len(self.rates)), rate, start) for number, rate in enumerate(self.rates)
        ]
        self.kept_ = list(range(len(states)))
        self.validation_: list[float] = []
        if self.greedy:
            self._choose(task, states)
        self.fitted_ = self._with_weights(task, _mean([states[i] for i in self.kept_]))
        return self

    def _train(self, task: Task, rate: float, start: State) -> State:
        """The weights after a training from ``start``; the first training fills it."""
        made, state = self._new(), list[torch.Tensor]()
        train, peak = made.train, made._peak

        def watched(task: Task, parameters: State, *given: Any, **more: Any) -> None:
            if start:
                _copy(start, parameters)
            else:
                start.extend(parameter.detach().clone() for parameter in parameters)
            train(task, parameters, *given, **more)
            state.extend(parameter.detach().clone() for parameter in parameters)

        made.train, made._peak = watched, lambda batch: rate * peak(batch)  # type: ignore[method-assign]
        made.fit(task)
        return state

    def _with_weights(self, task: Task, state: State) -> TrainedMethod:
        """The inner method with given weights in place of a training."""
        made = self._new()
        load: Callable[..., None] = lambda task, parameters, *given, **more: _copy(state, parameters)  # noqa: E731
        made.train = load  # type: ignore[method-assign]
        return made.fit(task)

    def _new(self) -> TrainedMethod:
        made = CosineHead() if self.inner is None else self.inner.method()
        assert isinstance(made, TrainedMethod)
        return made

    def _choose(self, task: Task, states: list[State]) -> None:
        """The greedy soup: sets the members that are kept."""
        self.validation_ = [self._accuracy(task, state) for state in states]
        order = sorted(range(len(states)), key=lambda i: -self.validation_[i])
        self.kept_, best = order[:1], self.validation_[order[0]]
        for i in order[1:]:
            found = self._accuracy(task, _mean([states[j] for j in (*self.kept_, i)]))
            if found >= best:
                self.kept_, best = [*self.kept_, i], found

    @torch.no_grad()
    def _accuracy(self, task: Task, state: State) -> float:
        with torch.enable_grad():
            made = self._with_weights(task, state)
        scores = made.scores(made.encode(task.validation), task.vocabulary)
        return float((scores.argmax(dim=1) == task.validation.label).double().mean())

    def encode(self, images: Images) -> Images:
        """As the inner method."""
        return self.fitted_.encode(images)

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Scores of the inner method with the averaged weights.

        Raises:
            FixedVocabulary: the inner method cannot score a name.
        """
        return self.fitted_.scores(images, vocabulary)

    def outcome(self) -> dict[str, Any]:
        """The rates of the members in the soup, and the accuracy of all on the validation draw if it is greedy."""
        own: dict[str, Any] = {"rates": [self.rates[i] for i in self.kept_]}
        return own | ({"validation": self.validation_} if self.validation_ else {}) | {"inner": self.fitted_.outcome()}

    def trainable(self) -> int:
        """As the inner method."""
        return self.fitted_.trainable()


def _mean(states: list[State]) -> State:
    return [torch.stack(tensors).mean(dim=0) for tensors in zip(*states, strict=True)]


@torch.no_grad()
def _copy(state: State, parameters: State) -> None:
    for value, parameter in zip(state, parameters, strict=True):
        parameter.copy_(value)


@hookimpl
def harness_method() -> type[Soup]:
    """Return the method."""
    return Soup
