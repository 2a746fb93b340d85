"""What one cell came to, whichever way its protocol scores it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError


@dataclass
class Judged:
    """Figures of a cell and what they rest on.

    Attributes:
        metrics: those of ``harness.types.cell.METRICS`` that apply.
        kept: what is kept of the answers, by the keys of ``harness.leaderboard.predictions``.
        images: scored images of each side.
        unreadable: images that could not be decoded.
        outcome: what the method tells of its fit.
        fit_seconds: in ``fit``.
        score_seconds: for everything after it.
        trainable: numbers that were learned.
        per_class: accuracy of every class of each side.
        not_applicable: why only the OOP names were scored.
    """

    metrics: dict[str, float]
    kept: dict[str, NDArray[np.int64]]
    images: dict[str, int]
    unreadable: set[str]
    outcome: dict[str, Any]
    fit_seconds: float
    score_seconds: float
    trainable: int
    per_class: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    not_applicable: str | None = None


def plain(outcome: Any, name: str) -> dict[str, Any]:
    """What a method tells of its fit, as it will be read back.

    Raises:
        MethodError: it is no dictionary, or cannot be kept as JSON.
    """
    try:
        text = json.dumps(outcome, allow_nan=False, ensure_ascii=False)
        text.encode()  # half a surrogate pair is text to Python, and to no file
        made = json.loads(text)
    except (TypeError, ValueError) as error:
        raise MethodError(f"{name}.outcome cannot be kept as JSON: {error}", "return plain numbers and texts") from None
    if not isinstance(made, dict):
        raise MethodError(f"{name}.outcome returned {type(outcome).__name__}; it must be a dictionary")
    return made


def whole(trainable: Any, name: str) -> int:
    """How many numbers a method says it learned.

    Raises:
        MethodError: it is no number of things.
    """
    if not isinstance(trainable, Integral) or trainable < 0:
        raise MethodError(f"{name}.trainable returned {trainable!r}", "return a whole number from 0 on")
    return int(trainable)
