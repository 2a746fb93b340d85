"""Messages between the process that supervises and its workers: a kind, a length, and so many bytes.

The supervisor reads what has arrived and never waits for the rest, so half a message from a worker blocks nothing.
"""

from __future__ import annotations

import math
import socket
import struct
from typing import NamedTuple

ISOLATION, READY, DONE, FAILED, ENDED, JOB = b"I", b"R", b"D", b"F", b"E", b"J"
"""Kinds: what holds the process; a worker is made; a result; an error, its reason on the first line; one after
which the process is of no use; a pickled job."""

LARGEST = 2**28
"""Bytes of the largest message that is accepted of a worker."""

_HEAD = struct.Struct("<cQ")


class Message(NamedTuple):
    """One message."""

    kind: bytes
    content: bytes


def send(channel: socket.socket, kind: bytes, content: bytes = b"") -> None:
    """Send a complete message."""
    channel.sendall(_HEAD.pack(kind, len(content)) + content)


def receive(channel: socket.socket) -> Message | None:
    """Wait for a message; None when the other end is closed."""
    inbox = Inbox(math.inf)  # what a supervisor sends is trusted
    while (message := inbox.next()) is None:
        if not inbox.read(channel):
            return None
    return message


class Inbox:
    """The bytes that have arrived so far.

    Args:
        largest: bytes of the largest message that is accepted.
    """

    def __init__(self, largest: float = LARGEST) -> None:
        self._content, self._largest = bytearray(), largest

    def read(self, channel: socket.socket) -> bool:
        """Take what is there; False when the other end is closed."""
        try:
            content = channel.recv(2**20)
        except OSError:  # it was killed
            return False
        self._content += content
        return bool(content)

    def next(self) -> Message | None:
        """The oldest message, once it is complete.

        Raises:
            ValueError: its length is above the largest.
        """
        if len(self._content) < _HEAD.size:
            return None
        kind, length = _HEAD.unpack_from(self._content)
        if length > self._largest:
            raise ValueError(f"a message of {length} bytes")
        end = _HEAD.size + length
        if len(self._content) < end:
            return None
        content = bytes(self._content[_HEAD.size : end])
        del self._content[:end]
        return Message(kind, content)
