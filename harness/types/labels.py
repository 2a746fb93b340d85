"""The labels of one domain: its scored images, identified by content, with their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast, Field, model_validator
from typing_extensions import Self

from harness.types.cell import Record

UNREADABLE = "unreadable"
"""Replaces the sha256 of a file that cannot be read."""

COPY = "copy"
"""Replaces the sha256 of an image that is not scored because a train or val image of the domain has the same bytes."""


def name_with_side(name: str, side: str) -> str:
    """A class name with its side, for lists of both sides: ``turkey (OOP)``."""
    return f"{name} ({side.upper()})"


Texts = Annotated[tuple[str, ...], FailFast()]
"""A long list; the first wrong entry ends reading it."""


class ScoredSide(Record):
    """The labelled images of one part of one side, in the order of the split file.

    ``paths``, ``sha256`` and ``labels`` are aligned.
    """

    folder: str
    names: Texts = Field(description="position = label")
    paths: Texts = Field(description="relative to the folder, in Unicode form NFC")
    sha256: Texts = Field(description="of the bytes; 'unreadable' or 'copy' for one that is not scored")
    labels: Annotated[tuple[int, ...], FailFast()]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not len(self.paths) == len(self.sha256) == len(self.labels):
            raise ValueError("paths, sha256 and labels differ in length")
        if any(not 0 <= label < len(self.names) for label in self.labels):
            raise ValueError("a label has no name")
        return self

    def order(self, unreadable: Collection[str] = ()) -> list[int]:
        """Positions of the encoded images in the order of predictions: by sha256, then by path.

        Args:
            unreadable: ``folder/path`` of images that cannot be decoded.
        """
        where = [f"{self.folder}/{path}" for path in self.paths]
        left_out = {UNREADABLE, COPY}
        scored = [i for i, d in enumerate(self.sha256) if d not in left_out and where[i] not in unreadable]
        return sorted(scored, key=lambda i: (self.sha256[i], where[i]))

    def scored_labels(self, unreadable: Collection[str] = ()) -> NDArray[np.int64]:
        """Labels ``(n,)`` of the encoded images, in the order of predictions."""
        return np.asarray([self.labels[i] for i in self.order(frozenset(unreadable))], dtype=np.int64)


class LabelSheet(Record):
    """All labels of one domain. Their sha256 is the fingerprint of the domain's data.

    So labels can be checked against the fingerprint of a leaderboard row without the images.
    """

    format: Literal["laion-beyond-labels/1"] = "laion-beyond-labels/1"
    domain: str
    other: str = Field(description="sha256 over everything that is not scored: train and val parts, captions, the noun")
    sides: dict[str, ScoredSide] = Field(description="the test parts: oop and, where the data have it, ip")
    pool: ScoredSide | None = Field(default=None, description="the OOP train part: the pool called train-unlabeled")
    copies_of_ip: Texts = Field(
        default=(), description="sha256 of the scored images with the same bytes as an IP train image"
    )

    def text(self) -> str:
        """The file's content."""
        return self.model_dump_json() + "\n"

    @property
    def left_out(self) -> int:
        """Number of images that are not scored because they are copies of train or val images."""
        return sum(side.sha256.count(COPY) for side in self.sides.values())

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the file's content."""
        return hashlib.sha256(self.text().encode()).hexdigest()
