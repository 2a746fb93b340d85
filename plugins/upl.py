"""UPL: CoOp on the images of a pool that zero-shot is most certain of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from harness.hookspecs import hookimpl
from harness.types.discovery import Discovery
from harness.types.paper import Paper
from harness.types.task import Needs, Pool, Support

from ._clustering import canonical_order
from ._context import LearnedContext
from ._training import PAPER, PositiveInt
from ._vocabulary import zero_shot_text
from .coop import CoOp
from .nola_head import confident_images

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class UPL(CoOp):
    """Unsupervised prompt learning: CoOp on pseudo-labels of a pool (Huang et al., arXiv 2204.03649).

    Of the images that zero-shot gives a name, the ``per_name`` most certain are labelled with it; a name that no image
    is given has none. CoOp's shared context is learned on them. With several members the scores are the mean over
    contexts that were learned from different random starts, as in the paper, which has 16. The paper draws new crops of
    the labelled images at every step; a pool has one view of each. The authors' code also labels every image whose
    probability is above 0.9. Contexts are shared by all names, so that all names have scores.
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    paper = Paper(
        "Huang et al.",
        "Unsupervised Prompt Learning for Vision-Language Models",
        "arXiv",
        2022,
        "https://arxiv.org/abs/2204.03649",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {**PAPER, "views": 1, "lr": 0.002, "epochs": 50, "batch": 32, "length": 16, "members": 16}
    }

    pool: Pool = "train-unlabeled"
    """Pool of images that are labelled."""
    per_name: PositiveInt = 16
    """Labelled images of a name, if so many are given it."""
    members: PositiveInt = 1
    """Contexts whose scores are averaged; from a given text they differ by the order of the images alone."""

    def fit(self, task: Task) -> Self:
        """Label images of the pool, and learn the contexts."""
        pool = task.unlabeled.features[:, 0]
        order = canonical_order(pool)  # results do not depend on the order of the pool
        pool = pool[order]
        scores = task.logit_scale * pool @ zero_shot_text(task, task.vocabulary).T
        index, label = confident_images(scores.softmax(dim=1), self.per_name, choices=1)
        labelled, self.contexts_ = Support(pool[index, None], label), list[LearnedContext]()
        for _ in range(self.members):
            self.learn(task, labelled)
            self.contexts_.append(self.context_)
        self.labelled_ = torch.bincount(label, minlength=len(task.names)).tolist()
        own = self.scores(task.unlabeled, task.vocabulary).argmax(dim=1)
        self.found_ = Discovery(own, torch.arange(len(task.names), device=pool.device))
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """The mean over contexts of ``logit_scale * image @ text.T``."""
        texts = [context.encode(context.tokens(vocabulary.names)) for context in self.contexts_]
        return self.task_.logit_scale * images.features[:, 0] @ torch.stack(texts).mean(dim=0).T

    def discovery(self) -> Discovery:
        """The pool's images by the name that the learned prompts give them."""
        return self.found_

    def outcome(self) -> dict[str, Any]:
        """The number of labelled images of every name."""
        return {"labelled": self.labelled_}

    def trainable(self) -> int:
        """Elements of all contexts."""
        return sum(context.rows.numel() for context in self.contexts_)


@hookimpl
def harness_method() -> type[UPL]:
    """Return the method."""
    return UPL
