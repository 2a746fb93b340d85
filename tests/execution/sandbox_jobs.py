"""What hostile code tries in a worker process. Every attack returns what it reached, or the error that it got."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

MARK = "left-by-a-sandbox-test"
"""Stands in the command line of what the attacks leave."""


def make(device: str = "cpu") -> Callable[[Any], bytes]:
    return run


def run(job: Any) -> bytes:
    name, *arguments = job
    try:
        return str(ATTACKS[name](*arguments)).encode()
    except OSError as error:
        return type(error).__name__.encode()


# -- files -------------------------------------------------------------------------------------------------------------


def read_by_symbolic_link(path: Path) -> str:
    link = Path(tempfile.mkdtemp()) / "link"
    link.symlink_to(path)
    return link.read_text()


def read_by_hard_link(path: Path) -> str:
    link = Path(tempfile.mkdtemp()) / "link"
    os.link(path, link)
    return link.read_text()


def read_by_open_folder(path: Path) -> str:
    """Start at every folder that is open in this process."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            return os.read(os.open(path.name, os.O_RDONLY, dir_fd=int(name)), 100).decode()
    return "no open folder"


def read_disk() -> str:
    """Open any disk of the machine, where all files are."""
    disks = [path for path in Path("/dev").iterdir() if path.is_block_device()]
    for disk in disks:
        with contextlib.suppress(OSError):
            return str(os.open(disk, os.O_RDONLY))
    return "no disk"


def write(path: Path) -> str:
    path.write_text("hostile")
    return "written"


def work_normally(cache: Path) -> str:
    """What honest code does."""
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("own")
    Path("/dev/null").write_text("nothing")
    Path("/proc/self/clear_refs").write_text("5")
    assert multiprocessing.Lock().acquire()  # a file in /dev/shm
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]
    assert subprocess.run([sys.executable, "-c", "import numpy"], check=False).returncode == 0
    here = Path(tempfile.gettempdir())
    return f"{here.name.startswith('harness-')} {os.environ['TMPDIR'] == str(here)} {cache.is_dir()}"


def import_module(name: str) -> str:
    return str(importlib.import_module(name).__name__)


# -- processes ---------------------------------------------------------------------------------------------------------


def peek(pid: int) -> str:
    """Read the memory of another process."""
    start = Path(f"/proc/{pid}/maps").read_text().partition("-")[0]
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        memory.seek(int(start, 16))
        return f"{len(memory.read(16))} bytes"


def peek_at_guardian() -> str:
    return peek(os.getppid())


def trace(pid: int) -> str:
    """Attach to another process as a debugger does."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, None, None):
        raise OSError(ctypes.get_errno(), "ptrace")
    return "attached"


def kill(pid: int) -> str:
    os.kill(pid, signal.SIGKILL)
    return "killed"


def kill_guardian() -> str:
    return kill(os.getppid())


def ask_fork_server(folder: str) -> str:
    """Connect to the address of the fork server, and to every socket in the folder where it was."""
    with Path("/proc/net/unix").open() as file:
        addresses = [line.split()[-1] for line in file if folder in line]
    for address in [*addresses, forkserver._forkserver._forkserver_address]:  # type: ignore[attr-defined]
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            return f"connected to {address}"
    return "refused"


def leave_daemon() -> str:
    """Leave a process in another session, whose parent has ended."""
    code = "import os, time\nif os.fork(): os._exit(0)\nos.setsid()\ntime.sleep(120)"
    subprocess.run([sys.executable, "-c", code, MARK], check=True)
    return "left"


def bomb() -> None:
    """Start processes that start processes, each in a new session; all end after a while if nobody ends them."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if not os.fork():
                os.setsid()
    os._exit(0)


# -- network and memory ------------------------------------------------------------------------------------------------


def connect(address: Any) -> str:
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as connection:
        connection.connect(address)
    return "connected"


def send_udp(address: tuple[str, int]) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.sendto(b"label", address)
    return "sent"


def fill_shared_memory(size: int) -> None:
    with Path("/dev/shm/filled").open("wb") as file:
        for _ in range(size // 2**20):
            file.write(bytes(2**20))
    time.sleep(60)


def eat(size: int) -> str:
    """Allocate memory and write to all of it."""
    return f"{len(bytearray(os.urandom(2**20)) * (size // 2**20))} bytes"


def eat_in_a_daemon(size: int) -> None:
    """Allocate memory in a process in another session, whose parent has ended."""
    if not os.fork():
        os.setsid()
        if not os.fork():
            eaten = bytearray(os.urandom(2**20)) * (size // 2**20)
            time.sleep(len(eaten))
        os._exit(0)
    os.wait()
    time.sleep(60)


def share_memory(size: int, number: int) -> str:
    """Allocate memory, and fork processes that share it."""
    eaten = bytearray(os.urandom(2**20)) * (size // 2**20)
    children = []
    for _ in range(number):
        if not (child := os.fork()):
            time.sleep(1)
            os._exit(len(eaten) % 1)
        children.append(child)
    return str(sum(os.waitpid(child, 0)[1] for child in children))


ATTACKS: dict[str, Callable[..., Any]] = {
    "read": Path.read_text,
    "read by symbolic link": read_by_symbolic_link,
    "read by hard link": read_by_hard_link,
    "read by open folder": read_by_open_folder,
    "read disk": read_disk,
    "list": os.listdir,
    "write": write,
    "work normally": work_normally,
    "import": import_module,
    "peek": peek,
    "peek at guardian": peek_at_guardian,
    "trace": trace,
    "kill": kill,
    "kill guardian": kill_guardian,
    "ask fork server": ask_fork_server,
    "leave daemon": leave_daemon,
    "bomb": bomb,
    "connect": connect,
    "send udp": send_udp,
    "fill shared memory": fill_shared_memory,
    "eat": eat,
    "eat in a daemon": eat_in_a_daemon,
    "share memory": share_memory,
    "die": lambda number: os.kill(os.getpid(), number),
    "exit": os._exit,
    "processes": lambda: sum(name.isdigit() for name in os.listdir("/proc")),  # noqa: PTH208
    "wait": lambda: time.sleep(60),
    "folder": tempfile.gettempdir,
}
