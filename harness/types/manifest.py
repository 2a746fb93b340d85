"""The images of one few-shot draw, as a plain text file that can be published and checked."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast

from harness.progress import pluralize
from harness.types.split import Part, TrainOn


class Pick(BaseModel):
    """One drawn image: its path in the folder (Unicode form NFC), its label and the sha256 of its bytes.

    In a draw from both sides the label identifies the folder: IP labels follow the OOP labels.
    """

    model_config = ConfigDict(frozen=True)
    part: Part
    path: str
    label: int
    sha256: str


def draw_title(domain: str, shots: int, seed: int) -> str:
    """A few-shot draw in words: ``Food, 4 shots, seed 1``."""
    return f"{domain}, {pluralize(shots, 'shots')}, seed {seed}"


class Manifest(BaseModel):
    """One few-shot draw of one domain.

    The file is JSON with sorted content and no time stamp, so that equal draws are equal files. ``sha256`` is
    the sha256 of that text and part of every result.
    """

    model_config = ConfigDict(frozen=True)
    format: Literal["laion-beyond-manifest/1"] = "laion-beyond-manifest/1"
    protocol: str
    domain: str
    side: TrainOn
    shots: int
    seed: int
    names: Annotated[tuple[str, ...], FailFast()]
    picks: Annotated[tuple[Pick, ...], FailFast()]

    @property
    def title(self) -> str:
        """Domain, shots and seed in words."""
        return draw_title(self.domain, self.shots, self.seed)

    def text(self) -> str:
        """The file's content."""
        return self.model_dump_json(indent=1) + "\n"

    @property
    def sha256(self) -> str:
        """sha256 of the file's content."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def picks_of_part(self, part: Part) -> tuple[Pick, ...]:
        """The picks of one part, in the order of the draw."""
        return tuple(pick for pick in self.picks if pick.part == part)
