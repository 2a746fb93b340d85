"""What an import is asked for, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.datasets.importing.draw_parts import DEFAULT_SHARES
from harness.datasets.importing.sample import Columns
from harness.types.cell import Record
from harness.types.split import Part, Side

Sides = Mapping[str, Side | None]
"""Class -> its side; None leaves it out."""

ChooseSides = Callable[[Sequence[str]], Sides]
"""Decides the side of each class of a source."""


def all_oop(classes: Sequence[str]) -> Sides:
    """All classes are out of pre-training."""
    return dict.fromkeys(classes, "oop")


@dataclass(frozen=True)
class ImportRequest:
    """An import.

    Attributes:
        sources: as for ``read_source``.
        out: the root to create.
        domain: name of the domain.
        noun: what its concepts are called in prompts; None derives it from the domain.
        choose_sides: decides which classes are in and out of pre-training.
        columns: names of columns or fields of the source.
        images: folder that paths in a table start from; that of the table if None.
        names: file with other names for the classes.
        shares: shares of the parts in a drawn division.
        seed: of the draw.
        redraw: whether parts that the source states are ignored.
        link: whether images are hard links to their files rather than copies.
        skip_damaged: whether damaged images are left out rather than an error.
        licence: of the data, for the README.
        documents: further files of the root, path -> content.
        origin: where the data are from, for the README; the name of the source if None.
        workers: threads that read and decode images.
    """

    sources: tuple[str, ...]
    out: Path
    domain: str
    noun: str | None = None
    choose_sides: ChooseSides = all_oop
    columns: Columns = field(default_factory=Columns)
    images: Path | None = None
    names: Path | None = None
    shares: Mapping[Part, float] = field(default_factory=lambda: DEFAULT_SHARES)
    seed: int = 0
    redraw: bool = False
    link: bool = False
    skip_damaged: bool = False
    licence: str | None = None
    documents: Mapping[str, bytes] = field(default_factory=dict)
    origin: str | None = None
    workers: int = 2


class ImportedFolder(Record):
    """One folder of an imported root."""

    folder: str
    side: Side
    classes: int
    images: dict[Part, int]
    captions: int


class ImportReport(Record):
    """The result of an import.

    Attributes:
        root: the data root.
        domain: its domain.
        noun: what the domain's concepts are called in prompts.
        written: whether it was written; False if it was there, with the same content.
        folders: its folders.
        damaged: a sentence for each image that is left out because it cannot be read.
        notes: sentences about what is left out, and about copies.
    """

    root: str
    domain: str
    noun: str
    written: bool
    folders: tuple[ImportedFolder, ...]
    damaged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
