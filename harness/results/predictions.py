"""Kept predictions: what a method answered for every scored image, small enough to keep for every cell.

One safetensors file per cell with up to five vectors of columns: ``oop``, ``ip``, ``joint_oop``, ``joint_ip`` and, for
IP retention, ``reference`` (zero-shot among the IP names). A method that found clusters in its pool adds
``pool_cluster`` and ``cluster_name``; where images are clustered and not named there are ``oop_cluster`` and
``ip_cluster`` instead, or ``joint_oop_cluster`` and ``joint_ip_cluster`` where both sides were clustered together.
Images are in the order of ``ScoredSide.order``, numbers in the smallest unsigned type that holds them: one or two bytes
an image. The file is named by the sha256 of its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Columns = NDArray[np.int64]

KEYS = (
    *("oop", "ip", "joint_oop", "joint_ip", "reference", "pool_cluster", "cluster_name"),
    *("oop_cluster", "ip_cluster", "joint_oop_cluster", "joint_ip_cluster"),
)

WITH_NONE = ("pool_cluster", "cluster_name")
"""Vectors in which -1 says none; they are stored one higher."""

_STORED = (np.uint8, np.uint16, np.uint32)


def pack(predicted: Mapping[str, NDArray[np.integer]]) -> bytes:
    """The file's content; equal predictions give equal bytes."""
    from safetensors.numpy import save

    return save({key: _smallest(predicted[key] + _shift(key)) for key in KEYS if key in predicted})


def unpack(content: bytes) -> dict[str, Columns]:
    """The vectors of a file.

    Raises:
        ValueError: it is damaged, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found = load(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"no safetensors file: {error}") from None
    for key, values in found.items():
        if key not in KEYS or values.ndim != 1 or values.dtype not in _STORED:
            raise ValueError(f"{key!r} is no vector of predictions")
    if not {"oop", "oop_cluster", "joint_oop_cluster"} & found.keys():
        raise ValueError("it has no predictions of the OOP images")
    return {key: found[key].astype(np.int64) - _shift(key) for key in KEYS if key in found}


def digest(content: bytes) -> str:
    """sha256 of a file's content: its name, and what stands in the cell and in the row."""
    return hashlib.sha256(content).hexdigest()


def _shift(key: str) -> int:
    return int(key in WITH_NONE)


def _smallest(values: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    highest = int(values.max(initial=0))
    if int(values.min(initial=0)) < 0 or highest > np.iinfo(np.uint32).max:
        raise ValueError("predictions are columns: not negative, and below 2**32")
    return values.astype(next(t for t in _STORED if highest <= np.iinfo(t).max))
