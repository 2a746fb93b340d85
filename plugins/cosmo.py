"""COSMO: a gate decides between a method for OOP names and a method for IP names."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from harness.errors import UserError
from harness.hookspecs import hookimpl
from harness.inner_method import Inner, wrap
from harness.method import Method
from harness.types.paper import Paper
from harness.types.task import Needs
from harness.types.vocabulary import Vocabulary

from ._gate import GateImages, side_columns, split_known
from ._grid_search import middle_of_best
from ._training import Fraction, PositiveFloat
from ._transductive import MIN_LOG_PROB
from .cosine_head import CosineHead
from .tip_adapter import TipAdapter

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task

TOP = 5
"""Highest scores of an expert that the gate sees."""
SHARPNESS = (0.1, 0.3, 1.0, 3.0)
"""Candidate sharpnesses of the gate."""
TEMPERATURES = tuple(2.0 ** (step / 2) for step in range(-6, 15))
"""Candidate temperatures of an expert."""
THRESHOLDS = tuple(step / 20 for step in range(1, 20))
"""Candidate thresholds of the gate."""


@dataclass
class Cosmo(Method):
    """A gate between a method for OOP and one for IP names, which smooth each other (Atzmon and Chechik, CVPR 2019).

    Any method is the OOP expert (``unseen``); any method fitted to the labelled IP images, as many as there are, is the
    IP expert (``seen``). Each is asked for the names of its side only, and its scores are divided by a temperature that
    calibrates its probabilities P (Guo et al., ICML 2017). In the joint vocabulary a logistic regression sees the five
    highest of these scores of each expert and gives g, the probability that the image is IP;
    ``p(oop) = sigmoid((threshold - g) / sharpness)``. With k names of a side,

    ``p(y) = p(oop) (P_oop(y) + p(ip) / k_oop) + p(ip) (P_ip(y) + p(oop) / k_ip)``,

    each term for the names of its side. Temperatures, gate, threshold and sharpness are fitted on the OOP images of the
    few-shot validation draw and on a quarter of the IP images, which the IP expert does not see; the last two by the
    harmonic mean of the accuracies. The paper has no OOP images and holds out IP classes in their place; it does not
    calibrate its experts, and its gate sees their probabilities. Scores say more: they are low for an image that is far
    from all names. (Joint accuracies on the miniature, with ``init=text``, on held-out OOP and all IP images: 62.9 and
    60.8, with probabilities 71.5 and 39.4.) In the paper's code P_oop is not normalised, the
    regression does not balance the sides, and accuracies are means over classes.
    """

    needs = Needs(support=True, validation=True, ip=True)
    paper = Paper(
        "Atzmon and Chechik",
        "Adaptive Confidence Smoothing for Generalized Zero-Shot Learning",
        "CVPR",
        2019,
        "https://arxiv.org/abs/1812.09903",
    )
    presets = {"paper": {}}  # noqa: RUF012 - read only

    unseen: Inner | None = None
    """Method for the OOP names; None: ``tip_adapter``."""
    seen: Inner | None = None
    """Method for the IP names; None: ``cosine_head``."""
    threshold: Fraction | None = None
    """Probability of IP above which the gate prefers it; None: chosen."""
    sharpness: PositiveFloat | None = None
    """Width of the gate's step at the threshold; None: chosen."""

    def __post_init__(self) -> None:
        for inner in filter(None, (self.unseen, self.seen)):
            if type(wrap(self, inner)).encode is not Method.encode:
                raise UserError(f"cosmo cannot wrap {inner.name}, which encodes images anew", "name another method")

    def fit(self, task: Task) -> Self:
        """Fit both experts, then the gate."""
        fitted, held = split_known(task.ip)
        self.unseen_ = TipAdapter() if self.unseen is None else self.unseen.method()
        self.unseen_.fit(task.as_part(0, 2))
        self.seen_ = self.unseen_
        if len(fitted):
            self.seen_ = CosineHead() if self.seen is None else self.seen.method()
            self.seen_.fit(task.with_support(fitted, held, ip=True).as_part(1, 2))
        self.gate_, self.chosen_, self.temperatures_ = None, (0.5, 1.0), (1.0, 1.0)
        if images := GateImages.of(task, held):
            self._fit_gate(images)
        return self

    @torch.no_grad()
    def _fit_gate(self, images: GateImages) -> None:
        parts, oop = (images.oop, images.ip), sum(images.vocabulary.oop)
        own = [self._experts(part, images.vocabulary)[side] for side, part in enumerate(parts)]
        self.temperatures_ = (_temperature(own[0], images.oop.label), _temperature(own[1], images.ip.label - oop))
        experts = [self._experts(part, images.vocabulary) for part in parts]
        rows = torch.cat([self._features(*each) for each in experts]).double().cpu().numpy()
        from sklearn.linear_model import LogisticRegression  # here, because it takes a second to import

        seen = [0] * len(images.oop) + [1] * len(images.ip)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the solver may stop at its last iteration
            model = LogisticRegression(C=1.0, class_weight="balanced").fit(rows, seen)
        self.gate_ = torch.from_numpy(model.coef_[0]), float(model.intercept_[0])
        thresholds = THRESHOLDS if self.threshold is None else (self.threshold,)
        sharpness = SHARPNESS if self.sharpness is None else (self.sharpness,)
        found = [
            images.h_mean(*(self._mixed(*each, images.vocabulary, setting) for each in experts))
            for setting in product(sharpness, thresholds)
        ]
        first, second = middle_of_best([found[i : i + len(thresholds)] for i in range(0, len(found), len(thresholds))])
        self.chosen_ = thresholds[second], sharpness[first]

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Scores of the expert of a side, or log-probabilities in the joint vocabulary.

        Raises:
            FixedVocabulary: an expert cannot score a name.
        """
        if all(vocabulary.oop):
            return self.unseen_.scores(images, vocabulary)
        if not any(vocabulary.oop):
            return self.seen_.scores(images, vocabulary)
        return self._mixed(*self._experts(images, vocabulary), vocabulary, self.chosen_)

    def outcome(self) -> dict[str, Any]:
        """The gate's threshold and temperature, and the outcomes of both experts."""
        threshold, sharpness = self.chosen_
        own = {"threshold": threshold, "sharpness": sharpness, "temperatures": list(self.temperatures_)}
        return own | {"unseen": self.unseen_.outcome(), "seen": self.seen_.outcome()}

    def trainable(self) -> int:
        """Values of both experts and of the gate."""
        gate = 0 if self.gate_ is None else len(self.gate_[0]) + 1
        return self.unseen_.trainable() + self.seen_.trainable() + gate

    def _experts(self, images: Images, vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
        """Calibrated scores of the OOP names by one expert ``(m, k)``, of the IP names by the other ``(m, l)``."""
        names = list(zip(vocabulary.names, vocabulary.oop, strict=True))
        oop, ip = (tuple(name for name, side in names if side == wanted) for wanted in (True, False))
        noun = vocabulary.noun
        unseen = self.unseen_.scores(images, Vocabulary.of(noun, oop=oop)) / self.temperatures_[0]
        return unseen, self.seen_.scores(images, Vocabulary.of(noun, ip=ip)) / self.temperatures_[1]

    @staticmethod
    def _features(unseen: Tensor, seen: Tensor) -> Tensor:
        """``(m, 10)``: the highest scores of both experts, in order; zeros for names that there are not."""
        best = [part.topk(min(TOP, part.shape[1]), dim=1).values for part in (unseen, seen)]
        return torch.cat([F.pad(part, (0, TOP - part.shape[1])) for part in best], dim=1)

    def _mixed(self, unseen: Tensor, seen: Tensor, vocabulary: Vocabulary, setting: tuple[float, float]) -> Tensor:
        """Log-probabilities ``(m, k + l)`` of all names."""
        threshold, sharpness = setting
        is_seen = unseen.new_full((len(unseen), 1), 0.5)
        if self.gate_ is not None:
            weight, bias = self.gate_
            is_seen = torch.sigmoid(self._features(unseen, seen) @ weight.to(unseen) + bias)[:, None]
        oop = torch.sigmoid((threshold - is_seen) / sharpness)
        found = unseen.new_zeros(len(unseen), len(vocabulary))
        for columns, share, scores in zip(
            side_columns(vocabulary, found.device), (oop, 1 - oop), (unseen, seen), strict=True
        ):
            found[:, columns] = share * (scores.softmax(dim=1) + (1 - share) / scores.shape[1])
        return found.log().clamp_min(MIN_LOG_PROB)


def _temperature(scores: Tensor, label: Tensor) -> float:
    """The temperature with the least cross-entropy."""
    return min(TEMPERATURES, key=lambda t: float(F.cross_entropy(scores.double() / t, label)))


@hookimpl
def harness_method() -> type[Cosmo]:
    """Return the method."""
    return Cosmo
