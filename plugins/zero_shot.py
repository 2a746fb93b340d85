"""Zero-shot CLIP: classify every image by its most similar prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.prompts import Template
from harness.types.paper import Paper

from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

TEMPLATES = tuple(
    Template(text)
    for text in (
        "a photo of {name}, a type of {noun}.",
        "a close-up photo of {name}, a type of {noun}.",
        "a good photo of {name}, a type of {noun}.",
        "a photo of the {noun} {name}.",
        "an image of {name}, a kind of {noun}.",
        "a picture showing {name}.",
        "a photo of {name}.",
    )
)
"""Templates of the prompt ensemble, after CLIP's (Radford et al., ICML 2021, section 3.1.4)."""


@dataclass
class ZeroShot(Method):
    """Cosine similarity of image and prompt, times the model's logit scale (Radford et al., ICML 2021)."""

    seeded = False
    paper = Paper(
        "Radford et al.",
        "Learning Transferable Visual Models From Natural Language Supervision",
        "ICML",
        2021,
        "https://arxiv.org/abs/2103.00020",
    )
    presets = {"paper": {"prompts": "single"}}  # noqa: RUF012 - read only

    prompts: Literal["single", "ensemble"] = "single"
    """The protocol's prompt, or the normalised mean of the unit text features over ``TEMPLATES``."""

    def fit(self, task: Task) -> Self:
        """Store the task; nothing is learned."""
        self.task_ = task
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T``."""
        return self.task_.logit_scale * images.features[:, 0] @ self._text(vocabulary).T

    def _text(self, vocabulary: Vocabulary) -> Tensor:
        if self.prompts == "single":
            return zero_shot_text(self.task_, vocabulary)
        filled = [[template.fill(name, vocabulary.noun) for name in vocabulary.names] for template in TEMPLATES]
        return F.normalize(torch.stack([self.task_.text.encode(prompts) for prompts in filled]).mean(dim=0), dim=1)


@hookimpl
def harness_method() -> type[ZeroShot]:
    """Return the method."""
    return ZeroShot
