"""Captions of a file as Arrow columns, in blocks: parquet, CSV, TSV, JSON lines and plain text, with bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from harness.corpus.caption_files import CaptionSource
from harness.errors import DataError, UserError
from harness.parsing import parsing

COLUMNS = ("caption", "text")
"""Columns that are taken without being named, in any case; the first that a file has."""

BLOCK_BYTES = 1 << 23
"""Bytes of text that are read at once."""

BATCH_ROWS = 1 << 17
"""Rows of parquet that are decoded at once."""

_OBJECTS = 100  # of JSON lines, whose keys are the columns

_LONGEST_LINE = 8 * BLOCK_BYTES

_NOT_TEXT = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""First bytes of files -> what they are; a count of their bytes as text would find no name."""


@dataclass(frozen=True)
class Block:
    """A part of a file.

    Attributes:
        first_row: its first row in the file.
        columns: gives its captions, one array of strings after another; parquet is decoded only then, in any thread.
    """

    first_row: int
    columns: Callable[[], Iterator[pa.Array]]


def read_blocks(source: CaptionSource, column: str | None) -> Iterator[Block]:
    """The blocks of a file, in their order.

    Args:
        source: the file.
        column: the column of the captions; None for the first of ``COLUMNS``.

    Raises:
        DataError: it is damaged.
        StorageError: it cannot be read.
        UserError: it has no such column.
    """
    if source.format == "parquet":
        yield from _parquet_blocks(source, column)
        return
    row = 0
    arrays = {"csv": _csv_arrays, "tsv": _csv_arrays, "jsonl": _json_arrays, "txt": _text_arrays}[source.format]
    with _reading(source):
        _require_text(source)
        for array in arrays(source, column):
            yield Block(row, lambda array=array: iter([array]))  # type: ignore[misc]
            row += len(array)


def parquet_rows(sources: Sequence[CaptionSource]) -> int | None:
    """The rows of parquet files on this machine, from their footers; None if not all files are such."""
    import pyarrow.parquet as pq

    rows = 0
    for source in sources:
        if source.format != "parquet" or source.system is not None:
            return None
        try:
            with source.stream() as file:
                rows += pq.read_metadata(file).num_rows
        except Exception:  # a damaged file is reported when it is its turn
            return None
    return rows


@contextmanager
def _reading(source: CaptionSource) -> Iterator[None]:
    with parsing(f"{source.path} is damaged or is something else", "get it again, or leave it out with --keep-going"):
        yield


def _choose(column: str | None, names: Sequence[str], source: CaptionSource) -> str:
    if column is None:
        lowered = {name.lower(): name for name in reversed(names)}
        column = next((lowered[name] for name in COLUMNS if name in lowered), None)
    if column is None or column not in names:
        wanted = f"column {column!r}" if column else f"column {' or '.join(COLUMNS)}"
        shown = ", ".join(names) or "none"
        raise UserError(f"{source.path} has no {wanted}: its columns are {shown}", "choose one with --column")
    if names.count(column) > 1:
        raise UserError(f"{source.path} has several columns {column!r}", "rename them, or choose another with --column")
    return column


def _strings(array: pa.Array, source: CaptionSource, column: str) -> pa.Array:
    """An array of type string or large_string, without a copy where it is one."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        array = array.cast(pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary())
        kind = array.type
    if pa.types.is_binary(kind):
        return array.view(pa.string())
    if pa.types.is_large_binary(kind):
        return array.view(pa.large_string())
    if pa.types.is_null(kind):
        return array.cast(pa.string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return array
    raise UserError(f"column {column} of {source.path} is of type {kind}, not text", "choose another with --column")


def _parquet_blocks(source: CaptionSource, column: str | None) -> Iterator[Block]:
    import pyarrow.parquet as pq

    with _reading(source), source.stream() as file:
        metadata = pq.read_metadata(file)
        names = metadata.schema.to_arrow_schema().names
    column = _choose(column, names, source)
    row = 0
    for group in range(metadata.num_row_groups):
        yield Block(row, lambda group=group: _parquet_arrays(source, column, group, metadata))  # type: ignore[misc]
        row += metadata.row_group(group).num_rows


def _parquet_arrays(source: CaptionSource, column: str, group: int, metadata: Any) -> Iterator[pa.Array]:
    import pyarrow.parquet as pq

    with _reading(source), source.stream() as file:
        reader = pq.ParquetFile(file, metadata=metadata, pre_buffer=False, buffer_size=1 << 20)
        for batch in reader.iter_batches(BATCH_ROWS, row_groups=[group], columns=[column], use_threads=False):
            yield _strings(batch.column(0), source, column)


def _decompressed(source: CaptionSource, file: BinaryIO) -> Any:
    # Not a file of Python where it can be avoided: Arrow reads ahead in threads, which may outlive the interpreter.
    stream = pa.OSFile(source.path) if source.system is None else pa.PythonFile(file, mode="r")
    return pa.CompressedInputStream(stream, source.compression) if source.compression else stream


def _require_text(source: CaptionSource) -> None:
    with source.stream() as file:
        head = _decompressed(source, file).read(4)
    if kind := next((kind for begin, kind in _NOT_TEXT.items() if head.startswith(begin)), None):
        raise DataError(
            f"{source.path} is {kind}, not text in UTF-8", "give it the suffix of its format, or convert it"
        )


def _csv_arrays(source: CaptionSource, column: str | None) -> Iterator[pa.Array]:
    from pyarrow import csv

    tabs = source.format == "tsv"  # which has no quoting: a quotation mark belongs to its caption

    def open_csv(file: BinaryIO, **columns: Any) -> Any:
        return csv.open_csv(
            _decompressed(source, file),
            csv.ReadOptions(block_size=BLOCK_BYTES),
            csv.ParseOptions(delimiter="\t", quote_char=False) if tabs else csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(check_utf8=False, **columns),
        )

    with source.stream() as file:
        column = _choose(column, open_csv(file).schema.names, source)
    with source.stream() as file:
        for batch in open_csv(file, include_columns=[column], column_types={column: pa.string()}):
            yield batch.column(0)


def _json_arrays(source: CaptionSource, column: str | None) -> Iterator[pa.Array]:
    from pyarrow import json as arrow_json

    with source.stream() as file:
        column = _choose(column, _first_keys(_decompressed(source, file)), source)
    with source.stream() as file:
        schema = pa.schema([(column, pa.string())])
        options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        blocks = arrow_json.ReadOptions(block_size=BLOCK_BYTES)
        for batch in arrow_json.open_json(_decompressed(source, file), blocks, options):
            yield batch.column(0)


def _first_keys(stream: Any) -> list[str]:
    """The keys of the first objects of JSON lines: an object may lack some."""
    block = stream.read(BLOCK_BYTES)
    lines = [line for line in block.splitlines()[:_OBJECTS] if line.strip()]
    if len(block) == BLOCK_BYTES and len(lines) > 1:
        lines.pop()  # it may go on in the next block
    objects = map(json.loads, lines)
    return list(dict.fromkeys(key for one in objects if isinstance(one, dict) for key in one))


def _text_arrays(source: CaptionSource, column: str | None) -> Iterator[pa.Array]:
    if column is not None:
        raise UserError(f"{source.path} is plain text without columns, and --column {column} was given")
    with source.stream() as file:
        for lines in _lines(_decompressed(source, file), source):
            yield pa.array(lines, pa.binary()).view(pa.string())


def _lines(stream: Any, source: CaptionSource) -> Iterator[list[bytes]]:
    r"""The lines of a text, in blocks; they end in \n, \r\n or \r."""
    rest = b""
    while block := stream.read(BLOCK_BYTES):
        while block.endswith(b"\r") and (following := stream.read(1)):  # perhaps the end of \r\n
            block += following
        lines = (rest + block).splitlines()
        rest = b"" if block.endswith((b"\r", b"\n")) else lines.pop()
        if len(rest) > _LONGEST_LINE:
            size = f"{_LONGEST_LINE >> 20} MiB"
            raise DataError(
                f"{source.path} has a line of more than {size}", "write each caption into a line of its own"
            )
        yield lines
    if rest:
        yield [rest]
