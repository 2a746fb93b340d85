"""Control groups (cgroup v2): the kernel limits the memory and the processes of a worker and of all that it starts.

This needs a group in which this user may make others, and whose children have the memory and pids controllers: as root,
in a container with its own groups, or below ``systemd-run --user --scope``.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

CGROUP = "cgroup"
"""What ``confinement.enter`` says where a group is in force."""

_PREFIX = "laion-beyond-"
_MOUNTS, _OWN = Path("/proc/self/mounts"), Path("/proc/self/cgroup")
_REMOVAL_SECONDS = 10.0


@dataclass(frozen=True)
class ControlGroup:
    """A group of one worker.

    Attributes:
        folder: its folder in the file system of groups.
    """

    folder: Path

    def join(self) -> bool:
        """Let this process and all that it starts be in the group; False where the kernel refuses."""
        with contextlib.suppress(OSError):
            (self.folder / "cgroup.procs").write_text("0")
            return True
        return False

    def pids(self) -> list[int]:
        """The processes in the group."""
        with contextlib.suppress(OSError):
            return list(map(int, (self.folder / "cgroup.procs").read_text().split()))
        return []

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has ended the group because it used more memory than its limit."""
        with contextlib.suppress(OSError):
            counts = (line.split() for line in (self.folder / "memory.events").read_text().splitlines())
            return any(name == "oom_kill" and count != "0" for name, count in counts)
        return False

    def kill(self) -> None:
        """End all processes in the group, in one step (Linux 5.14 or newer)."""
        with contextlib.suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Remove the group, once its processes have ended."""
        deadline = time.monotonic() + _REMOVAL_SECONDS
        while not _remove(self.folder) and time.monotonic() < deadline:
            time.sleep(0.01)


def make_group(memory: float, tasks: float) -> ControlGroup | None:
    """A new group; None where this user cannot make one.

    Args:
        memory: bytes that its processes may use together, with files in /dev/shm and without what swapped out.
        tasks: processes and threads that it may have.
    """
    for parent in _parents():
        with contextlib.suppress(OSError):  # it cannot be enabled while processes are in the group: then it was before
            (parent / "cgroup.subtree_control").write_text("+memory +pids")
        with contextlib.suppress(OSError):
            _remove_abandoned(parent)
            group = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
            if _limit(group, memory, tasks):
                return ControlGroup(group)
            _remove(group)
    return None


def _parents() -> list[Path]:
    """This process's own group, and the one around it: only one without processes can have groups with limits."""
    with contextlib.suppress(OSError):
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
        own = [line.removeprefix("0::/") for line in _OWN.read_text().splitlines() if line.startswith("0::/")]
        for _, root, kind, *_ in mounts:
            if kind == "cgroup2" and own:
                group = Path(root, own[0])
                return [group] if group == Path(root) else [group, group.parent]
    return []


def _limit(group: Path, memory: float, tasks: float) -> bool:
    try:
        (group / "memory.max").write_text("max" if memory == math.inf else str(int(memory)))
        (group / "memory.oom.group").write_text("1")
        (group / "pids.max").write_text("max" if tasks == math.inf else str(int(tasks)))
    except OSError:  # the group has no such controllers
        return False
    with contextlib.suppress(OSError):  # a machine without swap
        (group / "memory.swap.max").write_text("0")
    return True


def _remove_abandoned(parent: Path) -> None:
    """Remove the groups of runs that were killed."""
    for folder in parent.glob(f"{_PREFIX}[0-9]*-*"):
        if not psutil.pid_exists(int(folder.name.removeprefix(_PREFIX).partition("-")[0])):
            _remove(folder)


def _remove(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
