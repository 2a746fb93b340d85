"""Calls the observers of a run, each distribution's in a process of its own: they see cells and change none."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from harness import registry
from harness.errors import HarnessError, PluginError, UserError, describe_error, with_location
from harness.execution.jobs import JobFailure, Limits
from harness.files import require_writable
from harness.observer import Observer
from harness.progress import Reporter
from harness.registry import Plugin
from harness.runner.method_processes import ANSWER_SECONDS, sandbox, start_server
from harness.runner.plan import Plan
from harness.runner.request import Request
from harness.types.cell import Cell, Record, Sentence
from harness.types.leaderboard import Row
from harness.types.run_info import RunInfo

if TYPE_CHECKING:
    from harness.execution.companion import Companion

HINT = "choose another folder with --logs"


@dataclass(frozen=True)
class Event:
    """A call of all observers of a process: the method's name and its arguments."""

    method: Literal["run_started", "cell_finished", "run_finished"]
    arguments: tuple[object, ...]


class _Notes(Record):
    """What the process of observers says after an event: which of them got no further ones, and why."""

    notes: tuple[Sentence, ...] = ()


class Observers:
    """The observers of one run; a context manager that calls them at its end and ends their processes.

    One that fails while the run goes on is reported once, and not called again.

    Args:
        request: names the observers and the folder of their files.
        run: the record of the run.
        rows: returns the rows of the run as far as it came.
        report: gets notes.
        limits: of a process.

    Raises:
        PluginError: an observer does not exist, is broken, or fails at the start; or what it needs is not installed.
        StorageError: the folder cannot be written.
    """

    def __init__(
        self, request: Request, run: RunInfo, rows: Callable[[], Sequence[Row]], report: Reporter, limits: Limits
    ) -> None:
        self._rows, self._report = rows, report
        self._processes: dict[str, Companion[Event]] = {}
        names: dict[str, list[str]] = {}
        for name in request.observers:
            names.setdefault(registry.find("observer", name).origin.distribution, []).append(name)
        try:
            for distribution, found in names.items():
                start_server()
                from harness.execution.companion import Companion  # a run without observers needs no process

                self._processes[distribution] = Companion(partial(ObserverWorker, found), limits)
            failed = self._ask(Event("run_started", (run, request.logs.expanduser().resolve())))
            if failed:
                raise PluginError(failed[0], "the run was not started; leave out --observer to run without")
            if names:
                report.note(f"{run.name} is logged by {', '.join(request.observers)}; files are in {request.logs}")
        except BaseException:
            self._end()
            raise

    def finished(self, cell: Cell) -> None:
        """Call every observer with a cell that was computed and stored."""
        for note in self._ask(Event("cell_finished", (cell,))):
            self._report.note(f"{note}; it gets no further cells")

    def _ask(self, event: Event) -> list[str]:
        """What went wrong in each process; one that fails as a whole is ended."""
        notes: list[str] = []
        for distribution, process in list(self._processes.items()):
            answer = process.ask(event)
            if isinstance(answer, JobFailure):
                what = "" if answer.kind == "setup" else f"the process of the observers of {distribution} "
                notes.append(what + answer.reason)
                self._processes.pop(distribution).end()
                continue
            try:
                notes += _Notes.model_validate_json(answer).notes
            except ValidationError:
                notes.append(f"the observers of {distribution} sent something that is not a note")
        return notes

    def _end(self) -> None:
        while self._processes:
            self._processes.popitem()[1].end()

    def __enter__(self) -> Observers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            for note in self._ask(Event("run_finished", (tuple(self._rows()),))) if self._processes else ():
                self._report.note(note)
        finally:
            self._end()


class ObserverWorker:
    """Calls observers of one distribution, in their process.

    Raises:
        PluginError: one is broken.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._plugins: list[Plugin[Observer]] = [registry.load("observer", name) for name in names]

    def __call__(self, event: Event) -> bytes:
        """The notes about what went wrong, as JSON."""
        notes: list[str] = []
        for plugin in list(self._plugins):
            try:
                getattr(plugin.value, event.method)(*event.arguments)
            except HarnessError as error:
                notes.append(f"{plugin.origin}: {error.message}")
            except (Exception, SystemExit) as error:  # third-party code; results do not depend on it
                reason = with_location(describe_error(error), error, plugin.origin.module)
                notes.append(f"{plugin.origin}: {event.method} raised {reason}")
            else:
                continue
            self._plugins.remove(plugin)
        return _Notes(notes=tuple(notes)).model_dump_json().encode()


def require_observers(request: Request) -> None:
    """Check the observers of a request as far as metadata show, and make the folder of their files.

    Raises:
        PluginError: one does not exist, or cannot be used.
        UserError: the folder is in the results folder, which no plugin can reach.
        StorageError: the folder cannot be written.
    """
    if not request.observers:
        return
    for name in request.observers:
        entry = registry.find("observer", name)
        if entry.fault:
            raise PluginError(f"{entry.origin} {entry.fault}", "choose another --observer, or fix that distribution")
    logs, out = (path.expanduser().resolve() for path in (request.logs, request.out))
    if logs.is_relative_to(out):
        raise UserError(f"the logs would be in the results folder {request.out}, which no plugin can reach", HINT)
    require_writable(logs, "what observers write", HINT)


def run_info(plan: Plan, request: Request, known: int) -> RunInfo:
    """The record of a run."""
    specs = [job.spec for job in plan.jobs]
    methods = {spec.method.digest(): spec.method for spec in specs}
    now = datetime.now(timezone.utc)
    return RunInfo(
        name=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        protocol=request.protocol,
        dataset=specs[0].dataset.name if specs else "",
        data={spec.domain: spec.dataset.fingerprint for spec in specs},
        backbone=plan.resolved.record,
        methods=tuple(methods.values()),
        shots=request.shots,
        seeds=request.seeds,
        device=plan.device,
        versions=specs[0].versions if specs else {},
        cells=len(specs),
        known=known,
    )


def observer_limits(request: Request, plan: Plan) -> Limits:
    """What a process of observers may use and touch: it writes files and sends cells elsewhere."""
    return Limits(seconds=ANSWER_SECONDS, sandbox=replace(sandbox(request, plan.domains), strict=False))
