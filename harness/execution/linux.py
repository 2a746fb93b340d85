"""Calls of the Linux kernel that Python has no function for; what the kernel refuses is an ``OSError``."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from functools import cache
from typing import Any

MACHINE = platform.machine()
"""Numbers of calls depend on it."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_CAPABILITY_VERSION = 0x20080522

CAP_DAC_OVERRIDE = 1
"""Opens files in spite of their permissions."""


def is_linux() -> bool:
    """Whether these calls exist."""
    return sys.platform == "linux"


def release() -> tuple[int, ...]:
    """The kernel's version, such as (6, 12)."""
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2]))


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library; integers are passed as long ones.

    Raises:
        OSError: it returns -1, or does not exist.
    """
    found = int(_function(name)(*(ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)))
    if found == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return found


@cache
def _function(name: str) -> Any:
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        raise OSError(f"the C library has no {name}")
    function.restype = ctypes.c_long
    return function


def end_with_parent(number: int) -> None:
    """Let the kernel send this process a signal when its parent ends."""
    call("prctl", _PR_SET_PDEATHSIG, number, 0, 0, 0)


def adopt_orphans() -> None:
    """Let descendants whose parent ended become children of this process, so that they can be found and ended."""
    call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def forbid_new_privileges() -> None:
    """Let no program that this process or a descendant executes have more privileges (no sudo)."""
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def drop_capabilities(*kept: int) -> None:
    """Give up what root may and others may not, but for some capabilities, where this process has them."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable: of capabilities below 32, then above
    call("capget", header, sets)
    mask = sum(1 << number for number in kept)
    effective, permitted = sets[0] & mask, sets[1] & mask
    call("capset", header, (ctypes.c_uint32 * 6)(effective, permitted, 0, 0, 0, 0))
