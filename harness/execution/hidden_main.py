"""Processes that do not run the script that starts them.

Python gives a new process the caller's ``__main__``, by running that script again: one without
``if __name__ == "__main__":`` would start processes in its processes. Ours need nothing of it. There is no setting for
this; ``multiprocessing`` looks the script up in ``sys.modules`` when a process starts.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_changing = threading.Lock()


@contextmanager
def hidden_script() -> Iterator[None]:
    """Give processes that are started meanwhile a ``__main__`` without a file."""
    with _changing:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script
