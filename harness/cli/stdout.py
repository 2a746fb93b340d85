"""stdout is for results, and stderr for what is told on the way: neither depends on what the caller left of them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any


class _Told(io.FileIO):
    """A stderr that ends no run: where a log is on a full disk, or a terminal is gone, words are lost and no more."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:  # a reader that stops reading ends the command
            raise
        except OSError:
            return memoryview(data).nbytes


def configure_streams() -> None:
    """Give the process a stdin, stdout and stderr where the caller closed them, and a stderr that ends nothing.

    A number that is free would be the next file's or pipe's, and what is printed would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the whole life
    encoding = getattr(sys.stderr, "encoding", "utf-8")
    told = io.BufferedWriter(_Told(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(told, encoding=encoding, errors="backslashreplace", line_buffering=True)


@contextlib.contextmanager
def only_results() -> Iterator[None]:
    """Within this, stdout is stderr: for Python, for compiled code, and for processes that are started.

    So a method that prints cannot get into the document of ``--json``.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for stream in (sys.__stdout__, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or none at all
                stream.flush()  # type: ignore[union-attr]
        os.dup2(kept, 1)
        os.close(kept)
