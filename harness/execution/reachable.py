"""Which files and folders a process in a sandbox may reach, as rules for Landlock.

Landlock allows and cannot forbid. To hide a folder, all entries of the folders above it are allowed, but for those on
the way to it. What is created next to them later cannot be reached either.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from harness.execution.landlock import Access
from harness.execution.sandbox import Sandbox

_DEVICES = ("null", "zero", "full", "random", "urandom", "dri", "kfd", "infiniband")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/etc", "/nix/store", "/gnu/store")
_KERNEL = ("/proc", "/sys", "/dev")

Rule = tuple[str, Access]


def rules(sandbox: Sandbox, folder: Path) -> Iterator[Rule]:
    """What a process may reach.

    Args:
        sandbox: what to hide and to show.
        folder: the process's own.
    """
    hidden = {os.path.realpath(path) for path in sandbox.hidden}
    environment = {os.path.realpath(path) for path in _environment()}
    if sandbox.strict:
        environment |= {os.path.realpath(path) for path in (*_SYSTEM, *sys.path) if path}
    else:
        apart = hidden | environment | set(_KERNEL)
        yield from ((path, Access.WRITE) for path in entries("/", apart))
    for root in environment:  # which may lie in a hidden folder: results can be in a project with its environment
        yield from ((path, Access.READ) for path in entries(root, {path for path in hidden if _within(path, root)}))
    yield from ((os.path.realpath(path), Access.READ) for path in sandbox.readable)
    yield from ((os.path.realpath(path), Access.READ_FILE) for path in sandbox.unlisted)
    yield from _of_kernel()
    yield os.path.realpath(folder), Access.WRITE


def entries(root: str, apart: Collection[str]) -> Iterator[str]:
    """The fewest files and folders that make up a folder without some others; no symbolic links.

    Args:
        root: the folder, or a file.
        apart: absolute paths of files and folders without symbolic links; they need not exist.
    """
    if any(_within(root, path) for path in apart):
        return
    inside = [path for path in apart if _within(path, root)]
    if not inside:
        yield root
        return
    try:
        with os.scandir(root) as found:
            listed = [entry.path for entry in found if not entry.is_symlink()]
    except OSError:  # it can be entered but not listed
        listed = sorted({os.path.join(root, path[len(root) :].strip("/").split("/")[0]) for path in inside})  # noqa: PTH118
    for path in listed:
        yield from entries(path, inside)


def folders_above(sandbox: Sandbox) -> set[str]:
    """The folders above the hidden ones: a process cannot list them."""
    return {str(parent) for path in sandbox.hidden for parent in Path(os.path.realpath(path)).parents}


def _within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _environment() -> Iterator[str]:
    """Python, its packages and this one, which no process may change."""
    yield from {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    yield str(Path(__file__).parents[1])
    yield from (path for path in sys.path if path.endswith("-packages"))  # also those of the user


def _of_kernel() -> Iterator[Rule]:
    yield from (("/proc", Access.READ), ("/sys", Access.READ))
    yield f"/proc/{os.getpid()}", Access.READ | Access.WRITE_FILE | Access.TRUNCATE  # to reset the peak of memory
    yield "/dev/shm", Access.WRITE
    # No disks: reading one reads every file on it.
    named = [entry.path for entry in os.scandir("/dev") if entry.name in _DEVICES or entry.name.startswith("nvidia")]
    yield from ((path, Access.READ | Access.WRITE_FILE | Access.TRUNCATE | Access.IOCTL_DEV) for path in named)
