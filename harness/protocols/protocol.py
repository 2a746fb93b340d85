"""What a protocol decides: which images are drawn and scored, how they are read, and what is scored."""

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
    """A rule that poses tasks.

    Attributes:
        id: its name in results; rows of different protocols never share a table.
        preset: the parameter preset that methods run with, if they have it.
        template: the prompt template.
        scoring: what is judged: the names that a method gives scored images, clusters of each side's, or clusters of
            all together.
        decoding: how image files become RGB: see ``harness.datasets.images.load_image``.
        features: how images become features.
        train_on: whose names and labelled images methods are fitted on.
        methods: what is run when no method is named.
        baseline: the method that is set beside the others, None for none.
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
        """The OOP side's parts with the names and labels that are asked for; raises DataError if they lack them."""
        return parts

    @abstractmethod
    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """The drawn items of the train and the val part, in the order of the draw."""

    def pick_sides(self, sides: Sequence[tuple[Split, Split]], shots: int, seed: int) -> list[Picks]:
        """The same for the train and val parts of each side that methods are fitted on, OOP first."""
        return [self.pick(train, val, shots, seed) for train, val in sides]

    def scored(self, sides: Mapping[Side, Parts], listed: Callable[[Side], Sequence[str]]) -> dict[str, Split]:
        """The images of each side that are scored: its test part, where it has one.

        Args:
            sides: ``oop`` and, where the data have it, ``ip``.
            listed: side -> the paths of all its images in the order of ``merged_mapping.json``; raises DataError.
        """
        return {side: parts["test"] for side, parts in sides.items() if parts["test"].items}
