"""The description of a data folder, as JSON records."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness.datasets.check_report import Duplicates, NameCollision, TokenCollision
from harness.types.cell import Record
from harness.types.split import PARTS, Part, Side


class Spread(Record):
    """Smallest, middle and largest of some numbers."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """That of some numbers; None of none."""
        return cls(min=min(values), median=statistics.median(values), max=max(values)) if values else None

    def __str__(self) -> str:
        return f"{self.min:,g} / {self.median:,g} / {self.max:,g}"


class ClassCard(Record):
    """One class.

    Attributes:
        name: after clean-up.
        tokens: of the name alone, without start and end token.
        images: number in each part.
        captions: images with a caption.
    """

    name: str
    tokens: int
    images: dict[Part, int]
    captions: int


class FolderCard(Record):
    """One ``{Domain}{N}_{side}`` folder.

    Attributes:
        noun: what prompts call its concepts.
        captions_with_name: captions that contain their class name as whole words, ignoring case.
        size: of its image files in bytes.
        width: of its images in pixels.
        height: of its images in pixels.
        formats: number of images of each format.
        problems: sentences about entries and images that cannot be read; at most one for each.
    """

    folder: str
    domain: str
    side: Side
    noun: str
    classes: tuple[ClassCard, ...]
    captions_with_name: int
    size: int
    width: Spread | None
    height: Spread | None
    formats: dict[str, int]
    problems: tuple[str, ...] = ()

    def images(self, *parts: Part) -> int:
        """Number of images of some parts, or of all."""
        return sum(one.images[part] for one in self.classes for part in parts or PARTS)

    @property
    def captions(self) -> int:
        """Images with a caption."""
        return sum(one.captions for one in self.classes)


class DataCard(Record):
    """The description of a data folder.

    Attributes:
        duplicates: groups of images with the same bytes, and where they repeat.
        name_collisions: classes whose names are the same after clean-up.
        token_collisions: names that the tokenizer cannot distinguish.
    """

    root: str
    dataset: str
    folders: tuple[FolderCard, ...]
    duplicates: tuple[Duplicates, ...] = ()
    name_collisions: tuple[NameCollision, ...] = ()
    token_collisions: tuple[TokenCollision, ...] = ()
