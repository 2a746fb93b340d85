"""CuPL: sentences about every name in place of a template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.paper import Paper
from harness.types.task import Needs

from ._sentences import sentence_features

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class CuPL(Method):
    """Class features from customized prompts: sentences that describe every name (Pratt et al., ICCV 2023).

    A name's feature is the normalised mean of the unit text features of its sentences; scores are ``logit_scale *
    image @ text.T``. The sentences come from ``--texts``; the authors let GPT-3 answer five questions ten times for
    each class of ImageNet. They need not contain the name. With ``prompts=both`` the templates of zero-shot's ensemble
    count as further sentences, as in the paper's combination with 80 templates.
    """

    needs = Needs(texts=True)
    seeded = False
    paper = Paper(
        "Pratt et al.",
        "What does a platypus look like? Generating customized prompts for zero-shot image classification",
        "ICCV",
        2023,
        "https://arxiv.org/abs/2209.03320",
    )
    presets = {"paper": {"prompts": "sentences"}}  # noqa: RUF012 - read only

    prompts: Literal["sentences", "both"] = "sentences"
    """The sentences alone, or together with the templates of the prompt ensemble."""

    def fit(self, task: Task) -> Self:
        """Store the task; nothing is learned."""
        self.task_ = task
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T`` with the means of the sentences."""
        text = sentence_features(self.task_, vocabulary, self.prompts == "both")
        return self.task_.logit_scale * images.features[:, 0] @ text.T


@hookimpl
def harness_method() -> type[CuPL]:
    """Return the method."""
    return CuPL
