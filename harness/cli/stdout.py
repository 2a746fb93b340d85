"""Keep stdout for results and stderr for everything else, also if the caller closed them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any


class _SafeOutput(io.FileIO):
    """Standard output or error that drops what cannot be written because of some kind of error."""

    def __init__(self, number: int, dropped: type[OSError]) -> None:
        super().__init__(number, "w", closefd=False)
        self._dropped = dropped

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except self._dropped:
            return memoryview(data).nbytes


def configure_streams() -> None:
    """Reopen stdin, stdout and stderr that the caller closed, and make stdout and stderr safe to write.

    Otherwise the next opened file would get the free descriptor, and printed text would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free descriptor: this one
    # `| head -1` and `2>&1 | head -1`: the command goes on, and its exit code is its own. Results that a full disk
    # cannot take are an error; a log is not.
    out, log = _SafeOutput(1, BrokenPipeError), _SafeOutput(2, OSError)
    encoding, errors = getattr(sys.stdout, "encoding", "utf-8"), getattr(sys.stdout, "errors", None)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(out), encoding, errors, line_buffering=os.isatty(1))
    encoding = getattr(sys.stderr, "encoding", "utf-8")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(log), encoding, "backslashreplace", line_buffering=True)


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
