"""The arrays of cells on disk: they end with their run, and a disk that is full fails one cell."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import StorageError
from harness.progress import NullReporter
from harness.prompts import Template
from harness.runner.array_files import FOLDER, LOCK, ArrayFiles
from harness.runner.feature_provider import provider_of
from harness.runner.judge import Judge
from harness.runner.plan import Plan, make_plan
from harness.runner.request import MethodChoice, Request
from harness.types.task import Needs

from ..cells import with_method
from ..datasets.roots import make_root
from .test_feature_provider import Asks

CODE = """
import os, pathlib, signal, sys
import numpy as np
from harness.runner.array_files import ArrayFiles
files = ArrayFiles.of_run(pathlib.Path(sys.argv[1]))
files.save(2, iter([np.zeros((2, 3))]))
print(files.folder, flush=True)
signal.pause()
"""


def content(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != LOCK]


@pytest.fixture
def other_run(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with files in the same cache, and their folder."""
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert len(content(folder)) == 1
        yield process, folder
        process.kill()


def test_files_of_a_killed_run_are_removed_by_the_next_and_those_of_a_living_one_stay(other_run, tmp_path):
    process, folder = other_run
    ArrayFiles.of_run(tmp_path).close()
    assert len(content(folder)) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    own = ArrayFiles.of_run(tmp_path)
    assert content(tmp_path / FOLDER) == [own.folder.name]
    own.close()
    assert content(tmp_path / FOLDER) == []


def test_arrays_come_back_and_their_names_say_nothing(tmp_path):
    files = ArrayFiles.of_run(tmp_path)
    array = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    first, second = (files.save(4, iter([array[:3], array[3:]])) for _ in range(2))
    assert (first.mapped() == array).all()
    first.mapped()[:] = 0
    assert (first.mapped() == array).all(), "what a process writes stays its own"
    names = [one.path.stem for one in (first, second)]
    assert [len(name) for name in names] == [32, 32]
    assert len(set(names)) == 2
    files.remove([first])
    assert content(files.folder) == [second.path.name]
    files.close()


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    data, cache = make_root(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("cache")
    place = {"data": data, "cache": cache, "backbone": "beyond-mini", "device": "cpu"}
    return make_plan(Request((MethodChoice("fsnl"),), ("Animals",), (2,), (1,), **place), NullReporter())


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may be longer than 100 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def asking(plan: Plan, **needs: bool) -> Any:
    cls = type("Asking", (Asks,), {"needs": Needs(**needs)})
    return with_method(plan.jobs[0], cls())


def test_a_full_disk_fails_one_cell_with_one_sentence_and_leaves_room_for_others(plan, tmp_path, request):
    jobs = [asking(plan, preprojection=True, pixels=True), asking(plan, preprojection=True)]
    provider = provider_of(plan, 1)
    provider.encode(jobs, NullReporter())
    files = ArrayFiles.of_run(tmp_path)
    judge = Judge(jobs, Template(), provider, files)
    request.getfixturevalue("full_disk")
    with pytest.raises(StorageError) as error:
        _ = judge[0]
    assert error.value.message == "the images of a cell cannot be written to the cache: file too large"
    assert error.value.hint == "choose another cache folder with --cache or HARNESS_CACHE"
    assert content(files.folder) == [], "the first array fitted, and went with the cell"
    assert len(judge[1].query.images.arrays) == 2
    assert len(content(files.folder)) == 1
    files.close()


@pytest.mark.usefixtures("ordinary")
def test_a_cache_that_cannot_be_written_is_replaced_by_the_users_own(tmp_path, monkeypatch):
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    shared.chmod(0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", str(own))
    files = ArrayFiles.of_run(shared)
    assert own in files.folder.parents
    assert files.save(1, iter([np.ones((1, 2))])).mapped().sum() == 2
    files.close()


@pytest.mark.usefixtures("ordinary")
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER).chmod(0o555)
    with pytest.raises(StorageError, match=f"{FOLDER} cannot be written: permission denied"):
        ArrayFiles.of_run(tmp_path)
