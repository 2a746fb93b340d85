"""Methods that answer for the images of their pool by an assignment, and for all others by what it taught them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from harness.method import Method
from harness.types.discovery import Discovery
from harness.types.task import Pool

from ._clusters import canonical
from ._vocabulary import move_within, positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

SAME = 1e-5
"""Largest difference in a coordinate between an image and itself, encoded again."""
LEAST = -30.0
"""Log-probability of what is excluded."""


@dataclass
class Transductive(Method):
    """A method that names the images of an unlabeled pool together.

    What it learns decides among the OOP names alone; IP names keep their scores.
    """

    pool: Pool = "train-unlabeled"
    """Whose images are named together."""

    def fit(self, task: Task) -> Self:
        """Assign the pool."""
        self.task_ = task
        order = canonical(task.unlabeled)  # so that the order of the pool can mean nothing
        self.pool_ = task.unlabeled[order]
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
        """The same for images that are not in the pool."""

    def base(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Scores that do not know the pool: those of zero-shot."""
        return self.task_.logit_scale * image @ zero_shot_text(self.task_, vocabulary).T

    def named(self) -> tuple[Tensor, Tensor]:
        """Clusters of the pool, and their names; without clusters those images that share a name."""
        return self.log_plan_.argmax(dim=1), torch.arange(len(self.text_), device=self.text_.device)

    def discovery(self) -> Discovery:
        """The clusters and names, in the order of the pool that was given."""
        cluster, name = self.named()
        return Discovery(cluster[self.order_], name)

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """The base's scores, with the OOP names' share divided anew by the assignment or what it taught."""
        own = self.base(image, self.task_.vocabulary)
        learned = self.others(image, self.text_)
        if len(self.pool_):
            at = (image @ self.pool_.T).argmax(dim=1)
            known = (image - self.pool_[at]).abs().amax(dim=1) < SAME
            learned = torch.where(known[:, None], self.log_plan_[at], learned)
        return move_within(self.base(image, vocabulary), learned - own, positions(vocabulary, self.task_))
