"""What one cell came to, whichever way its protocol scores it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError, one_line
from harness.method import Method

_Answer = TypeVar("_Answer")


@dataclass
class CellScores:
    """Figures of a cell and what they rest on.

    Attributes:
        metrics: those of ``harness.types.cell.METRICS`` that apply.
        kept: what is kept of the answers, by the keys of ``harness.results.predictions``.
        images: scored images of each side.
        unreadable: images that could not be decoded.
        outcome: what the method tells of its fit.
        remarks: what of this could not be kept.
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
    remarks: list[str] = field(default_factory=list)


def report_of(method: Method, name: str) -> tuple[dict[str, Any], int, list[str]]:
    """What a fitted method reports of itself: its outcome, the numbers it learned, and what is wrong with either.

    A report is no result: what is wrong with it is remarked and left out, and the metrics stand.
    """
    remarks: list[str] = []

    def ask(what: str, answer: Callable[[], _Answer], instead: _Answer) -> _Answer:
        try:
            return answer()
        except MethodError as error:
            remarks.append(error.message)
        except (Exception, SystemExit) as error:
            remarks.append(f"{name}.{what} raised {type(error).__name__}: {one_line(error)[:300]}")
        return instead

    outcome: dict[str, Any] = ask("outcome", lambda: checked_json(method.outcome(), name), {})
    return outcome, ask("trainable", lambda: checked_count(method.trainable(), name), 0), remarks


def checked_json(outcome: Any, name: str) -> dict[str, Any]:
    """What a method tells of its fit, as it will be read back; NaN and infinity, which JSON lacks, become words.

    Raises:
        MethodError: it is no dictionary, or cannot be kept as JSON.
    """
    try:
        text = json.dumps(outcome, ensure_ascii=False)
        text.encode()  # half a surrogate pair is text to Python, and to no file
        made = json.loads(text, parse_constant=lambda word: str(float(word)))
    except (TypeError, ValueError, RecursionError) as error:
        raise MethodError(f"{name}.outcome cannot be kept as JSON: {error}", "return plain numbers and texts") from None
    if not isinstance(made, dict):
        raise MethodError(f"{name}.outcome returned {type(outcome).__name__}; it must be a dictionary")
    return made


def checked_count(trainable: Any, name: str) -> int:
    """How many numbers a method says it learned.

    Raises:
        MethodError: it is no number of things.
    """
    if not isinstance(trainable, Integral) or trainable < 0:
        raise MethodError(f"{name}.trainable returned {trainable!r}", "return a whole number from 0 on")
    return int(trainable)
