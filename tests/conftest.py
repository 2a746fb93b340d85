from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as there are cores: threads of torch would only wait
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and numpy are imported, which is later


@pytest.fixture(scope="session", autouse=True)
def _own_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests, and the commands that they start, use no key of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CONFIG", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_command() -> Iterator[None]:
    """Typer builds the command with all its options once, not for every command line that runs in this process."""
    import typer.main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_fork_server() -> Iterator[None]:
    """The fork server of this process imports what runs need, whoever starts it first.

    ``harness doctor`` starts one that imports nothing; each process of a later run would then import torch anew.
    """
    from harness.execution import fork_server
    from harness.runner.method_processes import PRELOADED

    start = fork_server.start_server
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork_server, "start_server", lambda modules: start(PRELOADED))
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests share: what they make there, they make under a lock."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(name="make_root")
def _make_root() -> Callable[..., Path]:
    """Writes a small LAION-Beyond root in the released format: ``make_root(tmp_path)``; see ``datasets/roots.py``."""
    from .datasets.roots import make_root

    return make_root


@pytest.fixture
def as_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Changes to the user of a name, with an own configuration and key, and an own cache; it begins as ann."""
    from harness.user_key import _key

    def change(name: str) -> None:
        monkeypatch.setenv("HARNESS_CONFIG", str(tmp_path / "users" / name / "config"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users" / name / "cache"))
        _key.cache_clear()

    change("ann")
    yield change
    _key.cache_clear()


@pytest.fixture
def ordinary(tmp_path: Path) -> Iterator[None]:
    """Permissions count in this test, also where root runs it.

    Root's capabilities to pass over them (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH) are put away from this thread, and
    from those that it starts; not from new processes.
    """
    if sys.platform != "linux":
        pytest.skip("capabilities are Linux's")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    held = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice 32 bits each
    assert libc.capget(header, held) == 0
    fewer = (ctypes.c_uint32 * 6)(*held)
    fewer[0] &= ~(1 << 1 | 1 << 2)
    assert libc.capset(header, fewer) == 0
    yield
    tmp_path.chmod(0o755)
    for folder, inner, _ in os.walk(tmp_path):  # pytest has to remove what the test shut
        for name in inner:
            (Path(folder) / name).chmod(0o755)
    assert libc.capset(header, held) == 0
