"""Base class of protocols: which images are drawn and scored, how they are decoded, and what is evaluated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from harness.prompts import Template
from harness.types.cell import Decoding
from harness.types.feature_rule import FeatureRule
from harness.types.split import Item, Part, Side, Split, TrainOn

Scoring = Literal["names", "clusters", "mixed clusters"]
Parts = Mapping[Part, Split]
Picks = dict[Part, list[Item]]


class Protocol(ABC):
    """The rule of an evaluation.

    Attributes:
        id: its name in results; rows of different protocols never share a table.
        preset: the parameter preset for methods that have it.
        template: the prompt template.
        scoring: what is evaluated: predicted names, clusters of each side, or clusters of both sides together.
        decoding: how image files become RGB: see ``harness.datasets.images.load_image``.
        features: how images become features.
        train_on: the sides whose names and labelled images methods are fitted on.
        methods: the methods that run by default.
        baseline: the method that others are compared with, None for none.
    """

    id: str
    preset: str | None = None
    template = Template()
    scoring: Scoring = "names"
    decoding: Decoding = "upright-white"
    methods: tuple[str, ...] = ("fsnl",)
    baseline: str | None = "zero_shot"
    features = FeatureRule()
    train_on: TrainOn = "oop"

    def relabel_oop(self, parts: dict[Part, Split]) -> dict[Part, Split]:
        """Replace names and labels of the OOP side if the protocol needs others; raises DataError without them."""
        return parts

    @abstractmethod
    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """Draw the few-shot images of the train and the val part, in the order of the draw."""

    def pick_sides(self, sides: Sequence[tuple[Split, Split]], shots: int, seed: int) -> list[Picks]:
        """Draw for the train and val parts of each side that methods are fitted on, OOP first."""
        return [self.pick(train, val, shots, seed) for train, val in sides]

    def scored(self, sides: Mapping[Side, Parts], list_images: Callable[[Side], Sequence[str]]) -> dict[str, Split]:
        """Side -> the images that are scored; by default its test part, if it has one.

        Args:
            sides: ``oop`` and, if the data have it, ``ip``.
            list_images: side -> the paths of all its images in the order of ``merged_mapping.json``; raises DataError.
        """
        return {side: parts["test"] for side, parts in sides.items() if parts["test"].items}
