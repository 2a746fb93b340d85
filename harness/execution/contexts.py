"""Processes that run nothing of the script that starts them.

Python gives a new process the caller's ``__main__``, by running that script again: one without
``if __name__ == "__main__":`` would start processes in its processes. Ours need nothing of it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

_changing = threading.Lock()


class _Spawned(SpawnProcess):
    _start_method = None  # type: ignore[assignment]  # what it starts itself is started in Python's own default way

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - multiprocessing's own name
        with _no_script():
            return SpawnProcess._Popen(process_obj)


class _Forked(ForkServerProcess):
    _start_method = None  # type: ignore[assignment]

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802
        with _no_script():
            return ForkServerProcess._Popen(process_obj)


class Spawn(SpawnContext):
    """New interpreters."""

    Process = _Spawned


class ForkServer(ForkServerContext):
    """Forks of the fork server."""

    Process = _Forked


@contextmanager
def _no_script() -> Iterator[None]:
    """What is told to a process that starts meanwhile names no script."""
    with _changing:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script
