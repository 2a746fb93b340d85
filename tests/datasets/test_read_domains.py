"""Domains that cannot be read are left out with a note, or end the run with one error."""

from __future__ import annotations

import pytest

from harness.datasets.read_domains import read_domains
from harness.errors import DataError
from harness.progress import NullReporter


class Notes(NullReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Locked:
    def read(self, name: str):
        raise DataError(f"{name} cannot be read: Permission denied")


def test_an_error_that_ends_the_run_is_not_also_a_note() -> None:
    report = Notes()
    with pytest.raises(DataError, match="Food cannot be read"):
        read_domains(Locked(), ["Food", "Plants"], report)
    assert report.notes == ["Plants is left out: Plants cannot be read: Permission denied"]
