"""Nearest support image, added to the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.images import Images
from harness.types.task import Needs

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

harness_contract = 2


@dataclass
class NearestShot(Method):
    """A name scores as its prompt does, plus as the most similar of its support images does."""

    needs = Needs(support=True)

    weight: float = 0.5
    """Of the most similar support image; the prompt has weight 1."""

    def fit(self, task: Task) -> NearestShot:
        """Keep the support images of every name."""
        self.task_ = task
        support = task.support
        self.shots_ = {name: support.features[support.label == y].flatten(0, 1) for y, name in enumerate(task.names)}
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Prompt similarity for every name, support similarity for the OOP names."""
        image = images.features[:, 0]
        prompts = [self.task_.template.fill(name, vocabulary.noun) for name in vocabulary.names]
        scores = image @ self.task_.text.encode(prompts).T
        mean = torch.cat(list(self.shots_.values())).mean(dim=0)
        for column, (name, oop) in enumerate(zip(vocabulary.names, vocabulary.oop, strict=True)):
            if oop and len(self.shots_.get(name, ())):
                nearest = (image @ self.shots_[name].T).amax(dim=1)
                scores[:, column] += self.weight * (nearest - image @ mean)
        return self.task_.logit_scale * scores


@hookimpl
def harness_method() -> type[NearestShot]:
    """Return the method."""
    return NearestShot
