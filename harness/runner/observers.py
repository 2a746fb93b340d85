"""Calls observers with finished cells; one that raises is reported once, and not called again.

Global state is restored after every call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.errors import one_line, with_location
from harness.execution.global_state import listed, preserve_global_state
from harness.progress import Reporter
from harness.registry import Origin, Plugin
from harness.types.cell import Cell


class Observers:
    """The observers of one run."""

    def __init__(self, plugins: Iterable[Plugin[Callable[[Cell], object]]], report: Reporter) -> None:
        self._plugins = list(plugins)
        self._report = report
        self._noted: set[Origin] = set()

    def finished(self, cell: Cell) -> None:
        """Call every observer with a cell that was computed and stored."""
        for plugin in list(self._plugins):
            origin = plugin.origin
            try:
                with preserve_global_state() as changed:
                    plugin.value(cell)
            except (Exception, SystemExit) as error:  # third-party code; results do not depend on it
                self._plugins.remove(plugin)
                reason = with_location(f"{type(error).__name__}: {one_line(error)}", error, origin.module)
                self._report.note(f"{origin} gets no further cells: harness_cell_finished raised {reason}")
            if changed and origin not in self._noted:
                self._noted.add(origin)
                self._report.note(f"{origin} changed {listed(changed)} in harness_cell_finished; it was put back")
