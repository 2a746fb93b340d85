"""Keep stdout for results and stderr for everything else, also if the caller closed them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any


class _SafeStderr(io.FileIO):
    """A stderr that drops output if it cannot be written: a full disk or a closed terminal does not end a run."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:  # a reader that closed the pipe ends the command
            raise
        except OSError:
            return memoryview(data).nbytes


def configure_streams() -> None:
    """Reopen stdin, stdout and stderr that the caller closed, and make stderr safe to write.

    Otherwise the next opened file would get the free descriptor, and printed text would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free descriptor: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open for the process lifetime
    encoding = getattr(sys.stderr, "encoding", "utf-8")
    buffer = io.BufferedWriter(_SafeStderr(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(buffer, encoding=encoding, errors="backslashreplace", line_buffering=True)


@contextlib.contextmanager
def only_results() -> Iterator[None]:
    """Redirect stdout to stderr, for Python, compiled code and child processes.

    So output of a method does not mix with the document of ``--json``.
    """
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for stream in (sys.__stdout__, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # closed or None
                stream.flush()  # type: ignore[union-attr]
        os.dup2(saved, 1)
        os.close(saved)
