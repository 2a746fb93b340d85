"""Zero-shot prompt ensembling: templates are weighted by the scores they give an unlabeled pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.prompts import Template
from harness.types.paper import Paper
from harness.types.task import Needs, Pool

from ._training import NonNegativeFloat
from .zero_shot import TEMPLATES

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

OTHER = tuple(
    Template(text)
    for text in ("a photo of a {name}, a type of {noun}.", "a photo of a {name}.", "a picture of the {name}, a {noun}.")
)
"""Templates used in addition to the protocol's and those of ``zero_shot``."""


@dataclass
class ZPE(Method):
    """A prompt ensemble whose templates are weighted by their scores on a pool (Allingham et al., ICML 2023).

    With ``L[n, p, c]`` the scaled cosine of pool image n and name c in template p, and ``L'`` the same minus half of
    its mean over the pool and half of its mean over other images, which removes the words that are close to all images,
    the score of a template is ``s_p = mean_n max_c L'[n, p, c]``. Scores of images are ``sum_p w_p L[n, p, c]`` with
    ``w = softmax(s)``, or in the selection form the mean over the templates with ``(s_p - median) / MAD > threshold``.

    The other images are those of the IP classes, which are in pre-training; the paper has 20,000 of LAION-400M. Its
    templates are CLIP's for all data sets, 247 in total; here CLIP's 80 for ImageNet and those of ``zero_shot``.
    """

    needs = Needs(unlabeled=True, ip=True, vocabulary=True)
    seeded = False
    paper = Paper(
        "Allingham et al.",
        "A Simple Zero-shot Prompt Weighting Technique to Improve Prompt Ensembling in Text-Image Models",
        "ICML",
        2023,
        "https://arxiv.org/abs/2302.06235",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {"pool": "test-unlabeled", "templates": "all"},
        "paper-selection": {"pool": "test-unlabeled", "templates": "all", "select": 2.0},
    }

    pool: Pool = "train-unlabeled"
    """Pool of images that weigh the templates."""
    templates: Literal["few", "all"] = "few"
    """The protocol's template, those of ``zero_shot`` and ``OTHER``, or CLIP's 80 as well."""
    bias: Literal["both", "pool", "ip"] = "both"
    """Images whose mean score is subtracted."""
    select: NonNegativeFloat | None = None
    """Threshold of the selection, in the paper 0.5 for ImageNet and 2 for fine-grained classes; None: all, weighted."""

    def __post_init__(self) -> None:
        if self.bias == "pool":
            self.needs = Needs(unlabeled=True, vocabulary=True)

    def fit(self, task: Task) -> Self:
        """Weigh the templates."""
        self.task_ = task
        listed = (task.template, *TEMPLATES, *OTHER, *(_imagenet_templates() if self.templates == "all" else ()))
        self.templates_ = list(dict.fromkeys(listed))
        pool = task.unlabeled.features[:, 0]
        known = task.ip.features[:, 0] if self.bias != "pool" else pool[:0]
        score = []
        for template in self.templates_:
            text = task.logit_scale * self._text(template, task.vocabulary)
            means = [rows.mean(dim=0) @ text.T for rows in self._biases(pool, known)]
            score.append((pool @ text.T - torch.stack(means).mean(dim=0)).max(dim=1).values.double().mean())
        self.score_ = torch.stack(score)
        self.weight_ = self._weights(self.score_)
        task.progress(1, 1)
        return self

    def _biases(self, pool: Tensor, known: Tensor) -> list[Tensor]:
        """The images whose means are subtracted; the pool if there are no IP images."""
        rows = {"both": [pool, known], "pool": [pool], "ip": [known]}[self.bias]
        return [each for each in rows if len(each)] or [pool]

    def _weights(self, score: Tensor) -> Tensor:
        if self.select is None:
            return score.softmax(dim=0)
        middle = score.quantile(0.5)
        apart = (score - middle).abs().quantile(0.5)
        chosen = score - middle > self.select * apart
        chosen = chosen if bool(chosen.any()) else torch.ones_like(chosen)
        return chosen.to(score.dtype) / chosen.sum()

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale`` times the weighted mean cosine over the templates."""
        image, text = images.features[:, 0], 0.0
        for weight, template in zip(self.weight_.tolist(), self.templates_, strict=True):
            if weight > 0:
                text = text + weight * self._text(template, vocabulary)
        return self.task_.logit_scale * image @ text.T

    def outcome(self) -> dict[str, Any]:
        """The weight of every template."""
        pairs = zip(self.templates_, self.weight_.tolist(), strict=True)
        return {"weights": {template.text: round(weight, 4) for template, weight in pairs}}

    def _text(self, template: Template, vocabulary: Vocabulary) -> Tensor:
        return self.task_.text.encode([template.fill(name, vocabulary.noun) for name in vocabulary.names])


def _imagenet_templates() -> tuple[Template, ...]:
    from harness.backbones.clip_templates import IMAGENET_TEMPLATES  # imports open_clip, which listing plugins does not

    return IMAGENET_TEMPLATES


@hookimpl
def harness_method() -> type[ZPE]:
    """Return the method."""
    return ZPE
