"""Keep stdout for results and stderr for everything else, also if the caller closed them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


class _SafeOutput(io.FileIO):
    """Standard output or error that drops what cannot be written, for those errors of which ``drops`` is true."""

    def __init__(self, number: int, drops: Callable[[OSError], bool]) -> None:
        super().__init__(number, "w", closefd=False)
        self._drops = drops

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if self._drops(error):
                return memoryview(data).nbytes
            raise


def _reader_is_gone(error: OSError) -> bool:
    return isinstance(error, BrokenPipeError)


def configure_streams() -> None:
    """Reopen stdin, stdout and stderr that the caller closed, and make stdout and stderr safe to write.

    Otherwise the next opened file would get the free descriptor, and printed text would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free descriptor: this one
    # `| head -1`: the command goes on, and its exit code is its own. Without a log, on a full disk, a run goes on too;
    # a reader that closes stderr ends it.
    out, log = _SafeOutput(1, _reader_is_gone), _SafeOutput(2, lambda error: not _reader_is_gone(error))
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
