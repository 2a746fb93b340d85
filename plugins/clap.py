"""CLAP: text features are tuned as class weights, and held to where they started as far as zero-shot was right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._clustering import class_means
from ._training import Batch, NonNegativeFloat, NonNegativeInt, PositiveInt, TrainedMethod
from ._vocabulary import raw_zero_shot_text, require_fitted_positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class CLAP(TrainedMethod):
    """Class-adaptive linear probe: text features as class weights, held to them (Silva-Rodríguez et al., CVPR 2024).

    ``scores = logit_scale * cos(x, w)``, where w starts at the text features t. The loss is the cross-entropy of the
    support plus ``penalty * mean_k a_k |w_k - t_k|^2``; a_k is the mean zero-shot probability of class k on its own
    support images, and stays constant. So a class that zero-shot knows stays where it is, and one that it does not know
    is free. Nothing is chosen on validation images, and the settings are the same for all numbers of shots. Without
    training the scores are those of zero-shot. Weights belong to classes, so the vocabulary is fixed.

    The penalty and the size of a step depend on the length of t: the preset ``paper`` has t as the tower returns it, as
    the authors do. They encode the support in 20 random views and take as many batches as without them; here an epoch
    takes one of the cached views of each image.
    """

    needs = Needs(support=True)
    paper = Paper(
        "Silva-Rodríguez et al.",
        "A Closer Look at the Few-Shot Adaptation of Large Vision-Language Models",
        "CVPR",
        2024,
        "https://arxiv.org/abs/2312.12730",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "epochs": 300, "batch": 256, "warmup_lr": 1e-5}
        | {"views": 20, "base": "raw", "penalty": 1.0}
    }

    epochs: NonNegativeInt = 100
    lr: NonNegativeFloat = 0.01
    batch: PositiveInt | None = None
    """Images of a step; None: all of the support."""
    penalty: NonNegativeFloat = 1.0
    """Weight of the distance to the text features."""
    base: Literal["unit", "raw"] = "unit"
    """Text features that w starts at: normalised, or as the tower returns them."""

    def fit(self, task: Task) -> Self:
        """Learn the class weights from the support."""
        self.task_ = task
        text = zero_shot_text(task, task.vocabulary)
        held = self.penalty * self._known(task, text)
        start = text if self.base == "unit" else raw_zero_shot_text(task, task.vocabulary)
        self.weight_ = start.clone()

        def loss(batch: Batch) -> Tensor:
            logits = task.logit_scale * batch.image @ F.normalize(self.weight_, dim=1).T
            moved = (self.weight_ - start).square().sum(dim=1)
            return F.cross_entropy(logits, batch.label) + (held * moved).mean()

        self.train(task, [self.weight_], loss, self.batch)
        self.text_ = F.normalize(self.weight_, dim=1)
        self.held_ = held
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * cos(x, w)``.

        Raises:
            FixedVocabulary: a name has no weights.
        """
        at = require_fitted_positions(vocabulary, self.task_, "clap")
        return self.task_.logit_scale * images.features[:, 0] @ self.text_[at].T

    def outcome(self) -> dict[str, Any]:
        """The mean weight of the penalty."""
        return {"held": round(float(self.held_.mean()), 4)}

    def trainable(self) -> int:
        """Elements of the class weights."""
        return self.weight_.numel()

    @staticmethod
    def _known(task: Task, text: Tensor) -> Tensor:
        """``(k,)`` mean zero-shot probability of each class on its own support images; zero without any."""
        label = task.support.label
        probability = (task.logit_scale * task.support.features @ text.T).softmax(dim=2).mean(dim=1)
        own = probability.gather(1, label[:, None])
        return class_means(own, label, len(text))[:, 0]


@hookimpl
def harness_method() -> type[CLAP]:
    """Return the method."""
    return CLAP
