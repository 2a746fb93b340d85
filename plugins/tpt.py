"""TPT: tune the words before the name for each test image, so that its views agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper

from ._certain_views import by_certainty, entropy, kept
from ._context import LearnedContext
from ._training import Fraction, NonNegativeFloat, NonNegativeInt
from ._view_method import ViewMethod

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

PROMPTS = 256
"""Prompts that are encoded at once: those of several images, whose contexts do not depend on each other."""


@dataclass
class TPT(ViewMethod):
    """Test-time prompt tuning: a context for each test image (Shu et al., NeurIPS 2022).

    The prompt is ``[context] name.``, and starts from "a photo of a". One step of AdamW lowers the entropy of the mean
    probability of the image's most certain views; the image as a whole is then scored with its context, and the next
    image starts anew. As in the paper the same context stands before every name, and the image tower is frozen, so
    that cached views suffice. The authors replace crops by AugMix on fine-grained data sets; here all views are crops.

    Images are tuned together in batches, with a context and moments of their own: the answers are those of one image
    at a time.
    """

    paper = Paper(
        "Shu et al.",
        "Test-Time Prompt Tuning for Zero-Shot Generalization in Vision-Language Models",
        "NeurIPS",
        2022,
        "https://arxiv.org/abs/2209.07511",
    )
    presets = {"paper": {"test_views": 64, "keep": 0.1, "lr": 0.005, "steps": 1}}  # noqa: RUF012 - read only

    keep: Fraction = 0.1
    """Share of the views that are tuned on, those of lowest entropy; at least one is."""
    context: str = "a photo of a"
    """Initial context; as many tokens are tuned."""
    lr: NonNegativeFloat = 0.005
    """Learning rate."""
    steps: NonNegativeInt = 1
    """Steps for each image."""
    weight_decay: NonNegativeFloat = 0.01
    """Weight decay of AdamW; the authors leave it at its default."""

    def fit(self, task: Task) -> Self:
        """Store the task and the initial context."""
        self.context_ = LearnedContext(task, self.context)
        return super().fit(task)

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T``, each image with its own context."""
        tokens = self.context_.tokens(vocabulary.names)
        initial = self.context_.encode(tokens)
        parts = images.features.split(max(1, PROMPTS // len(vocabulary)))
        return torch.cat([self._tuned(views, tokens, initial) for views in parts])

    def _tuned(self, views: Tensor, tokens: Any, initial: Tensor) -> Tensor:
        """Scores ``(m, k)`` of m images ``(m, v, d)`` after tuning."""
        scale, count = self.task_.logit_scale, kept(views.shape[1], self.keep)
        certain = by_certainty(scale * views @ initial.T)[:, :count]
        chosen = views.gather(1, certain[..., None].expand(-1, -1, views.shape[2]))
        contexts = self.context_.rows.repeat(len(views), 1, 1).requires_grad_(True)
        step = torch.optim.AdamW([contexts], lr=self.lr, weight_decay=self.weight_decay)
        for _ in range(self.steps):
            with torch.enable_grad():
                text = self.context_.encode_each(tokens, contexts).double()  # AdamW turns any gradient into a full step
                loss = mean_entropy(scale * chosen.double() @ text.transpose(1, 2)).sum()
            (contexts.grad,) = torch.autograd.grad(loss, contexts)
            step.step()
        text = self.context_.encode_each(tokens, contexts.detach())
        return scale * (text @ views[:, 0, :, None])[..., 0]


def mean_entropy(scores: Tensor) -> Tensor:
    """Entropy ``(m,)`` of the mean probability of v views with scores ``(m, v, k)``."""
    log_mean = F.log_softmax(scores, dim=2).logsumexp(dim=1) - math.log(scores.shape[1])
    return entropy(log_mean)


@hookimpl
def harness_method() -> type[TPT]:
    """Return the method."""
    return TPT
