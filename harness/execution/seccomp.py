"""A filter of system calls that leaves a process without network and without connections to local servers.

Local servers (D-Bus, Docker, tmux, ssh-agent) listen on files, and would start programs outside the sandbox for it.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct

from harness.execution import linux

_NUMBERS = {  # the machine's name for audit, then socket and connect
    "x86_64": (0xC000003E, 41, 42),
    "aarch64": (0xC00000B7, 198, 203),
}
_IO_URING_SETUP = 425  # it connects without these calls
_X32 = 0x40000000  # numbers from here on are the same calls in another dress

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def available() -> bool:
    """Whether filters can be written for this machine."""
    return linux.is_linux() and linux.MACHINE in _NUMBERS


def refuse_connections() -> bool:
    """Refuse sockets other than local ones, and every connection; False where filters are not available.

    ``socketpair`` and pipes work: processes that this one starts can talk to it.
    """
    if not available():
        return False
    machine, socket_number, connect_number = _NUMBERS[linux.MACHINE]
    steps = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUAL, 0, 8, machine),  # calls of another machine (32 bits) are refused
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 6, 0, _X32),
        (_EQUAL, 5, 0, connect_number),
        (_EQUAL, 4, 0, _IO_URING_SETUP),
        (_EQUAL, 0, 2, socket_number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_EQUAL, 0, 1, socket.AF_UNIX),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    program = _Program(len(steps), b"".join(struct.pack("HBBI", *step) for step in steps))
    try:
        linux.call("prctl", _PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)
    except OSError:
        return False
    return True
