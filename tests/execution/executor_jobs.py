"""Workers and jobs of the tests, where other processes can import them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from harness.errors import BackboneError, StorageError
from harness.execution import fork_server
from harness.execution.jobs import Limits, SharedMemoryError


class Elsewhere:
    """Leaves another working folder and numpy setting when it is unpickled, as an import of a plugin may."""

    def __reduce__(self) -> Any:
        return _change_state, ()


def _change_state() -> None:
    os.chdir("/")
    np.seterr(all="raise")


def same(limits: Limits) -> Limits:
    fork_server.start_server(())
    return limits


def refuses_second(limits: Limits) -> Limits:
    if os.environ.get("NODE") == "second":
        raise StorageError("it has no folder /data/Food", "put the data there")
    return same(limits)


def refuses(limits: Limits) -> Limits:
    raise StorageError("it has no folder /data/Food", "put the data there")


def make(device: str = "cpu") -> Callable[[Any], bytes]:
    return run


def make_none(device: str) -> Callable[[Any], bytes]:
    raise BackboneError("weights.pt is damaged", "download it again")


def make_bug(device: str) -> Callable[[Any], bytes]:
    raise KeyError("weights")


def run(job: Any) -> bytes:
    if job is None:
        return f"{Path.cwd()} {np.geterr()['divide']}".encode()
    if not isinstance(job, tuple):
        return str(job).encode()
    return bytes(ACTIONS[job[0]](*job[1:]) or b"")


def die(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def die_once(marker: Path) -> bytes:
    if not marker.exists():
        marker.touch()
        die()
    return b"second attempt"


def leave_processes(log: Path | str, wait: float = 0) -> None:
    """Start one process in this group and one in a new group; write the ids of all three to a file."""
    command = [sys.executable, "-c", "import time; time.sleep(120)"]
    started = [subprocess.Popen(command, start_new_session=new) for new in (False, True)]
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()} {started[0].pid} {started[1].pid}\n")
    time.sleep(wait)


def wait_for(file: Path) -> None:
    """Return when another job has written a file."""
    while not file.exists() or not file.read_text():
        time.sleep(0.02)


def eat(size: int) -> None:
    eaten = bytearray(os.urandom(2**20)) * (size // 2**20)
    time.sleep(60)
    print(len(eaten))


def flood() -> None:
    while True:
        print("x" * 2**16)


def send(channel_content: bytes) -> None:
    """Write into the channel, as foreign code in the process can."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            channel = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        if channel.family == socket.AF_UNIX and channel.type == socket.SOCK_STREAM:
            channel.sendall(channel_content)
    time.sleep(60)


def share_memory(marker: Path) -> bytes:
    """Run out of memory if another job runs at the same time."""
    if not marker.exists():
        marker.touch()
        raise SharedMemoryError from RuntimeError("out of memory")
    return b"second attempt"


def never_enough() -> None:
    raise SharedMemoryError from RuntimeError("out of memory")


def kill_parents() -> None:
    """Kill what holds this process: the guardian, if there is one, and above it the fork server's owner."""
    for parent in psutil.Process().parents():
        if "NodeAgent" in " ".join(parent.cmdline()):
            parent.kill()
            break
    time.sleep(60)


def slow(number: int) -> bytes:
    time.sleep(0.3)
    return str(number).encode()


ACTIONS: dict[str, Callable[..., bytes | None]] = {
    "die": die,
    "die once": die_once,
    "share memory": share_memory,
    "never enough": never_enough,
    "kill parent": kill_parents,
    "read": lambda path: Path(path).read_bytes(),
    "slow": slow,
    "leave processes": leave_processes,
    "eat": eat,
    "exit": os._exit,
    "flood": flood,
    "print": lambda text: print(text) or os.system(f"echo {text} in a shell").to_bytes(1, "big"),  # type: ignore[func-returns-value]
    "interrupts": lambda: str(signal.getsignal(signal.SIGINT) is signal.SIG_IGN).encode(),
    "pid": lambda: str(os.getpid()).encode(),
    "raise": lambda: 1 / 0,  # type: ignore[dict-item,return-value]
    "sleep": time.sleep,
    "send": send,
    "start method": lambda: str(multiprocessing.get_start_method(allow_none=True)).encode(),
    "sys.exit": sys.exit,
    "wait for": wait_for,
}
