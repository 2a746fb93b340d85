"""Report of a check of a LAION-Beyond root, as JSON records."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.datasets.disk import ProblemKind
from harness.types.cell import Record
from harness.types.split import Part, Side

Across = Literal["images of a part", "parts", "sides", "domains"]
"""Where copies of an image occur: in one part, in two parts of a folder (leakage), on both sides, in two domains."""


class Problem(Record):
    """A problem that makes an image or a folder unusable.

    Attributes:
        path: relative to the folder.
        kind: the kind of problem.
        reason: a sentence.
    """

    path: str
    kind: ProblemKind
    reason: str


class FolderReport(Record):
    """One ``{Domain}{N}_{side}`` folder.

    Attributes:
        concepts: the number in the folder's name.
        classes: classes in the split file.
        images: number of listed images of each part.
        captions: number of images with a caption.
        captions_with_name: captions that contain their class name as whole words, ignoring case.
        unlisted: files under ``images/`` that are in no part.
        notes: sentences about harmless differences.
    """

    folder: str
    domain: str
    side: Side
    concepts: int
    classes: int = 0
    images: dict[Part, int] = Field(default={})
    captions: int = 0
    captions_with_name: int = 0
    problems: tuple[Problem, ...] = ()
    unlisted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Duplicates(Record):
    """Images with the same bytes; paths are relative to the root."""

    sha256: str
    paths: tuple[str, ...]
    across: tuple[Across, ...]


class NearCopy(Record):
    """A test image that probably shows the same picture as a train or val image of its domain.

    Attributes:
        test: path of the test image, relative to the root.
        other: path of the other image, relative to the root.
        bits: number of differing bits of the perceptual hashes, of 255.
    """

    test: str
    other: str
    bits: int


class NameCollision(Record):
    """Classes of one folder whose names are the same after clean-up."""

    folder: str
    name: str
    classes: tuple[str, ...]


class TokenCollision(Record):
    """Names of one domain, of one side or both, with the same tokens.

    Attributes:
        names: ``folder: name`` of each.
    """

    domain: str
    names: tuple[str, ...]


class TruncatedName(Record):
    """A name that does not fit into the text tower's context.

    Attributes:
        tokens: positions that the prompt needs up to the end of the name, start and end token included.
        context_length: available positions.
    """

    folder: str
    name: str
    tokens: int
    context_length: int


class CheckReport(Record):
    """The report of a whole root."""

    root: str
    dataset: str
    folders: tuple[FolderReport, ...]
    duplicates: tuple[Duplicates, ...] = ()
    near_copies: tuple[NearCopy, ...] = ()
    name_collisions: tuple[NameCollision, ...] = ()
    token_collisions: tuple[TokenCollision, ...] = ()
    truncated: tuple[TruncatedName, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is no problem that makes results wrong.

        Copies within one part, files in no part and notes do not count: they cause no leakage and no wrong name. Near
        copies do not count either: a person has to judge them.
        """
        leaks = any(set(found.across) - {"images of a part"} for found in self.duplicates)
        problems = any(folder.problems for folder in self.folders)
        return not (leaks or problems or self.name_collisions or self.token_collisions or self.truncated)

    def rows(self) -> list[dict[str, str | int]]:
        """One table row of counts per folder; keys are the column titles."""
        return [
            {
                "folder": found.folder,
                "classes": found.classes,
                "train": found.images.get("train", 0),
                "val": found.images.get("val", 0),
                "test": found.images.get("test", 0),
                "captions": found.captions,
                "with name": found.captions_with_name,
                "problems": len(found.problems),
                "unlisted": len(found.unlisted),
                "copies": sum(path.startswith(f"{found.folder}/") for same in self.duplicates for path in same.paths),
            }
            for found in self.folders
        ]
