"""How long work tells that it goes on; the command line decides what that looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Reporter(Protocol):
    """Shows stages of work and single notes."""

    def stage(self, name: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
        """A stage of ``total`` units; yields a function that is told how many more are done."""
        ...

    def note(self, text: str) -> None:
        """One line that people should see."""
        ...


class Silent:
    """Says nothing; the default of the library."""

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Does nothing."""
        yield lambda done: None

    def note(self, text: str) -> None:
        """Does nothing."""
