"""What the process that runs a cell gets: a method to make, tasks to fit it on, and images to score.

Nothing else reaches that process: no label, path, sha256 or number of a scored image, and no order that says anything.
Arrays are of numpy, because they are pickled on their way; large ones are in files (``image_input``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from harness.backbones.backbone import Backbone
from harness.backbones.image_towers import projection
from harness.backbones.private_copy import ModelCopies
from harness.prompts import Template
from harness.runner.image_input import ImageInput
from harness.runner.request import MethodChoice
from harness.types.images import Support
from harness.types.task import Task
from harness.types.vocabulary import Vocabulary


@dataclass(frozen=True)
class SupportInput:
    """Labelled images: n images, ``(n,)`` labels, and captions where they are a declared need."""

    images: ImageInput
    label: NDArray[np.int64]
    captions: tuple[str | None, ...] | None = None

    def support(self, backbone: Backbone) -> Support:
        """The same on the backbone's device."""
        images, label = self.images.images(backbone), torch.from_numpy(self.label).to(backbone.device)
        return Support(images.features, label, self.captions, _kinds=images._kinds, _pixels=images._pixels)


@dataclass(frozen=True)
class TaskInput:
    """A ``Task`` without what the process has itself: the model, the generator and the device."""

    seed: int
    noun: str
    template: Template
    shots: int = 0
    names: tuple[str, ...] | None = None
    ip_count: int = 0
    ip_names: tuple[str, ...] | None = None
    support: SupportInput | None = None
    validation: SupportInput | None = None
    unlabeled: ImageInput | None = None
    ip: SupportInput | None = None
    clusters: int | None = None
    texts: Mapping[str, tuple[str, ...]] | None = None
    model: bool = False
    projection: bool = False

    def task(self, backbone: Backbone) -> Task:
        """The task, on the backbone's device."""
        generator = torch.Generator()  # of the CPU: a seed draws the same on every device
        generator.manual_seed(self.seed)
        given = (self.support, self.validation, self.ip)
        support, validation, ip = (each.support(backbone) if each else None for each in given)
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
            _unlabeled=None if self.unlabeled is None else self.unlabeled.images(backbone),
            _ip=ip,
            _clusters=self.clusters,
            _names=self.names,
            _ip_count=self.ip_count,
            _ip_names=self.ip_names,
            _texts=self.texts,
            _model=ModelCopies(backbone.model, backbone.record.precision) if self.model else None,
            _projection=partial(projection, backbone) if self.projection else None,
        )


@dataclass(frozen=True)
class Query:
    """Images to score: of both sides, mixed, all of them against every vocabulary, so that nothing tells the side.

    A stream is the exception: what a method keeps of one image must not come from another side's images.

    Attributes:
        images: n images.
        vocabularies: ``joint``, ``oop``, ``ip`` -> the names, in the order in which they are asked for.
        streams: for a method that takes images one after the other: of every vocabulary the positions of its images,
            in order. None: all images at once.
    """

    images: ImageInput
    vocabularies: dict[str, Vocabulary]
    streams: dict[str, NDArray[np.int64]] | None = None


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
