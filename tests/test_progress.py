"""Stages of work that calls back with its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.progress import NullReporter, pluralize, staged


class Recorder:
    """A reporter that records its calls."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        self.calls.append((name, total, unit))
        try:
            yield self.calls.append
        finally:
            self.calls.append("end")

    def note(self, text: str) -> None:
        self.calls.append(text)


def test_staged_opens_a_stage_for_each_name() -> None:
    recorder = Recorder()
    with staged(recorder, "images") as progress:
        for name, done in (("draw", 1), ("draw", 4), ("check", 2), ("check", 5)):
            progress(name, done, 5)
    assert recorder.calls == [("draw", 5, "images"), 1, 3, "end", ("check", 5, "images"), 2, 3, "end"]


def test_staged_closes_the_stage_on_errors() -> None:
    recorder = Recorder()

    def work() -> None:
        with staged(recorder, "images") as progress:
            progress("draw", 1, 5)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert recorder.calls[-1] == "end"


def test_null_reporter_accepts_all_calls() -> None:
    with staged(NullReporter(), "images") as progress:
        progress("draw", 1, 5)
    NullReporter().note("x")


@pytest.mark.parametrize(("number", "text"), [(0, "0 cells"), (1, "1 cell"), (2, "2 cells"), (1350, "1,350 cells")])
def test_pluralize(number: int, text: str) -> None:
    assert pluralize(number, "cells") == text
