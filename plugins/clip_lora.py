"""CLIP-LoRA: low-rank adapters in the attention of both towers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.hookspecs import hookimpl
from harness.types.paper import Paper

from ._lora import Adapter, Dropout, add_adapters
from ._towers import TowerMethod, not_applicable, text_tower
from ._training import Batch, Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task

HINTS = {
    "text": "use -p clip_lora.towers=vision, or a backbone such as ViT-B-16",
    "vision": "use -p clip_lora.towers=text, or a backbone such as ViT-B-16",
}


@dataclass
class ClipLora(TowerMethod):
    """Low-rank adapters on queries, keys and values in every block of both towers (Zanella and Ben Ayed, CVPR 2024 W).

    ``W x + alpha / sqrt(r) * up down dropout(x)``; down is uniform, up starts at zero, and the loss is the
    cross-entropy over the OOP names. All names are scored with the adapted towers, so the method changes IP accuracy.

    The preset ``paper`` has the authors' optimizer, rank, batch and steps: 500 for each shot, here rounded up to whole
    epochs, after each of which the learning rate falls along the cosine (to zero, not to 1e-6). Where the authors draw
    a mask for each of queries, keys and values, the three share one; and the prompt is the protocol's.
    """

    paper = Paper(
        "Zanella and Ben Ayed",
        "Low-Rank Few-Shot Adaptation of Vision-Language Models",
        "CVPR Workshops",
        2024,
        "https://arxiv.org/abs/2405.18541",
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"lr": 2e-4, "batch": 32, "steps_per_shot": 500, "views": 16, "rank": 2, "dropout": 0.25}
    }

    epochs: NonNegativeInt = 30
    lr: NonNegativeFloat = 0.01
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    weight_decay: NonNegativeFloat = 1e-2
    batch: PositiveInt = 32
    towers: Literal["both", "text", "vision"] = "both"  # type: ignore[misc]
    """Which towers have adapters; ``text`` needs no pixels and works with all image towers."""
    rank: PositiveInt = 2
    """Rank r of an adapter."""
    alpha: PositiveFloat = 1.0
    """An adapter's product is multiplied by alpha / sqrt(r)."""
    dropout: Fraction = 0.25
    """Share of an adapter's inputs that is dropped in training."""
    steps_per_shot: PositiveInt | None = None
    """Steps for each shot, in place of ``epochs``."""

    def fit(self, task: Task) -> Self:
        """Learn the adapters from the support."""
        self.prepare(task)
        self.dropout_ = Dropout(self.dropout)
        scale = self.alpha / math.sqrt(self.rank)
        adapters: list[Adapter] = []
        for side, tower in (("text", text_tower(self.model_)), ("vision", self.model_.visual)):
            if self.towers in (side, "both"):
                inside = getattr(tower, "transformer", tower)
                added = add_adapters(task, inside, self.rank, scale, self.dropout_, len(adapters))
                if not added:
                    raise not_applicable("clip_lora", side, tower, HINTS[side])
                adapters += added
        per_epoch = math.ceil(len(task.support) / self.batch)
        steps = (self.steps_per_shot or 0) * task.shots
        epochs = math.ceil(steps / per_epoch) if steps else None
        self.learn([weight for each in adapters for weight in (each.down, each.up)], epochs=epochs)
        self.dropout_.stop()
        return self

    def encode_batch(self, batch: Batch) -> Tensor:
        """Unit rows ``(b, d)`` of a batch, with the dropout of a new step."""
        self.dropout_.draw(self.task_)
        return super().encode_batch(batch)


@hookimpl
def harness_method() -> type[ClipLora]:
    """Return the method."""
    return ClipLora
