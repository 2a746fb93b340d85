"""Tells observers about finished cells; one that fails is told about once, and not called again.

What all share is put back after every call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.errors import error_location, one_line
from harness.execution.global_state import listed, preserve_global_state
from harness.progress import Reporter
from harness.registry.entry_points import Origin
from harness.types.cell import Cell


class Observers:
    """The observers of one run."""

    def __init__(self, observers: Iterable[tuple[Origin, Callable[[Cell], None]]], report: Reporter) -> None:
        self._observers = list(observers)
        self._report = report
        self._noted: set[Origin] = set()

    def finished(self, cell: Cell) -> None:
        """Call every observer with a cell that was computed and stored."""
        for observer in list(self._observers):
            source, call = observer
            try:
                with preserve_global_state() as changed:
                    call(cell)
            except (Exception, SystemExit) as error:  # third-party code; a result does not depend on it
                self._observers.remove(observer)
                where = error_location(error, source.module)
                reason = f"{type(error).__name__}: {one_line(error)}" + (f" ({where})" if where else "")
                self._report.note(f"{source} is not told about further cells: harness_cell_finished raised {reason}")
            if changed and source not in self._noted:
                self._noted.add(source)
                self._report.note(f"{source} changed {listed(changed)} in harness_cell_finished; it was put back")
