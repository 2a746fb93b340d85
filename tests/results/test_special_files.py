"""A named pipe, socket or device in the place of a file, or a file of any size: never a hang, always a sentence."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StorageError
from harness.feature_cache import shard
from harness.files import MAX_BYTES
from harness.results.artifacts import references
from harness.user_key import MARK_DIGITS

from ..leaderboard.results import Lab

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise AssertionError("reading hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    folder = Path.cwd()
    os.chdir(path.parent)  # the name of a socket has at most 108 bytes
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name[:100])
    os.chdir(folder)
    if len(path.name) > 100:
        (path.parent / path.name[:100]).rename(path)


def folder(path: Path) -> None:
    path.mkdir()


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)


KINDS = (pipe, device, listening, folder, sparse)


def each_once(*files: str) -> Any:
    """Each kind in the place of the first file, and a pipe and a large file in that of the others: they hang most."""
    cases = [(files[0], put) for put in KINDS] + [(what, put) for what in files[1:] for put in (pipe, sparse)]
    return pytest.mark.parametrize(("what", "put"), cases)


@each_once("leaderboard", "costs", "marks", "labels", "manifest", "predictions", "submission")
def test_in_the_place_of_a_file_of_results(what: str, put: Callable[[Path], None], lab: Lab, harness: Any) -> None:
    names = {"leaderboard": "leaderboard.json", "costs": "costs.json", "marks": "verified.json", "submission": "a.zip"}
    name = names.get(what) or next(one.path for one in references(lab.row("fsnl")) if one.what == what)
    path = lab.out / name
    path.unlink(missing_ok=True)
    put(path)
    source = path if what == "submission" else lab.out
    codes = [harness("leaderboard", verb, source) for verb in ("show", "verify")]
    optional = what in ("costs", "marks")
    for code, _, err in codes:
        assert "Traceback" not in err
        assert code in (0, 2, 3)
        assert optional or code or what in ("labels", "manifest", "predictions"), err
    assert codes[1][0] != 0 or optional, "the row is verified without the file"


@each_once("split_Xin_{}.json", "merged_mapping.json", "label2name.json", "image", "dataset.json")
def test_in_the_place_of_a_file_of_the_data(what: str, put: Callable[[Path], None], lab: Lab, harness: Any) -> None:
    where = lab.root / "Animals6_OOP"
    path = where / what.format(where.name)
    if what == "image":
        path = next(path for path in sorted(where.rglob("images/*/*")) if path.is_file())
    if what == "dataset.json":
        path = lab.root / what
    path.unlink(missing_ok=True)
    put(path)
    code, out, err = harness("data", "check", lab.root, "--workers", 1)
    assert "Traceback" not in err
    assert code == (0 if what == "dataset.json" else 1), out


@pytest.mark.parametrize("put", KINDS)
def test_in_the_place_of_features(put: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / f"{'0' * 64}-{'0' * MARK_DIGITS}.safetensors"
    put(path)
    assert shard.count_images(path) == 0
    if put is not sparse:  # features are mapped, and not read
        with pytest.raises(StorageError, match="cannot be read: it is a"):
            shard.check(path, shard.RowRule())


@pytest.mark.parametrize("put", KINDS)
def test_in_the_place_of_options(put: Callable[[Path], None], tmp_path: Path, harness: Any) -> None:
    path = tmp_path / "run.toml"
    put(path)
    code, _, err = harness("evaluate", "--config", path)
    assert (code, "cannot be read: it " in err) == (2, True)


def test_the_bound_holds_for_a_file_that_states_no_size(harness: Any) -> None:
    stated = Path("/proc/self/maps")
    if not stated.is_file():
        pytest.skip("only Linux has such files")
    assert stated.stat().st_size == 0 < MAX_BYTES
    code, _, err = harness("leaderboard", "show", stated)
    assert (code, "is not a valid leaderboard" in err) == (2, True)
