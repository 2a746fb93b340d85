"""Shards of the feature cache: safetensors files of rows of images, named by the sha256 of their content and a mark.

A row is all that is cached of one view of an image, such as its global features or its pixels. It is stored flat.

The sha256 is a checksum. The mark (``harness.user_key``) covers it, the encoder and the view, so that it shows which
shards this user wrote, and no shard is taken for one of another view. A shard is memory-mapped, so processes share its
pages, and closed after each read: an open mapping holds a file descriptor, and there may be more shards than a process
may have open files.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from safetensors.numpy import save

from harness.file_stamp import Stamp
from harness.files import CACHE_HINT, open_regular_file, read_error
from harness.user_key import MARK_DIGITS, has_mark, mark

UNIT = 1e-3
"""Tolerance of the length of unit rows."""

CHECKED_NUMBERS = 1 << 22
"""Numbers of a shard that are checked at once, which bounds the memory of a check."""

HEADER_BYTES = 1000
"""Bound of a header, which describes two tensors."""

GIVEN = hashlib.sha256(b"given features").hexdigest()[:32], "given features"
"""Key and description of features that a caller gave: the sha256 of an image is that of its row."""

Dtype = Literal["float32", "float16", "uint8"]
"""Type of the numbers in a shard."""

_DTYPES = {"F32": np.float32, "F16": np.float16, "U8": np.uint8}  # by their names in safetensors

_NAME = re.compile(rf"([0-9a-f]{{64}})-([0-9a-f]{{{MARK_DIGITS}}})\.safetensors")


@dataclass(frozen=True)
class RowRule:
    """What all rows of an extractor satisfy, apart from being finite.

    Attributes:
        shape: of a row before it is stored flat; None if it is not known.
        dtype: of its numbers; None if it is not known.
        unit: vectors along the last axis of a row have length 1 or 0.
    """

    shape: tuple[int, ...] | None = None
    dtype: Dtype | None = None
    unit: bool = False

    def holds(self, rows: NDArray[Any]) -> bool:
        """Whether flat rows ``(n, width)`` satisfy it."""
        if self.dtype not in (None, rows.dtype.name) or (self.shape and math.prod(self.shape) != rows.shape[1]):
            return False
        if rows.dtype == np.uint8:
            return True
        vectors = rows.reshape(-1, self.shape[-1]) if self.shape else rows
        step = max(1, CHECKED_NUMBERS // max(1, vectors.shape[1]))
        return all(self._fits(vectors[start : start + step]) for start in range(0, len(vectors), step))

    def _fits(self, vectors: NDArray[Any]) -> bool:
        numbers = vectors.astype(np.float32, copy=False)
        length = np.sqrt(np.einsum("nd,nd->n", numbers, numbers))
        return bool(np.isfinite(length).all()) and not (
            self.unit and (np.minimum(abs(length - 1), length) > UNIT).any()
        )


class CheckedShard(NamedTuple):
    """The sha256 of each image of an undamaged shard, and the stamp of the file when it was checked."""

    digests: list[bytes]
    stamp: Stamp


_Count = Annotated[int, Field(ge=0, lt=2**48)]


class _Tensor(BaseModel):
    dtype: Literal["U8", "F16", "F32"]
    shape: tuple[_Count, _Count]
    data_offsets: tuple[_Count, _Count]

    def read(self, content: mmap.mmap, start: int) -> NDArray[Any]:
        """The tensor in a file whose header ends at ``start``; ValueError if it is not all there."""
        first, last = self.data_offsets
        flat: NDArray[Any] = np.frombuffer(memoryview(content)[start + first : start + last], _DTYPES[self.dtype])
        return flat.reshape(self.shape)


class _Header(BaseModel):
    sha256: _Tensor
    feature: _Tensor


def serialize(digests: list[str], rows: NDArray[Any], place: tuple[str, str]) -> tuple[str, bytes]:
    """File name and content of a shard of n images, from hexadecimal sha256 and rows ``(n, *shape)``.

    ``place`` is the key of the rows and the name of the view.
    """
    raw = np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(-1, 32)
    content = save({"sha256": raw, "feature": np.ascontiguousarray(rows.reshape(len(rows), -1))})
    sha256 = hashlib.sha256(content).hexdigest()
    return f"{sha256}-{mark(*place, sha256)}.safetensors", content


def sha256_of_name(name: str) -> str:
    """The sha256 that the name of a shard states; '' if it is not the name of one."""
    found = _NAME.fullmatch(name)
    return found[1] if found else ""


def row_digest(row: NDArray[np.float32]) -> bytes:
    """The sha256 of a row, as little-endian float32; that of its image for features that a caller gave."""
    return hashlib.sha256(row.astype("<f4").tobytes()).digest()


def is_given(path: Path) -> bool:
    """Whether a shard is of features that a caller gave, which prove themselves."""
    return path.parent.parent.name == GIVEN[0]


def is_own(path: Path) -> bool:
    """Whether this user wrote an undamaged shard, for the encoder and the view whose folders it is in."""
    found = _NAME.fullmatch(path.name)
    return found is not None and has_mark(found[2], path.parent.parent.name, path.parent.name, found[1])


def check(path: Path, rule: RowRule) -> CheckedShard | None:
    """Check a shard's name, checksum, shapes and rows; None if it is damaged or missing.

    This comes before any other read of a shard, so that a flipped bit never changes a feature. Content that is no
    shard is damaged too, even under a name that fits.

    Raises:
        StorageError: the shard cannot be read, so its state is unknown.
    """
    name = _NAME.fullmatch(path.name)
    opened = _map_file(path) if name else None
    if name is None or opened is None:
        return None
    content, when = opened
    if hashlib.sha256(content).hexdigest() != name[1]:
        return None
    try:
        header, start = _header(content)
        digests, rows = (tensor.read(content, start) for tensor in (header.sha256, header.feature))
    except ValueError:
        return None
    fits = digests.dtype == np.uint8 and digests.shape == (len(rows), 32)
    listed = [row.tobytes() for row in digests] if fits and rule.holds(rows) else None
    if listed is None or (is_given(path) and listed != list(map(row_digest, rows))):
        return None
    return CheckedShard(listed, when)


def read_rows(path: Path, stamp: Stamp) -> NDArray[Any] | None:
    """The memory-mapped rows ``(n, width)`` of a checked shard, None if it is missing or was written to since.

    The file stays open while they are in use; only the parts that are used are read.

    Raises:
        StorageError: the shard cannot be read.
    """
    opened = _map_file(path)
    if opened is None or opened[1] != stamp:
        return None
    header, start = _header(opened[0])
    return header.feature.read(opened[0], start)


def stamp(path: Path) -> Stamp | None:
    """The stamp of a file; None if it is missing.

    Raises:
        StorageError: the file cannot be looked up.
    """
    try:
        return Stamp.of(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise read_error(path, error, CACHE_HINT) from None


def count_images(path: Path) -> int:
    """The number of images by a shard's header; 0 if it is damaged or cannot be read."""
    try:
        with open_regular_file(path) as file:
            header, start = _header(file.read(8 + HEADER_BYTES))
            end = start + max(header.feature.data_offsets[1], header.sha256.data_offsets[1])
            whole = os.fstat(file.fileno()).st_size == end
        return header.sha256.shape[0] if whole else 0
    except (OSError, ValueError):
        return 0


def _map_file(path: Path) -> tuple[mmap.mmap, Stamp] | None:
    try:
        with open_regular_file(path) as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), Stamp.of(file.fileno())
    except (FileNotFoundError, ValueError):  # ValueError: an empty file cannot be mapped
        return None
    except OSError as error:
        raise read_error(path, error, CACHE_HINT) from None


def _header(content: mmap.mmap | bytes) -> tuple[_Header, int]:
    """The header of a shard, and the position where its tensors begin.

    Raises:
        ValueError: there is no valid header.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    if start > 8 + HEADER_BYTES:
        raise ValueError("the header is too long")
    return _Header.model_validate_json(content[8:start]), start
