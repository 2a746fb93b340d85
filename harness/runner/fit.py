"""Fit a method and collect its report; runs in the process of the cell."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from numbers import Integral
from typing import Any, TypeVar

import torch
from pydantic_core import from_json

from harness.device import synchronize
from harness.errors import MethodError, describe_error
from harness.method import Method
from harness.runner.cell_output import LARGEST_REPORT, FitReport
from harness.types.cell import to_json
from harness.types.task import Task

_Answer = TypeVar("_Answer")


def fit(method: Method, name: str, task: Task, device: torch.device) -> float:
    """Fit a method in place; returns the seconds that it took.

    Raises:
        MethodError: ``fit`` does not return self.
    """
    synchronize(device)
    begin = time.perf_counter()
    fitted = method.fit(task)
    synchronize(device)
    seconds = time.perf_counter() - begin
    if fitted is not method:
        raise MethodError(f"{name}.fit returned {type(fitted).__name__}; fit must return self")
    return seconds


def report_of(method: Method, name: str) -> FitReport:
    """The report of a fitted method. Invalid parts are left out with a remark; metrics do not depend on them."""
    remarks: list[str] = []

    def call(what: str, answer: Callable[[], _Answer], default: _Answer) -> _Answer:
        try:
            return answer()
        except MethodError as error:
            remarks.append(error.message)
        except (Exception, SystemExit) as error:
            remarks.append(f"{name}.{what} raised {describe_error(error)}")
        return default

    outcome: dict[str, Any] = call("outcome", lambda: checked_json(method.outcome(), name), {})
    trainable = call("trainable", lambda: checked_count(method.trainable(), name), 0)
    return FitReport(outcome=outcome, trainable=trainable, remarks=tuple(remarks))


def checked_json(outcome: Any, name: str) -> dict[str, Any]:
    """A method's outcome after a round trip through JSON; NaN and infinity, which JSON lacks, become text.

    Raises:
        MethodError: it is not a dictionary, or cannot be written as JSON.
    """
    try:
        text = json.dumps(outcome, ensure_ascii=False)
        made = to_json(from_json(text.encode()))  # as strict as the parser that will read it
    except (TypeError, ValueError, RecursionError) as error:
        raise MethodError(
            f"{name}.outcome cannot be stored as JSON: {error}", "return plain numbers and texts"
        ) from None
    if not isinstance(made, dict):
        raise MethodError(f"{name}.outcome returned {type(outcome).__name__}; it must be a dictionary")
    if len(text) > LARGEST_REPORT:
        raise MethodError(f"{name}.outcome is longer than {LARGEST_REPORT} characters of JSON")
    return made


def checked_count(trainable: Any, name: str) -> int:
    """The count of learned numbers that a method reports.

    Raises:
        MethodError: it is not a whole number from 0 on.
    """
    if not isinstance(trainable, Integral) or not 0 <= int(trainable) < 2**60:
        raise MethodError(f"{name}.trainable returned {trainable!r}", "return a whole number from 0 on")
    return int(trainable)
