"""Images of both sides on which a gate between OOP and IP names is fitted: no scored image is among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.types.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Support, Task

HELD_OUT = 4
"""Every fourth IP image of a class is held out, beginning with the second."""


@dataclass(frozen=True)
class GateImages:
    """Labelled images of both sides.

    Attributes:
        vocabulary: the joint vocabulary: k OOP names, then the IP names.
        oop: OOP images of the few-shot validation draw; ``label`` is a position in the vocabulary.
        ip: IP images, likewise.
    """

    vocabulary: Vocabulary
    oop: Support
    ip: Support

    @classmethod
    def of(cls, task: Task, known: Support) -> GateImages:
        """The images of a task, with some of its IP images; without OOP names or IP images there are none."""
        names = tuple(name for name, oop in zip(task.names, task.vocabulary.oop, strict=True) if oop)
        vocabulary = Vocabulary.of(task.noun, oop=names, ip=task.ip_names)
        drawn = task.validation  # its labels count the OOP names first
        return cls(vocabulary, drawn[drawn.label < len(names)], known.labelled(known.label + len(names)))

    def __bool__(self) -> bool:
        return len(self.oop) > 0 and len(self.ip) > 0

    def h_mean(self, oop: Tensor, ip: Tensor) -> float:
        """Harmonic mean of the accuracies by the scores ``(n, k)`` of both sides' images."""
        right = [
            float((scores.argmax(dim=1) == images.label).double().mean())
            for scores, images in ((oop, self.oop), (ip, self.ip))
        ]
        return 2 * right[0] * right[1] / max(sum(right), 1e-12)


def split_known(known: Support) -> tuple[Support, Support]:
    """IP images to fit a method on, and those held out of every class."""
    place = F.one_hot(known.label).cumsum(dim=0).gather(1, known.label[:, None])[:, 0] if len(known) else known.label
    held = place % HELD_OUT == 2
    return known[~held], known[held]


def side_columns(vocabulary: Vocabulary, device: torch.device) -> tuple[Tensor, Tensor]:
    """Positions of the OOP and of the IP names."""
    oop = torch.tensor(vocabulary.oop, dtype=torch.bool, device=device)
    return oop.nonzero()[:, 0], (~oop).nonzero()[:, 0]
