"""What the process that runs a cell gets: a method to make, tasks to fit it on, and images to score.

Nothing else reaches that process: no label, path, sha256 or number of a scored image, and no order that says anything.
Arrays are of numpy, because they are pickled on their way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from harness.backbones.backbone import Backbone
from harness.prompts import Template
from harness.runner.request import MethodChoice
from harness.types.task import Support, Task
from harness.types.vocabulary import Vocabulary

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class SupportInput:
    """Labelled images: ``(n, v, d)`` features, ``(n,)`` labels, and captions where they are a declared need."""

    image: FloatArray
    label: NDArray[np.int64]
    captions: tuple[str | None, ...] | None = None

    def on(self, device: torch.device) -> Support:
        """The same on a device."""
        image, label = torch.from_numpy(self.image).to(device), torch.from_numpy(self.label).to(device)
        return Support(image, label, self.captions)


@dataclass(frozen=True)
class TaskInput:
    """A ``Task`` without what the process has itself: the text tower, the generator and the device."""

    seed: int
    noun: str
    template: Template
    shots: int = 0
    names: tuple[str, ...] | None = None
    ip_names: int = 0
    support: SupportInput | None = None
    validation: SupportInput | None = None
    unlabeled: FloatArray | None = None
    ip: SupportInput | None = None
    clusters: int | None = None

    def task(self, backbone: Backbone) -> Task:
        """The task, on the backbone's device."""
        generator = torch.Generator()  # of the CPU: a seed draws the same on every device
        generator.manual_seed(self.seed)
        given = (self.support, self.validation, self.ip)
        support, validation, ip = (each.on(backbone.device) if each else None for each in given)
        return Task(
            noun=self.noun,
            text=backbone.text,
            logit_scale=backbone.logit_scale,
            generator=generator,
            device=backbone.device,
            template=self.template,
            shots=self.shots,
            _support=support,
            _validation=validation,
            _unlabeled=None if self.unlabeled is None else torch.from_numpy(self.unlabeled).to(backbone.device),
            _ip=ip,
            _clusters=self.clusters,
            _names=self.names,
            _ip_names=self.ip_names,
        )


@dataclass(frozen=True)
class Query:
    """Images to score: of both sides, mixed, all of them against every vocabulary, so that nothing tells the side.

    Attributes:
        image: ``(n, d)`` unit rows, the test views.
        vocabularies: ``joint``, ``oop``, ``ip`` -> the names, in the order in which they are asked for.
    """

    image: FloatArray
    vocabularies: dict[str, Vocabulary]


@dataclass(frozen=True)
class CellInput:
    """The input of the process that runs a cell.

    Attributes:
        method: how to make the method.
        seed: of the global generators, for a method that forgets ``Task.generator``.
        tasks: what to fit it on, each time anew.
        query: the images to score after the only fit; None where clusters of the tasks' images are asked for.
    """

    method: MethodChoice
    seed: int
    tasks: tuple[TaskInput, ...]
    query: Query | None = None


def as_floats(image: torch.Tensor) -> FloatArray:
    """A copy of features as an array."""
    return np.array(image.detach().cpu().numpy(), dtype=np.float32, order="C", copy=True)
