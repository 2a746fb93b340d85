"""Transductive methods: pool images are scored by a joint assignment, other images by what it learned."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from harness.method import Method
from harness.types.discovery import Discovery
from harness.types.task import Pool

from ._clustering import canonical_order
from ._vocabulary import add_to_fitted, fitted_positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

SAME_IMAGE = 1e-5
"""Largest coordinate difference between two encodings of the same image."""
MIN_LOG_PROB = -30.0
"""Log-probability of an excluded name."""


@dataclass
class TransductiveMethod(Method):
    """Base of the methods that name the images of an unlabeled pool jointly.

    The assignment changes the scores of OOP names only; IP names keep theirs.
    """

    pool: Pool = "train-unlabeled"
    """Pool of images that are named jointly."""

    def fit(self, task: Task) -> Self:
        """Assign names to the pool."""
        self.task_ = task
        order = canonical_order(task.unlabeled.features[:, 0])  # results do not depend on the order of the pool
        self.pool_ = task.unlabeled.features[order, 0]
        self.text_ = zero_shot_text(task, task.vocabulary)
        self.log_plan_ = self.assign(task, self.pool_, self.text_)
        self.order_ = torch.argsort(order)
        task.progress(1, 1)
        return self

    @abstractmethod
    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """Log-probabilities ``(n, k)`` of the names of the pool's images ``(n, d)``; text is ``(k, d)``."""

    @abstractmethod
    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """Log-probabilities ``(m, k)`` of the names of images ``(m, d)`` outside the pool."""

    def base(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Scores without the pool: zero-shot."""
        return self.task_.logit_scale * image @ zero_shot_text(self.task_, vocabulary).T

    def named(self) -> tuple[Tensor, Tensor]:
        """Clusters of the pool and their names; by default a cluster is the images with one name."""
        return self.log_plan_.argmax(dim=1), torch.arange(len(self.text_), device=self.text_.device)

    def discovery(self) -> Discovery:
        """Clusters and their names, in the order of the task's pool."""
        cluster, name = self.named()
        return Discovery(cluster[self.order_], name)

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Base scores, with the OOP names' softmax mass redistributed by the assignment."""
        image = images.features[:, 0]
        own = self.base(image, self.task_.vocabulary)
        learned = self.others(image, self.text_)
        if len(self.pool_):
            at = (image @ self.pool_.T).argmax(dim=1)
            known = (image - self.pool_[at]).abs().amax(dim=1) < SAME_IMAGE
            learned = torch.where(known[:, None], self.log_plan_[at], learned)
        return add_to_fitted(self.base(image, vocabulary), learned - own, fitted_positions(vocabulary, self.task_))
