"""TEEN: OOP prototypes of few images are moved towards the IP prototypes that they are like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.paper import Paper
from harness.types.task import Needs

from ._clustering import class_means
from ._training import Fraction, NonNegativeFloat, PositiveFloat
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class Teen(Method):
    """OOP class means, calibrated by those of the IP classes that they are like (Wang et al., NeurIPS 2023).

    With p the normalised mean of an OOP class's support and q those of the IP classes, ``a = softmax(temperature p'q)``
    and ``p' = (1 - weight) p + weight normalise(a q)``. Scores are ``logit_scale`` times the cosines with p' and q: IP
    names have image prototypes too, so few images are lost to them in the joint vocabulary. ``text_weight`` adds
    zero-shot. The paper trains the encoder on the base classes, and reports a weight of 0.5 on CUB and 0.1 on
    CIFAR-100. A name without an image has its text feature as prototype.
    """

    needs = Needs(support=True, ip=True)
    seeded = False
    paper = Paper(
        "Wang et al.",
        "Few-Shot Class-Incremental Learning via Training-Free Prototype Calibration",
        "NeurIPS",
        2023,
        "https://arxiv.org/abs/2312.05229",
    )
    presets = {"paper": {"text_weight": 0.0}, "paper-cifar": {"text_weight": 0.0, "weight": 0.1}}  # noqa: RUF012

    weight: Fraction = 0.5
    """Share of the IP prototypes in a calibrated one (alpha)."""
    temperature: PositiveFloat = 16.0
    """Scale of the cosines between OOP and IP prototypes (tau)."""
    text_weight: NonNegativeFloat = 0.0
    """Weight of the zero-shot scores. On held-out images of the miniature they cost 5 points at a weight of 0.3."""

    def fit(self, task: Task) -> Self:
        """Average and calibrate the prototypes."""
        self.task_ = task
        known, support = task.ip, task.support
        base = (
            class_means(known.features[:, 0], known.label, len(task.ip_names)) if len(known) else known.features[:, 0]
        )
        base = F.normalize(base, dim=1)
        own = F.normalize(class_means(support.features.mean(dim=1), support.label, len(task.names)), dim=1)
        there = [torch.bincount(part.label, minlength=len(rows)) > 0 for part, rows in ((known, base), (support, own))]
        if len(base):
            like = (self.temperature * own @ base.T).masked_fill(~there[0], float("-inf")).softmax(dim=1)
            own = (1 - self.weight) * own + self.weight * F.normalize(like @ base, dim=1)
        own = F.normalize(own, dim=1)
        fitted = task.vocabulary
        ip = [(name, False) for name in task.ip_names]
        rows = [*zip(ip, base, there[0].tolist(), strict=True)]
        rows += [*zip(zip(fitted.names, fitted.oop, strict=True), own, there[1].tolist(), strict=True)]
        self.prototype_ = {name: row for name, row, has_images in rows if has_images}
        task.progress(1, 1)
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Scaled cosines with the prototypes, plus weighted zero-shot scores."""
        image, text = images.features[:, 0], zero_shot_text(self.task_, vocabulary)
        pairs = zip(zip(vocabulary.names, vocabulary.oop, strict=True), text, strict=True)
        prototype = torch.stack([self.prototype_.get(name, row) for name, row in pairs])
        return self.task_.logit_scale * (image @ prototype.T + self.text_weight * image @ text.T)

    def trainable(self) -> int:
        """Elements of the prototypes."""
        return sum(row.numel() for row in self.prototype_.values())


@hookimpl
def harness_method() -> type[Teen]:
    """Return the method."""
    return Teen
