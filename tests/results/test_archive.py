"""Submissions from anywhere: what they may hold is bounded before anything is unpacked."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.results import archive
from harness.results.archive import Archive
from harness.results.artifacts import open_file

from ..leaderboard.results import Lab


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return buffer.getvalue()


def refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(DataError, match=reason):
        open_file(path)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_small_archive_that_unpacks_to_much_is_refused(tmp_path: Path, method: int) -> None:
    content = packed({"leaderboard.json": b"[" + b"0," * (1 << 22) + b"0]"}, method)
    assert len(content) < 5000
    refused(tmp_path, content, "is a damaged archive: its members are not packed with deflate")


def test_the_declared_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED", 1000)
    refused(tmp_path, packed({"a": b"0" * 600, "b": b"0" * 600}), "its members take more than 1,000 bytes")


def test_a_member_that_is_larger_than_it_declares_is_missing(tmp_path: Path) -> None:
    content = packed({"a": b"0" * 5000})
    (tmp_path / "a.zip").write_bytes(content.replace(struct.pack("<L", 5000), struct.pack("<L", 50)))
    assert Archive(tmp_path / "a.zip").read("a") is None


def test_the_number_of_members_is_bounded_before_they_are_listed(tmp_path: Path) -> None:
    members = packed({str(number): b"" for number in range(archive.MAX_MEMBERS + 1)})
    refused(tmp_path, members, "it has more than 10,000 members")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    content = packed({"leaderboard.json": b"{}", "leaderboard.jsom": b"[]"}).replace(b"jsom", b"json")
    refused(tmp_path, content, "two members have one name")


def test_versions_and_names_that_zip_does_not_know_are_sentences(tmp_path: Path) -> None:
    content = bytearray(packed({"leaderboard.json": b"{}"}))
    entry = content.index(b"PK\x01\x02")
    version = bytes(content[: entry + 6]) + b"\x63\0" + bytes(content[entry + 8 :])
    refused(tmp_path, version, "is a damaged archive: zip file version 9.9")
    name = bytes(content[: entry + 8]) + b"\0\x08" + bytes(content[entry + 10 :])
    refused(tmp_path, name[: entry + 46] + b"\xff" + name[entry + 47 :], "is a damaged archive: it is not UTF-8 text")


def test_an_archive_of_many_rows_or_deep_nesting_is_refused(tmp_path: Path) -> None:
    rows = b'{"schema_version": 1, "rows": [' + b"0," * (1 << 22) + b"0]}"
    refused(
        tmp_path, packed({"leaderboard.json": rows}), "is not a valid leaderboard: it has more than 4,194,304 values"
    )
    refused(tmp_path, packed({"leaderboard.json": b"[" * (1 << 21)}), "is not a valid leaderboard: recursion limit")


def test_a_row_that_names_one_file_again_and_again_is_refused(
    tmp_path: Path, shared_lab: Lab, harness: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.results.artifacts.MAX_REFERENCED", 1 << 16)
    row = shared_lab.row("fsnl")
    data = dict(row.data)
    name, domain = data.popitem()
    digest = next(filter(None, domain.predictions.values()))
    path = f"predictions/{digest[:2]}/{digest}.safetensors"
    content = (shared_lab.out / path).read_bytes()
    seeds = {str(seed): digest for seed in range((1 << 16) // len(content) + 1)}
    changed = domain.model_copy(update={"predictions": seeds})
    board = shared_lab.board.model_copy(
        update={"rows": (row.model_copy(update={"data": {**data, name: changed}}),)}
    ).text()
    refused(
        tmp_path, packed({"leaderboard.json": board.encode(), path: content}), "names the same files again and again"
    )
