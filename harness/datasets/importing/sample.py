"""What every reader of a source returns: labelled images whose bytes are read later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.types.split import Part


@dataclass(frozen=True, slots=True)
class ImageSample:
    """One labelled image of a source.

    Attributes:
        where: its place in messages, such as ``cat/1.jpg`` or ``row 17``.
        file: its file name; need not be unique.
        classname: its class, as written in the source.
        read: returns its bytes; raises DataError if they cannot be read.
        part: the part that the source states, or None.
        caption: its caption, or None.
        path: its own file, if it has one.
    """

    where: str
    file: str
    classname: str
    read: Callable[[], bytes]
    part: Part | None = None
    caption: str | None = None
    path: Path | None = None


@dataclass(frozen=True)
class Source:
    """The content of a source, in its order.

    Attributes:
        kind: what it is, such as ``image folder``.
        samples: its images.
        notes: sentences about what is left out.
    """

    kind: str
    samples: tuple[ImageSample, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """Names of the columns or fields of a source that has them."""

    image: str = "image"
    classname: str = "class"
    split: str = "split"
    caption: str = "caption"
