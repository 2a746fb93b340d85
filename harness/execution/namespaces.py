"""Namespaces: a process and all that it starts see no other processes, no network and no shared memory of others.

Where user namespaces are allowed this needs no privileges.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

from harness.execution import linux

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
_SMALLEST_PID_MAX = 301
_NOSUID, _NODEV, _NOEXEC, _RECURSIVE, _PRIVATE = 2, 4, 8, 0x4000, 0x40000


def unshare() -> bool:
    """Enter a new user, IPC and network namespace, and let children enter a new one of processes.

    The next child is the first process there: when it ends, the kernel ends all others. This process needs a single
    thread.

    Returns:
        False where the machine refuses; nothing has changed then.
    """
    if not linux.is_linux():
        return False
    user, group = os.geteuid(), os.getegid()
    try:
        linux.call("unshare", _NEWUSER | _NEWPID | _NEWIPC | _NEWNET)
    except OSError:
        return False
    with contextlib.suppress(OSError):  # unmapped ids are those of nobody: all that follows works, but for root's files
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def mount_private(shared_memory: float, tasks: float) -> bool:
    """In the first process of a new namespace: mount its own /proc and /dev/shm, and limit its processes.

    Args:
        shared_memory: bytes of its /dev/shm.
        tasks: processes and threads in it (Linux 6.14 or newer).

    Returns:
        False where the machine refuses, as in containers that hide parts of /proc.
    """
    size = f"size={int(shared_memory)}," if shared_memory < 2**62 else ""
    try:
        linux.call("unshare", _NEWNS)
        linux.call("mount", None, b"/", None, _RECURSIVE | _PRIVATE, None)
        linux.call("mount", b"proc", b"/proc", b"proc", _NOSUID | _NODEV | _NOEXEC, None)
        linux.call("mount", b"tmpfs", b"/dev/shm", b"tmpfs", _NOSUID | _NODEV, f"{size}mode=1777".encode())
    except OSError:
        return False
    if tasks < math.inf and linux.release() >= (6, 14):  # before, the number is the whole machine's
        with contextlib.suppress(OSError):
            Path("/proc/sys/kernel/pid_max").write_text(str(max(int(tasks), _SMALLEST_PID_MAX)))
    return True
