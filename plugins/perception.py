"""PerceptionCLIP: the context of an image is inferred first, then its name in that context."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F

from harness.errors import UserError
from harness.hookspecs import hookimpl
from harness.method import File, Method
from harness.prompts import Template
from harness.types.paper import Paper

from ._json_file import read_json
from ._training import PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

CONTEXTS = {
    "distance": {"near": ["close-up", "seen from near"], "far": ["seen from far away"], "none": [""]},
    "condition": {"clear": ["clear", "bright"], "unclear": ["blurry", "dark"], "none": [""]},
}
"""Default factors: factor -> value -> wordings, where an empty one adds nothing to the prompt."""

HINT = 'give a JSON object: factor -> value -> list of wordings, such as {"view": {"near": ["close-up"], "none": [""]}}'


@dataclass
class Perception(Method):
    """Infers the context of an image, such as its viewpoint, then its name in that context (An et al., ICLR 2024).

    A context z is one value of every factor. ``t[y, z]`` is the normalised mean over wordings of the prompt of name y
    with the wording appended; ``f(y, z)`` is its scaled cosine with the image. The scores are the log of
    ``p(y|x) = sum_z p(z|x) softmax_y f(y, z)``. ``p(z|x)`` is proportional to ``sum_y exp(f(y, z) / T)``, or with
    ``infer=alone`` the softmax over z of the wording without a name. The contexts are a file (``-p
    perception.contexts=contexts.json``); the paper lets a language model suggest them for each data set. Sums are in
    log space, where the authors' code exponentiates the scaled cosines.
    """

    seeded = False
    paper = Paper(
        "An et al.",
        "PerceptionCLIP: Visual Classification by Inferring and Conditioning on Contexts",
        "ICLR",
        2024,
        "https://arxiv.org/abs/2308.01313",
    )
    presets = {"paper": {"infer": "names", "temperature": 1.0}}  # noqa: RUF012 - read only

    contexts: File | None = None
    """JSON: factor -> value -> list of wordings; None: ``CONTEXTS``."""
    infer: Literal["names", "alone"] = "names"
    """How a context is inferred: from the prompts of all names in it, or from its wording alone."""
    temperature: PositiveFloat = 1.0
    """Of the inferred contexts; larger values make them more uniform (T)."""

    def fit(self, task: Task) -> Self:
        """Read the contexts; nothing is learned."""
        self.task_ = task
        given = CONTEXTS if self.contexts is None else read_json(self.contexts, dict[str, dict[str, list[str]]], HINT)
        factors = [list(values.values()) for values in given.values()]
        if not all(factors) or not all(wordings for values in factors for wordings in values):
            raise UserError("the contexts have a factor without values, or a value without wordings", HINT)
        self.contexts_ = [
            [", ".join(filter(None, words)) for words in product(*chosen)] for chosen in product(*factors)
        ]
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Log-probabilities, summed over the contexts."""
        image = self.task_.logit_scale * images.features[:, 0]
        f = torch.stack([image @ self._text(wordings, vocabulary).T for wordings in self.contexts_], dim=1)
        if self.infer == "names":
            context = (f / self.temperature).logsumexp(dim=2)
        else:
            context = image @ torch.stack([self._alone(wordings) for wordings in self.contexts_]).T / self.temperature
        return (context.log_softmax(dim=1)[..., None] + f.log_softmax(dim=2)).logsumexp(dim=1)

    def outcome(self) -> dict[str, Any]:
        """The number of contexts."""
        return {"contexts": len(self.contexts_)}

    def _text(self, wordings: list[str], vocabulary: Vocabulary) -> Tensor:
        """Unit rows ``(k, d)``: the normalised mean over the wordings of a context."""
        templates = [self._template(wording) for wording in wordings]
        texts = [
            self.task_.text.encode([t.fill(name, vocabulary.noun) for name in vocabulary.names]) for t in templates
        ]
        return F.normalize(torch.stack(texts).mean(dim=0), dim=1)

    def _template(self, wording: str) -> Template:
        text = self.task_.template.text
        return Template(f"{text.removesuffix('.')}, {wording}." if wording else text)

    def _alone(self, wordings: list[str]) -> Tensor:
        """The same ``(d,)`` without a name: the noun takes its place."""
        noun = self.task_.noun
        mean = self.task_.text.encode([self._template(wording).fill(noun, noun) for wording in wordings]).mean(dim=0)
        return F.normalize(mean, dim=0)


@hookimpl
def harness_method() -> type[Perception]:
    """Return the method."""
    return Perception
