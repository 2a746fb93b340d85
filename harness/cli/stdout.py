"""stdout is for results: what anything else prints while a command works goes to stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


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
