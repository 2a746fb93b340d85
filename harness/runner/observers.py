"""Calls observers with finished cells, each distribution's in a process of its own: they see cells and change none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import TracebackType

from pydantic import ValidationError

from harness import registry
from harness.errors import PluginError, describe_error, with_location
from harness.execution.companion import Companion
from harness.execution.jobs import JobFailure, Limits
from harness.progress import Reporter
from harness.registry import Plugin
from harness.runner.method_processes import start_server
from harness.types.cell import Cell, Record, Sentence


class _Notes(Record):
    """What the process of observers says about a cell."""

    notes: tuple[Sentence, ...] = ()


class Observers:
    """The observers of one run; a context manager, which ends their processes.

    Each process imports its observers when it gets the first cell. One that is broken or raises is reported once, and
    not called again.
    """

    def __init__(self, report: Reporter, limits: Limits) -> None:
        self._report, self._limits = report, limits
        names: dict[str, list[str]] = {}
        for entry in registry.installed():
            if entry.kind == "observer" and not entry.fault:
                names.setdefault(entry.origin.distribution, []).append(entry.origin.name)
        for culprit in registry.broken():
            if culprit.kind == "observer":
                report.note(f"left out: {culprit}")
        self._names = names
        self._processes: dict[str, Companion[Cell]] = {}

    def finished(self, cell: Cell) -> None:
        """Call every observer with a cell that was computed and stored."""
        for distribution in list(self._names):
            answer = self._process(distribution).ask(cell)
            if isinstance(answer, JobFailure):
                self._report.note(
                    f"the observers of {distribution} get no further cells: their process {answer.reason}"
                )
                self._end(distribution)
                continue
            try:
                notes = _Notes.model_validate_json(answer).notes
            except ValidationError:
                notes = (f"the observers of {distribution} sent something that is not a note",)
            for note in notes:
                self._report.note(note)

    def _process(self, distribution: str) -> Companion[Cell]:
        if distribution not in self._processes:
            start_server()
            self._processes[distribution] = Companion(partial(ObserverWorker, self._names[distribution]), self._limits)
        return self._processes[distribution]

    def _end(self, distribution: str) -> None:
        del self._names[distribution]
        self._processes.pop(distribution).end()

    def __enter__(self) -> Observers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for distribution in list(self._processes):
            self._end(distribution)


class ObserverWorker:
    """Calls observers of one distribution, in their process."""

    def __init__(self, names: Sequence[str]) -> None:
        self._notes: list[str] = []
        self._plugins: list[Plugin[object]] = []
        for name in names:
            try:
                plugin = registry.load("observer", name)
            except PluginError as error:
                self._notes.append(f"left out: {error.message}")
            else:
                self._plugins.append(plugin)

    def __call__(self, cell: Cell) -> bytes:
        """The notes about what went wrong, as JSON."""
        for plugin in list(self._plugins):
            try:
                plugin.value(cell)  # type: ignore[operator]
            except (Exception, SystemExit) as error:  # third-party code; results do not depend on it
                self._plugins.remove(plugin)
                reason = with_location(describe_error(error), error, plugin.origin.module)
                self._notes.append(f"{plugin.origin} gets no further cells: harness_cell_finished raised {reason}")
        notes, self._notes = tuple(self._notes), []
        return _Notes(notes=notes).model_dump_json().encode()
