"""Landlock: a process gives up access to files, TCP and other processes, for itself and all that it starts.

Needs no privileges. What it forbids cannot be allowed again. The kernel's documentation lists what each version of its
interface (ABI) can forbid: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable
from enum import IntFlag

from harness.execution import linux

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all machines
_VERSION_FLAG, _PATH_BENEATH = 1, 1


class Access(IntFlag):
    """What can be done with files."""

    EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
    REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
    MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
    REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

    ALL = (1 << 16) - 1
    READ = EXECUTE | READ_FILE | READ_DIR
    WRITE = ALL & ~MAKE_CHAR & ~MAKE_BLOCK  # a new device file would reach the disk itself
    OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV


_SINCE = {1: 13, 2: 14, 3: 15, 5: 16}
"""The first version of the interface that knows so many kinds of access."""

_TCP_SINCE, _SCOPES_SINCE = 4, 6
_BIND_AND_CONNECT_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """The version of the interface; 0 where there is none."""
    if not linux.is_linux():
        return 0
    try:
        return linux.call("syscall", _CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def has_scopes() -> bool:
    """Whether processes outside can be protected from signals."""
    return version() >= _SCOPES_SINCE


def keep_signals_inside() -> bool:
    """Let this process and all that it starts send signals to each other alone; False where that is not available.

    Abstract sockets of other processes are out of reach as well.
    """
    if not has_scopes():
        return False
    _restrict(_Ruleset(0, 0, _ABSTRACT_SOCKETS_AND_SIGNALS), ())
    return True


def restrict_files(rules: Iterable[tuple[str, Access]], tcp: bool) -> bool:
    """Allow some files and folders, and nothing else; False where Landlock is not available.

    The memory of processes that are not restricted so, and their files in /proc, are out of reach.

    Args:
        rules: paths, and what can be done with them and with all that is in them. A path that cannot be opened is
            left out. Symbolic links are not followed.
        tcp: whether TCP connections stay allowed.
    """
    found = version()
    if not found:
        return False
    known = (1 << max(bits for since, bits in _SINCE.items() if since <= found)) - 1
    network = _BIND_AND_CONNECT_TCP if found >= _TCP_SINCE and not tcp else 0
    scopes = _ABSTRACT_SOCKETS_AND_SIGNALS if found >= _SCOPES_SINCE else 0
    _restrict(_Ruleset(known, network, scopes), ((path, int(access) & known) for path, access in rules))
    return True


def _restrict(attributes: _Ruleset, rules: Iterable[tuple[str, int]]) -> None:
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    ruleset = linux.call("syscall", _CREATE_RULESET, ctypes.byref(attributes), size, 0)
    try:
        for path, access in rules:
            with contextlib.suppress(OSError):  # it was removed meanwhile, or cannot be reached anyway
                _add(ruleset, path, access)
        linux.call("syscall", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _add(ruleset: int, path: str, access: int) -> None:
    folder = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if not stat.S_ISDIR(os.fstat(folder).st_mode):
            access &= int(Access.OF_FILES)
        rule = _PathRule(access, folder)
        linux.call("syscall", _ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(folder)
