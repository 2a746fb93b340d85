"""Zero-shot CLIP: every image goes to the name whose prompt is most similar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.hookspecs import Register, hookimpl
from harness.method import Method

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class ZeroShot(Method):
    """Cosine similarity of image and prompt, times the model's logit scale (Radford et al., ICML 2021)."""

    paper = "Radford et al., ICML 2021"

    def fit(self, task: Task) -> Self:
        """Keep the text tower; nothing is learned."""
        self.task_ = task
        return self

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T``."""
        prompts = [self.task_.template.fill(name, vocabulary.hint) for name in vocabulary.names]
        return self.task_.logit_scale * image @ self.task_.text.encode(prompts).T


@hookimpl
def harness_register_methods(register: Register) -> None:
    """Offer the method."""
    register("zero_shot", ZeroShot)
