"""Methods that train through the towers of a private copy of the model, from pixels and prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
import torch.nn.functional as F

from harness.errors import NotApplicable
from harness.types.task import Needs

from ._training import Batch, PositiveInt, TrainedMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from harness.prompts import Prompt
    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

SCORED = 64
"""Images that are encoded at once when no gradients are needed."""

HINT = "use a backbone such as ViT-B-16"


@dataclass
class TowerMethod(TrainedMethod):
    """Base of the methods whose learned values are inside the towers.

    The frozen weights are shared with the model; only the learned values, their gradients and the optimizer's state
    come on top. A scored image is encoded once for all vocabularies, and the names of a vocabulary once.
    """

    needs = Needs(support=True, pixels=True, model=True)
    towers: ClassVar[Literal["both", "text", "vision"]] = "both"
    """Which towers are tuned; the other one is frozen. ``text`` needs no pixels and works with all image towers."""

    batch: PositiveInt = 4
    """Images of a step."""
    checkpointing: bool = False
    """Keep no activations inside a block of a tower: less memory, and a second forward pass of each block."""

    def __post_init__(self) -> None:
        if self.towers == "text" and self.needs.pixels:
            self.needs = replace(self.needs, pixels=False)

    def prepare(self, task: Task) -> None:
        """Make the private copy of the model ``model_``, and its text tower ``tower_``."""
        self.task_ = task
        self.model_: Any = task.model()
        if self.checkpointing:
            self.model_.set_grad_checkpointing(True)
        self.tower_ = task.text.on(self.model_)
        self.texts_: dict[Vocabulary, Tensor] = {}

    def learn(
        self, parameters: Sequence[Tensor], loss: Callable[[Tensor, Tensor, Batch], Tensor] | None = None, **train: Any
    ) -> None:
        """Minimise a loss of the tuned towers; by default the cross-entropy over the task's names.

        Args:
            parameters: leaf tensors.
            loss: a function of image features ``(b, d)``, text features ``(k, d)`` and the batch.
            train: further arguments of ``TrainedMethod.train``.
        """
        self.parameters_ = parameters
        tokens = self.tokenize(self.task_.vocabulary)
        self.train(
            self.task_,
            parameters,
            lambda batch: (loss or self.cross_entropy)(self.encode_batch(batch), self.encode_text(tokens), batch),
            self.batch,
            **train,
        )

    def cross_entropy(self, image: Tensor, text: Tensor, batch: Batch) -> Tensor:
        """The cross-entropy of ``logit_scale * image @ text.T``."""
        return F.cross_entropy(self.task_.logit_scale * image @ text.T, batch.label)

    def encode_batch(self, batch: Batch) -> Tensor:
        """Unit rows ``(b, d)`` of a batch by the image tower."""
        return batch.image if self.towers == "text" else self.task_.encode_image(self.model_, batch.pixels())

    def prompts(self, vocabulary: Vocabulary) -> list[Prompt]:
        """The prompt of every name: the protocol's, unless a method has its own."""
        return [self.task_.template.fill(name, vocabulary.noun) for name in vocabulary.names]

    def tokenize(self, vocabulary: Vocabulary) -> Any:
        """What ``encode_text`` needs of k names: their tokens, or their features if the text tower is frozen."""
        if self.towers == "vision":
            return self.task_.text.encode(self.prompts(vocabulary))
        return self.tower_.tokenize(self.prompts(vocabulary))

    def encode_text(self, tokens: Any) -> Tensor:
        """Unit rows ``(k, d)`` by the text tower."""
        return tokens if self.towers == "vision" else self.tower_.encode_tokens(tokens)

    def encode(self, images: Images) -> Images:
        """The images with the features of the tuned image tower."""
        if self.towers == "text":
            return images
        rows = [self.task_.encode_image(self.model_, images.pixels(batch)) for batch in images.batches(SCORED)]
        return images.with_features(torch.cat(rows)[:, None])

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T``, by the tuned towers."""
        if vocabulary not in self.texts_:
            self.texts_[vocabulary] = self.encode_text(self.tokenize(vocabulary))
        return self.task_.logit_scale * images.features[:, 0] @ self.texts_[vocabulary].T

    def trainable(self) -> int:
        """Elements of the learned values."""
        return sum(value.numel() for value in self.parameters_)


def text_tower(model: Any) -> Any:
    """The module with the transformer of the text tower: a part of the model, or the model itself."""
    return getattr(model, "text", model)


def blocks(tower: Any, method: str, side: str) -> list[nn.Module]:
    """The blocks of a tower of open_clip.

    Raises:
        NotApplicable: the tower is another one, such as a ResNet.
    """
    transformer = getattr(tower, "transformer", None)
    if not hasattr(transformer, "resblocks"):
        raise not_applicable(method, side, tower)
    return list(transformer.resblocks)


def not_applicable(method: str, side: str, tower: nn.Module, hint: str = HINT) -> NotApplicable:
    """The error for a tower that a method cannot change."""
    kind = type(tower).__name__
    return NotApplicable(f"{method} works with {side} towers of transformer blocks; this one is a {kind}", hint)
