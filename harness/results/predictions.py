"""Stored predictions: what a method answered for every scored image.

One safetensors file per cell with a vector for each of the ``harness.metrics.prediction_kinds`` that the cell has.
Images are in the order of ``ScoredSide.order``, numbers in the smallest unsigned type that holds them: one or two bytes
an image, eleven for all kinds of a cell that is scored by names. The file is named by the sha256 of its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.metrics.confidence import EVEN
from harness.metrics.prediction_kinds import PREDICTIONS, Columns
from harness.parsing import parsing

MAX_BYTES = 1 << 25
"""Largest file: a million images with all kinds of predictions. In memory they take four or eight times that."""

MAX_PAIRS = 1 << 24
"""Most pairs of a cluster and a name that one naming of the clusters chooses from."""

_STORED = (np.uint8, np.uint16, np.uint32)


def pack(predicted: Mapping[str, NDArray[np.integer]]) -> bytes:
    """The file's content; equal predictions give equal bytes."""
    from safetensors.numpy import save

    return save({key: _smallest(predicted[key] + _shift(key)) for key in PREDICTIONS if key in predicted})


def unpack(content: bytes) -> dict[str, Columns]:
    """The vectors of a file.

    Raises:
        DataError: it is damaged or incomplete, or holds something else.
    """
    from safetensors.numpy import load

    if len(content) > MAX_BYTES:
        raise DataError(f"it has more than {MAX_BYTES:,} bytes")
    with parsing("it is no safetensors file"):
        found = load(content)
    for key, values in found.items():
        if key not in PREDICTIONS or values.ndim != 1 or values.dtype not in _STORED:
            raise DataError(f"{key!r} is not a vector of predictions")
    for key in (key for key in PREDICTIONS if key in found):  # a file lists its vectors in no fixed order
        if missing := [other for other in PREDICTIONS[key].requires if other not in found]:
            raise DataError(f"it has {key} without {missing[0]}")
    if all(PREDICTIONS[key].side != "oop" for key in found):
        raise DataError("it has no predictions of the OOP images")
    return {key: _columns(found[key], _shift(key)) for key in PREDICTIONS if key in found}


def misfits(predicted: Mapping[str, Columns], labels: Mapping[str, Columns], names: Mapping[str, int]) -> Iterator[str]:
    """Why predictions cannot be of these images and names, so that no metric follows from them.

    Args:
        predicted: by the keys of ``PREDICTIONS``.
        labels: ``oop``, ``ip`` and ``pool`` -> labels of the images, where there are any.
        names: ``oop`` and ``ip`` -> how many names there are.
    """
    for key, columns in predicted.items():
        kind = PREDICTIONS[key]
        if kind.side not in labels:
            yield f"have {key}, but there are no {kind.side} images"
        elif not kind.of_clusters and len(columns) != len(labels[kind.side]):
            yield f"are of {len(columns)} {key} images, but there are {len(labels[kind.side])}"
        elif kind.holds == "names":
            known = sum(names.values()) if kind.joint else names["ip" if kind.side == "ip" else "oop"]
            if (highest := int(columns.max(initial=-1))) >= known:
                yield f"name column {highest} of {known} {key} names"
        elif kind.holds == "confidences" and int(columns.max(initial=0)) >= 2 * EVEN:
            yield f"have {key} entries that are no confidences"
        elif key == "pool_cluster" and int(columns.max(initial=-1)) >= len(predicted["cluster_name"]):
            yield "have clusters that have no place among the names"
        elif _named(key, columns) * sum(names.values()) > MAX_PAIRS:
            yield f"have too many {key} entries for {sum(names.values())} names"


def digest(content: bytes) -> str:
    """sha256 of a file's content: its name, and how the cell and the row refer to it."""
    return hashlib.sha256(content).hexdigest()


def _columns(stored: NDArray[np.unsignedinteger], shift: int) -> Columns:
    columns = stored.astype(np.int64)
    columns -= shift
    columns.setflags(write=False)
    return columns


def _named(key: str, columns: Columns) -> int:
    """How many clusters need a name."""
    kind = PREDICTIONS[key]
    return len(columns) if kind.of_clusters else len(np.unique(columns)) if kind.holds == "clusters" else 0


def _shift(key: str) -> int:
    """One where -1 says none: unsigned numbers begin at 0."""
    return int(PREDICTIONS[key].none)


def _smallest(values: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    highest = int(values.max(initial=0))
    if int(values.min(initial=0)) < 0 or highest > np.iinfo(np.uint32).max:
        raise ValueError("predictions are columns: not negative, and below 2**32")
    return values.astype(next(t for t in _STORED if highest <= np.iinfo(t).max))
