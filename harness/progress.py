"""Progress reporting for long-running work; the command line decides how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol


class Reporter(Protocol):
    """Receives stages of work, what they work on, first results, and notes."""

    def stage(self, name: str, total: int | None, unit: str) -> AbstractContextManager[Callable[[int], None]]:
        """A stage of ``total`` units, None if unknown; yields a function to call with the newly completed units."""
        ...

    def running(self, what: Sequence[str]) -> None:
        """Say what the stage works on now, such as the cells that processes run."""
        ...

    def result(self, text: str) -> None:
        """Show a figure as soon as it is known; a log shows some of them only."""
        ...

    def note(self, text: str) -> None:
        """Show one line to the user."""
        ...


def pluralize(number: int, unit: str) -> str:
    """A number with its unit, given in the plural: ``1 cell``, ``1,350 cells``."""
    return f"{number:,} {unit.removesuffix('s') if number == 1 else unit}"


class NullReporter:
    """Ignores all progress; the default of the library."""

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        """Does nothing."""
        yield lambda done: None

    def running(self, what: Sequence[str]) -> None:
        """Does nothing."""

    def result(self, text: str) -> None:
        """Does nothing."""

    def note(self, text: str) -> None:
        """Does nothing."""


@contextmanager
def staged(report: Reporter, unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """A callback (name, done, total) that opens a new stage whenever the name changes."""
    with ExitStack() as stack:
        current: tuple[str, Callable[[int], None]] | None = None
        before = 0

        def progress(name: str, done: int, total: int) -> None:
            nonlocal current, before
            if current is None or current[0] != name:
                stack.close()
                current, before = (name, stack.enter_context(report.stage(name, total, unit))), 0
            current[1](done - before)
            before = done

        yield progress
