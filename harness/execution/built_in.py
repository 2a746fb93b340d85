"""The executors that the harness brings, by name; plugins offer others."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.execution.executors import Executor, ExecutorSettings, OpenExecutor


def _open_local(settings: ExecutorSettings) -> AbstractContextManager[Executor]:
    """Processes of this machine."""
    from harness.execution.executors import processes  # here, because a run of known cells starts none

    return nullcontext(processes)


def _open_ray(settings: ExecutorSettings) -> AbstractContextManager[Executor]:
    """The nodes of a Ray cluster."""
    from harness.execution.ray_cluster import open_ray

    return open_ray(settings)


EXECUTORS: dict[str, OpenExecutor] = {"local": _open_local, "ray": _open_ray}
