"""Verification marks: which rows were verified, by whom, when and against what, in ``verified.json``.

A mark names the sha256 of the whole row as it was verified, so an edited row has none. Each verifier signs a list of
marks. Of a mark whose signature is not that of a trusted key, only the claim is known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from harness.errors import DataError
from harness.files import read_file, save
from harness.parsing import parse_record
from harness.signatures import allowed_signers, create_key, sign, signer_name
from harness.types.cell import Record

FILE = "verified.json"
MAX_BYTES = 1 << 24
MAX_VERIFIERS = 50
"""In one file; checking a signature takes about 20 ms."""

Against = Literal["data", "labels"]
"""``data``: the images' own folder was read; ``labels``: the labels that are stored with the predictions."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Mark(Record):
    """One verification of a row."""

    against: Against
    date: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")


class SignedMarks(Record):
    """The marks of one verifier. What a file says of the name and the key is a claim; the signature decides."""

    by: str = Field(pattern=r"^[\w.@+-]+$", max_length=64)
    key: str = Field(pattern=r"^[a-z0-9.@-]+ [A-Za-z0-9+/=]+$", max_length=4000)
    rows: dict[Sha256, Mark] = Field(description="sha256 of a row's content -> its mark")
    signature: str = Field(default="", max_length=10_000)

    @property
    def message(self) -> bytes:
        """What is signed: everything but the signature."""
        content = self.model_dump(mode="json", exclude={"signature"})
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


class MarksFile(Record):
    """A file of marks."""

    format: Literal["laion-beyond-verified/1"] = "laion-beyond-verified/1"
    verifiers: tuple[SignedMarks, ...] = Field(max_length=MAX_VERIFIERS)


@dataclass(frozen=True)
class Verification:
    """What is known of the verification of a row.

    Attributes:
        status: ``verified`` if a trusted key signed the mark, else ``claimed``.
        by: name of the trusted key, else the name that the file gives.
        date: year, month and day.
        against: the data, or the stored labels.
    """

    status: Literal["verified", "claimed"]
    by: str
    date: str
    against: Against

    @property
    def text(self) -> str:
        """Such as: verified by alice on 2026-03-14 against the data."""
        against = {"data": "against the data", "labels": "against stored labels"}[self.against]
        mark = f"verified by {self.by} on {self.date} {against}"
        return mark if self.status == "verified" else f"claimed: {mark}; no key that you trust has signed it"

    @property
    def _strength(self) -> tuple[bool, bool, str, str]:
        return self.status == "verified", self.against == "data", self.date, self.by


def read_marks(folder: Path) -> dict[str, Verification]:
    """Content hash of a row -> the best verification of it; empty if the file is missing or damaged."""
    allowed = allowed_signers()
    return strongest(*(_checked(one, allowed) for one in _read(folder)))


def strongest(*found: Mapping[str, Verification]) -> dict[str, Verification]:
    """For each row the best verification: by a trusted key, then against the data, then the newest."""
    best: dict[str, Verification] = {}
    for marks in found:
        for row, mark in marks.items():
            best[row] = max(best.get(row, mark), mark, key=lambda one: one._strength)
    return best


def update_marks(folder: Path, marks: Mapping[str, Mark | None]) -> str:
    """Set the user's own marks of some rows, or remove them (None), and sign; other marks are unchanged.

    A mark against the data is not replaced by one against the stored labels.

    Args:
        folder: of the leaderboard file.
        marks: by the content hash of the row.

    Returns:
        The line by which others trust these marks, for their file of allowed signers.

    Raises:
        SigningError: nothing can be signed on this machine.
        StorageError: the marks or the key cannot be written.
    """
    signer = create_key()
    stored = _read(folder)
    own = (one for one in stored if one.key == signer.key)
    signed_rows = [one.rows for one in own if signer_name(one.message, one.signature, signer.line)]
    rows = {row: mark for found in signed_rows for row, mark in found.items()}
    rows |= {row: mark for row, mark in marks.items() if mark and not (row in rows and rows[row].against == "data")}
    for row in (row for row, mark in marks.items() if mark is None):
        rows.pop(row, None)
    unsigned = SignedMarks(by=signer.name, key=signer.key, rows=dict(sorted(rows.items())))
    signed = unsigned.model_copy(update={"signature": sign(unsigned.message)})
    others = [one for one in stored if one.key != signer.key]
    content = MarksFile(verifiers=(signed, *others)[:MAX_VERIFIERS]).model_dump_json(indent=1) + "\n"
    save(folder / FILE, content.encode(), "marks of verified rows", "use --no-mark")
    return signer.line.decode().strip()


def _read(folder: Path) -> tuple[SignedMarks, ...]:
    try:
        return parse_record(MarksFile, read_file(folder / FILE, MAX_BYTES), f"{FILE} is damaged").verifiers
    except (OSError, DataError):
        return ()


def _checked(marks: SignedMarks, allowed: bytes) -> dict[str, Verification]:
    name = signer_name(marks.message, marks.signature, allowed)
    status: Literal["verified", "claimed"] = "verified" if name else "claimed"
    return {row: Verification(status, name or marks.by, mark.date, mark.against) for row, mark in marks.rows.items()}
