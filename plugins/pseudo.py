"""Pseudo-labels: any few-shot method is fitted to confident images of an unlabeled pool."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from harness.hookspecs import hookimpl
from harness.inner_method import Inner, wrap
from harness.method import Method
from harness.types.discovery import Discovery
from harness.types.paper import Paper
from harness.types.task import Needs, Pool

from ._clustering import canonical_order
from ._confident import assign_confident
from ._training import PositiveInt
from ._vocabulary import zero_shot_text
from .cosine_head import CosineHead

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class Pseudo(Method):
    """Fits any few-shot method to confident images of the pool, in rounds (Menghini et al., NeurIPS 2023).

    Zero-shot scores the pool, and every name takes the images that are the most confident of it, at most one name an
    image; the inner method (``-p pseudo.inner=fsnl``) is fitted to these pairs as to a few-shot draw, without captions.
    With several rounds the fitted method scores the pool for the next one. The schedules of the paper are presets: FPL
    is one round with 16 images of a name, IFPL ten rounds with 16, GRIP ten rounds of which round r takes
    ``r N / (10 K)``, so that the last takes nearly all. All assume classes of about equal size. The paper tunes prompts
    of 16 random tokens; ``coop`` is the closest method. An inner method that wants a validation draw gets the pairs.
    Their code lets an image have several names, and its result depends on the order of the pool; here it has one.
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    paper = Paper(
        "Menghini et al.",
        "Enhancing CLIP with CLIP: Exploring Pseudolabeling for Limited-Label Prompt Tuning",
        "NeurIPS",
        2023,
        "https://arxiv.org/abs/2306.01669",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {"rounds": 10, "growing": True, "pool": "train-unlabeled"},
        "fpl": {"rounds": 1, "growing": False},
        "ifpl": {"rounds": 10, "growing": False},
    }

    inner: Inner | None = None
    """Few-shot method to fit; None: ``cosine_head``."""
    pool: Pool = "train-unlabeled"
    """Pool of images that are labelled."""
    images: PositiveInt = 16
    """Labelled images of a name."""
    growing: bool = False
    """Take more images in every round, all of the pool in the last, in place of a constant number."""
    rounds: PositiveInt = 1
    """Rounds of labelling and fitting."""

    def __post_init__(self) -> None:
        if self.inner is not None:
            wrap(self, self.inner)
            self.needs = replace(self.needs, support=False, captions=False, validation=False)

    def fit(self, task: Task) -> Self:
        """Label and fit in turn."""
        order = canonical_order(task.unlabeled.features[:, 0])  # results do not depend on the order of the pool
        pool = task.unlabeled[order]
        scores = task.logit_scale * pool.features[:, 0] @ zero_shot_text(task, task.vocabulary).T
        self.taken_: list[int] = []
        for number in range(1, self.rounds + 1):
            count = max(1, number * len(pool) // (self.rounds * len(task.names))) if self.growing else self.images
            index, label = assign_confident(scores.softmax(dim=1), count)
            chosen = pool[index].labelled(label)
            self.fitted_ = CosineHead() if self.inner is None else self.inner.method()
            self.fitted_.fit(task.with_support(chosen, chosen).as_part(number - 1, self.rounds))
            with torch.no_grad():
                scores = self.fitted_.scores(self.fitted_.encode(pool), task.vocabulary)
            self.taken_.append(len(index))
        names = torch.arange(len(task.names), device=scores.device)
        self.found_ = Discovery(scores.argmax(dim=1)[torch.argsort(order)], names)
        return self

    def encode(self, images: Images) -> Images:
        """As the inner method."""
        return self.fitted_.encode(images)

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Scores of the inner method.

        Raises:
            FixedVocabulary: the inner method cannot score a name.
        """
        return self.fitted_.scores(images, vocabulary)

    def discovery(self) -> Discovery:
        """The pool's images by the name that the fitted method gives them."""
        return self.found_

    def outcome(self) -> dict[str, Any]:
        """The number of labelled images in every round, and the outcome of the inner method."""
        return {"labelled": self.taken_, "inner": self.fitted_.outcome()}

    def trainable(self) -> int:
        """As the inner method."""
        return self.fitted_.trainable()


@hookimpl
def harness_method() -> type[Pseudo]:
    """Return the method."""
    return Pseudo
