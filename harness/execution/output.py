"""What a process printed, up to a bound."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

FLOOD_BYTES = 16 * 2**20
"""A job that prints more than this is ended."""

LOG_BYTES = 128 * 2**10
"""The size of a log: half from the beginning of what was printed, half from its end."""


class Output:
    """Reads a process's output and stores its beginning and its end.

    Attributes:
        source: where it is read.
        open: whether more can come.
    """

    def __init__(self, source: Connection) -> None:
        self.source = source
        self.open = True
        self._head, self._tail, self._read = b"", b"", 0

    @property
    def floods(self) -> bool:
        """Whether more was printed than a job may."""
        return self._read > FLOOD_BYTES

    def read(self) -> bool:
        """Take what is there; False at the end."""
        try:
            content = os.read(self.source.fileno(), 2**20)
        except OSError:
            content = b""
        self._read += len(content)
        room = LOG_BYTES // 2 - len(self._head)
        self._head += content[:room]
        self._tail = (self._tail + content[room:])[-LOG_BYTES // 2 :]
        self.open = bool(content)
        return self.open

    def log(self) -> bytes:
        """The beginning and the end of what was printed."""
        left_out = self._read - len(self._head) - len(self._tail)
        middle = f"\n[... {left_out:,} bytes left out ...]\n".encode() if left_out > 0 else b""
        return self._head + middle + self._tail
