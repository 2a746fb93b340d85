"""Counting the captions of Arrow columns: in C++, with the rare captions that it leaves over in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.corpus.character_tables import character_tables
from harness.corpus.forms import Form, forms_of
from harness.corpus.python_matcher import PythonMatcher
from harness.corpus.tally import CaptionSample, Tally, file_seed, text_seed
from harness.corpus.tokens import numbered_merges
from harness.matching import native


class ColumnMatcher:
    """Counts captions of Arrow columns; for several threads at once.

    Args:
        concepts: name -> synonyms.
        context_length: positions of the text tower, start and end token included.
        kept: captions kept as evidence for each concept.
        in_python: whether to count in Python where C++ was built, too; the counts are the same.
    """

    def __init__(
        self, concepts: Mapping[str, Sequence[str]], context_length: int, kept: int, in_python: bool = False
    ) -> None:
        forms, seeds = forms_of(concepts), [text_seed(name) for name in concepts]
        self._python = PythonMatcher(forms, seeds, context_length, kept)
        self._native: Any = None
        if native.has_cpp() and not in_python:
            self._native = native.module().CorpusMatcher(
                *character_tables(), [_packed(form) for form in forms], seeds, numbered_merges(), context_length, kept
            )

    def count(self, column: pa.Array, file: str, first_row: int, limits: NDArray[np.uint64] | None = None) -> Tally:
        """Count the captions of a column of strings.

        Args:
            column: of type ``string`` or ``large_string``; a null is a row without a caption.
            file: the path of its file.
            first_row: row of its first entry in the file.
            limits: ``Tally.limits`` of what the tally will be added to, so that other captions need not be returned.
        """
        seed = file_seed(file)
        if self._native is None:
            tally = self._python.count(_texts(column, np.arange(len(column)), first_row), file, seed)
        else:
            if limits is None:
                limits = Tally.empty(len(self._python.seeds), self._python.kept).limits()
            tally = self._count_natively(column, file, first_row, seed, limits)
        tally.rows = len(column)
        return tally

    def _count_natively(
        self, column: pa.Array, file: str, first_row: int, seed: int, limits: NDArray[np.uint64]
    ) -> Tally:
        validity, offsets, data = (buffer.address if buffer else 0 for buffer in column.buffers())
        buffers = (data, offsets, pa.types.is_large_string(column.type), validity if column.null_count else 0)
        captions, counts, concepts, keys, rows, left = self._native.count(
            *buffers, column.offset, len(column), first_row, seed, limits
        )
        tally = Tally(self._python.kept, counts, captions=captions)
        texts = _texts(column, rows - first_row, first_row)
        for concept, key, (row, caption) in zip(concepts.tolist(), keys.tolist(), texts, strict=True):
            tally.samples.setdefault(concept, []).append(CaptionSample(key, file, row, caption))
        if len(left):
            tally.add(self._python.count(_texts(column, left, first_row), file, seed))
        return tally


def _texts(column: pa.Array, positions: NDArray[np.int64], first_row: int) -> Iterator[tuple[int, str]]:
    """Rows and captions; bytes that are not UTF-8 become the replacement character."""
    binary = column.view(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
    contents = binary.take(pa.array(positions)).to_pylist()
    for row, content in zip((positions + first_row).tolist(), contents, strict=True):
        if content is not None:
            yield row, content.decode("utf-8", "replace")


def _packed(form: Form) -> tuple[int, bool, bytes, int, int, list[bytes], list[bytes]]:
    """A form for C++, which counts in bytes."""
    offset, tail = form.literal[: form.offset], form.literal[len(form.literal) - form.tail :]
    words, last = ([word.encode() for word in words] for words in (form.words, form.last))
    return form.concept, form.own, form.literal.encode(), len(offset.encode()), len(tail.encode()), words, last
