"""Enters a sandbox: called in a worker process before any foreign code is imported."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pkgutil
import secrets
import sys
import tempfile
from collections.abc import Collection
from multiprocessing import resource_tracker
from pathlib import Path

from harness.execution import landlock, linux, namespaces, seccomp
from harness.execution.cgroups import CGROUP, ControlGroup
from harness.execution.guardian import close_files, guard, wait_as_first
from harness.execution.process_tree import limit_tasks
from harness.execution.reachable import folders_above, rules
from harness.execution.sandbox import Sandbox
from harness.execution.worker_main import NO_SANDBOX

_DOWNLOADS = {"HF_HOME": "~/.cache/huggingface", "TORCH_HOME": "~/.cache/torch"}
_CACHES = {
    "MPLCONFIGDIR": "~/.config/matplotlib",
    "NUMBA_CACHE_DIR": "~/.cache/numba",
    "TRITON_CACHE_DIR": "~/.triton",
    "CUDA_CACHE_PATH": "~/.nv",
}


def enter(
    sandbox: Sandbox, folder: Path, memory: float, tasks: float, group: ControlGroup | None, files: Collection[int]
) -> str:
    """Enter a sandbox. This process stays outside as a guardian; the call returns in a child.

    Args:
        sandbox: what the child may touch.
        folder: its temporary folder, empty.
        memory: bytes of its /dev/shm, if it has its own.
        tasks: how many processes and threads it and its descendants may have.
        group: with the same limits; the guardian is in it too.
        files: the numbers of open files that it keeps; all others but the standard streams are closed.

    Returns:
        What is in force: "landlock+ns+seccomp+cgroup", or as much of it as the machine allows; "process" for nothing.
        "landlock-files" protects files alone (Linux before 6.12: signals reach other processes).
    """
    grouped = group is not None and group.join()
    private = sandbox.strict and namespaces.unshare()
    if linux.is_linux():
        linux.forbid_new_privileges()
    writer = guard(folder)
    parts = []
    if private:
        parts.append("ns" if namespaces.mount_private(memory, tasks) else "ns-without-mounts")
        wait_as_first(writer)
    limit_tasks(tasks, counted=not private)
    _forget_parent(files)
    _prepare_imports(sandbox)
    if linux.is_linux() and landlock.restrict_files(rules(sandbox, folder), tcp=not sandbox.strict):
        parts.insert(0, "landlock" if landlock.has_scopes() else "landlock-files")
    if sandbox.strict and seccomp.refuse_connections():
        parts.append("seccomp")
    if grouped:
        parts.append(CGROUP)
    if linux.is_linux():
        linux.drop_capabilities(*(() if sandbox.strict else (linux.CAP_DAC_OVERRIDE,)))
    _use_folder(folder)
    return "+".join(parts) or NO_SANDBOX


def _forget_parent(files: Collection[int]) -> None:
    """Close what leads out of this process: the connections to the fork server, to its tracker and to the parent."""
    resource_tracker._resource_tracker._fd = None  # type: ignore[attr-defined]  # there is no other way
    multiprocessing.process._parent_process = None  # type: ignore[attr-defined]
    multiprocessing.current_process().authkey = secrets.token_bytes(32)
    multiprocessing.current_process()._config.pop("tempdir", None)  # type: ignore[attr-defined]
    close_files(files)


def _prepare_imports(sandbox: Sandbox) -> None:
    """Let imports list the folders above hidden ones while that is allowed; they remember it."""
    above = folders_above(sandbox)
    for path in sys.path:
        if os.path.realpath(path) in above and (finder := pkgutil.get_importer(path)) is not None:
            finder.find_spec("_", None)


def _use_folder(folder: Path) -> None:
    """Make a folder the place of temporary files, and of caches that cannot be written where they are."""
    for name in ("TMPDIR", "TEMP", "TMP"):
        os.environ[name] = str(folder)
    tempfile.tempdir = str(folder)
    for name, usual in _DOWNLOADS.items():
        if not Path(usual).expanduser().exists():
            os.environ.setdefault(name, str(folder / name))
    for name, usual in _CACHES.items():
        try:
            with tempfile.TemporaryFile(dir=Path(os.environ.get(name, usual)).expanduser()):
                pass
        except OSError:
            with contextlib.suppress(OSError):
                (folder / name).mkdir()
            os.environ[name] = str(folder / name)
