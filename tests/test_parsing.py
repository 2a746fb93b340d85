"""Content that is damaged or hostile: bounded before it is parsed, and refused with one named error."""

from __future__ import annotations

import json
import lzma
import time
import zipfile
import zlib

import pytest
from pydantic import ValidationError

from harness.errors import DataError, StorageError, UserError
from harness.parsing import MAX_FIELDS, parse_json, parse_record, parsing, unique_keys
from harness.types.labels import LabelSheet


def invalid_record() -> ValidationError:
    with pytest.raises(ValidationError) as error:
        LabelSheet.model_validate_json("{}")
    return error.value


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("of  many\nlines \x1b[31m"), r"of many lines \x1b[31m"),
        (json.JSONDecodeError("Expecting value", "x", 0), "expecting value (line 1, column 1)"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), "it is not UTF-8 text"),
        (RecursionError("maximum"), "it is nested too deeply"),
        (KeyError("feature"), "it has no 'feature'"),
        (OverflowError("too large"), "too large"),
        (AssertionError(), "AssertionError"),
        (zipfile.BadZipFile("bad"), "bad"),
        (lzma.LZMAError("corrupt"), "corrupt"),
        (zlib.error("invalid"), "invalid"),
        (invalid_record(), "domain: field required"),
    ],
)
def test_whatever_a_parser_raises_is_one_named_error(error: Exception, reason: str) -> None:
    with pytest.raises(DataError) as found, parsing("a.json is damaged", "get it again"):
        raise error
    assert (found.value.message, found.value.hint) == (f"a.json is damaged: {reason}", "get it again")


def test_named_errors_and_interruptions_pass() -> None:
    for error in (UserError("another"), KeyboardInterrupt()):
        with pytest.raises(type(error)), parsing("a.json is damaged"):
            raise error


def test_a_lack_of_memory_is_not_called_damage_alone() -> None:
    with pytest.raises(StorageError, match="there is not enough memory"), parsing("a.json is damaged"):
        raise MemoryError


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 1000, "recursion limit"),
        (b"[1", "EOF"),
        (b'"\xff"', "invalid unicode"),
        (b"9" * 5000, "number out of range"),
        (b"[" + b"0," * 2000 + b"0]", "more than 1,000 values"),
    ],
)
def test_json_of_any_content_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=f"^it is damaged: .*{reason}"):
        parse_json(content, "it is damaged", max_values=1000)


def test_a_byte_order_mark_is_no_damage() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": [1]}', "it is damaged") == {"a": [1]}


@pytest.mark.parametrize("what", ["more", "sides"])
def test_a_record_with_many_wrong_fields_is_refused_before_they_are_listed(what: str) -> None:
    wrong = ",".join(f'"{number}":0' for number in range(MAX_FIELDS + 1))
    content = f'{{"{what}":{{{wrong}}}}}'.encode()
    began = time.monotonic()
    with pytest.raises(DataError, match="more than 131,072 fields"):
        parse_record(LabelSheet, content, "labels are damaged", max_values=1 << 22)
    assert time.monotonic() - began < 5


def test_a_long_wrong_list_ends_at_its_first_wrong_entry() -> None:
    side = '{"folder":"x","names":[],"paths":[' + "0," * 300_000 + '0],"sha256":[],"labels":[]}'
    content = f'{{"domain":"x","other":"x","sides":{{"oop":{side}}}}}'.encode()
    began = time.monotonic()
    with pytest.raises(DataError, match=r"sides\.oop\.paths\.0: input should be a valid string"):
        parse_record(LabelSheet, content, "labels are damaged", max_values=1 << 22)
    assert time.monotonic() - began < 5


def test_repeated_keys_are_found_in_linear_time() -> None:
    many = ",".join(f'"{number}":0' for number in range(200_000))
    began = time.process_time()
    with pytest.raises(DataError, match="key '0' occurs twice"):
        parse_json(f'{{{many},"0":1}}'.encode(), "it is damaged", parse=unique_keys)
    assert time.process_time() - began < 5
