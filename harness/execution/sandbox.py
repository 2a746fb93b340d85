"""What a process that runs foreign code may touch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sandbox:
    """What a worker process may touch, as far as the machine can enforce it.

    A process has its own temporary folder, and cannot read the memory of the harness or send it signals. It cannot
    change Python and its packages.

    Attributes:
        hidden: folders and files that it can neither read nor write.
        readable: those within hidden ones that it can read all the same; if strict, all that it can read besides
            Python, its packages and the system.
        strict: it can write in its temporary folder alone, has no network, and sees no other processes.
        unlisted: folders whose files it can read by their names alone: it cannot list them.
    """

    hidden: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    strict: bool = False
    unlisted: tuple[Path, ...] = ()
