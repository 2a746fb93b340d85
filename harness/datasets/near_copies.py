"""Near copies: the same picture in two files of different quality, size or format, found by a perceptual hash.

The hash is pHash (Zauner, *Implementation and Benchmarking of Perceptual Image Hash Functions*, 2010): the signs of the
lowest frequencies of a small grey image relative to their median, here 255 of them. For drawings of the miniature a
copy at JPEG quality 50, at half or at double the size differs in at most 26 bits, another picture in at least 42.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_BITS = 30
"""Maximum number of differing bits of the hashes of near copies."""

MAX_GREY_DIFFERENCE = 12.0
"""Maximum mean difference of grey levels of near copies; needed because hashes of flat images are noise."""

_SIZE, _FREQUENCIES, _BYTES = 32, 16, 32
_ROWS = 1024  # scored images per comparison

_STEP = np.arange(_SIZE)
_COSINES = np.cos(np.pi * (2 * _STEP[None] + 1) * _STEP[:_FREQUENCIES, None] / (2 * _SIZE)).astype(np.float32)


class NearPair(NamedTuple):
    """Positions of two signatures, and the number of bits in which their hashes differ."""

    scored: int
    other: int
    bits: int


def image_signature(image: Image.Image) -> bytes:
    """The signature of an image: its hash (32 bytes) and its 16 x 16 grey levels (256 bytes)."""
    small = image.convert("L").resize((_SIZE, _SIZE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    grey = np.asarray(small, dtype=np.float32)
    waves = (_COSINES @ grey @ _COSINES.T).ravel()[1:]  # the first is the mean
    bits: bytes = np.packbits(np.append(waves > np.median(waves), False)).tobytes()
    half: bytes = grey.reshape(_FREQUENCIES, 2, _FREQUENCIES, 2).mean(axis=(1, 3)).round().astype(np.uint8).tobytes()
    return bits + half


def find_near_copies(scored: Sequence[bytes], others: Sequence[bytes]) -> Iterator[NearPair]:
    """Yield for each scored signature the nearest of the others, if both may show one picture.

    Compares all pairs by matrix products: a few seconds for the largest domain of LAION-Beyond.
    """
    if not others:
        return
    signs, grey = _unpack(others)
    for start in range(0, len(scored), _ROWS):
        own, own_grey = _unpack(scored[start : start + _ROWS])
        product = own @ signs.T
        nearest = product.argmax(axis=1)
        for i, j in enumerate(nearest.tolist()):
            bits = int(signs.shape[1] - product[i, j]) // 2
            if bits <= MAX_BITS and np.abs(own_grey[i] - grey[j]).mean() <= MAX_GREY_DIFFERENCE:
                yield NearPair(start + i, j, bits)


def _unpack(signatures: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hashes as -1 and 1, and grey levels, ``(n, 256)`` each."""
    values = np.frombuffer(b"".join(signatures), dtype=np.uint8).reshape(len(signatures), -1)
    bits = np.unpackbits(values[:, :_BYTES], axis=1).astype(np.float32)
    return 2 * bits - 1, values[:, _BYTES:].astype(np.float32)
