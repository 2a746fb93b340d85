"""Captions of text files: line ends, bytes that are no text, suffixes, objects without the column."""

from __future__ import annotations

import gzip

import pytest

from harness.corpus import readers
from harness.errors import DataError

from .test_count import counted


def test_lines_of_any_ending_are_captions(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 4)
    (tmp_path / "a.txt").write_bytes(b"a rose\ra wolf\r\n\r\nroses\r\r\n\nwolf")
    found = counted(tmp_path, tmp_path / "a.txt")
    assert (found.counting.rows, found.by_name["rose"].within.folded) == (7, 2)
    assert [evidence.row for evidence in found.by_name["wolf"].evidence] in ([1, 6], [6, 1])


@pytest.mark.parametrize("content", [gzip.compress(b"a rose"), "a rose".encode("utf-16")], ids=["gzip", "utf-16"])
def test_bytes_that_are_no_text_are_not_searched(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.txt is (gzip|UTF-16), not text in UTF-8"):
        counted(tmp_path, tmp_path / "a.txt")


def test_suffixes_of_compression_are_read_in_any_case(tmp_path):
    (tmp_path / "A.TXT.GZ").write_bytes(gzip.compress(b"a rose"))
    assert counted(tmp_path, tmp_path / "A.TXT.GZ").by_name["rose"].verdict == "ip"


def test_objects_may_lack_the_column(tmp_path):
    (tmp_path / "a.jsonl").write_text('\n{"id": 1}\n{"id": 2, "caption": "a rose"}\n')
    found = counted(tmp_path, tmp_path / "a.jsonl")
    assert (found.counting.rows, found.counting.captions, found.by_name["rose"].verdict) == (2, 1, "ip")
