"""Writers that are killed, that meet, and that find no place to write: nothing is lost, nothing is half there."""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from harness.errors import StorageError
from harness.leaderboard.assemble import assemble
from harness.results.artifacts import Artifacts
from harness.results.leaderboard_file import BOARD
from harness.results.predictions import digest, pack
from harness.results.store import ResultStore, predictions_path
from harness.types.cell import Cell
from harness.types.leaderboard import Leaderboard

from ..leaderboard.results import Lab
from ..makers import make_cell

KILLS = 40


def cell(number: int, size: int = 4000) -> Cell:
    """A cell with its own predictions."""
    content = pack({"oop": np.random.default_rng(number).integers(0, 200, size)})
    made = make_cell(number / 10**6, seed=number)
    return made.model_copy(update={"predictions": digest(content), "predictions_content": content})


def check_whole(store: ResultStore) -> list[Cell]:
    """Every file that has a final name is whole, and every cell has its predictions."""
    for path in store.root.glob("cells/*/*.json"):
        assert store.get(path.stem) is not None, "a half-written cell"
    artifacts = Artifacts(lambda name: (store.root / name).read_bytes())
    cells = list(store.cells())
    for stored in cells:
        assert len(artifacts.predictions(str(stored.predictions))["oop"]) == 4000
    if (board := store.root / "leaderboard.json").exists():
        Leaderboard.model_validate_json(board.read_bytes())
    return cells


def write_leaderboard(store: ResultStore, leaderboard: Leaderboard) -> None:
    store.replace(BOARD, leaderboard.text().encode())


def write_for_ever(root: Path, start: int, begun: int) -> None:
    store = ResultStore(root)
    os.write(begun, b".")
    number = start
    while True:
        write_leaderboard(store, assemble([store.put(cell(number))]))
        number += 1


def forked(work, *arguments: object) -> int:  # type: ignore[no-untyped-def]
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return child


def test_a_writer_that_is_killed_again_and_again_leaves_whole_files(tmp_path: Path) -> None:
    moment = random.Random(0)
    store = ResultStore(tmp_path)
    store.prepare()
    store.put(cell(10**6))  # what a writer imports is imported before the forks
    before = time.perf_counter()
    for number in range(5):
        write_leaderboard(store, assemble([store.put(cell(10**6 + number))]))
    once = (time.perf_counter() - before) / 5  # on a busy machine everything takes longer
    seen: set[str] = set()
    for kill in range(KILLS):
        begun, begin = os.pipe()
        child = forked(write_for_ever, tmp_path, 1000 * kill, begin)
        os.read(begun, 1)
        os.close(begun)
        os.close(begin)
        time.sleep(moment.uniform(0, 4 * once))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        stored = {path.stem for path in tmp_path.glob("cells/*/*.json")}
        assert seen <= stored, "a stored cell is gone"
        seen = stored
    cells = check_whole(store)
    assert len(cells) == len(seen) > KILLS // 5, "the kills came too early to test anything"
    assert list(tmp_path.rglob(".tmp-*")), "no writer was killed while it wrote"
    for stored in cells:
        whole = cell(stored.spec.seed)
        assert stored == whole.model_copy(update={"predictions_content": None})


def write_some(root: Path, worker: int, cells: int) -> None:
    store = ResultStore(root)
    for number in range(cells):
        store.put(cell(number if number % 2 else 1000 * (worker + 1) + number))  # every other one all write alike


def test_eight_writers_lose_nothing(tmp_path: Path) -> None:
    ResultStore(tmp_path).prepare()
    children = [forked(write_some, tmp_path, worker, 50) for worker in range(8)]
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    wanted = set(range(1, 50, 2)) | {1000 * (w + 1) + n for w in range(8) for n in range(0, 50, 2)}
    stored = check_whole(ResultStore(tmp_path))
    assert {c.spec.seed for c in stored} == wanted
    assert len(stored) == len(wanted) == 225
    assert not list(tmp_path.rglob(".tmp-*"))


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "no space left"), (errno.EROFS, "read-only file system")])
@pytest.mark.parametrize("late", [0, 1])
def test_a_full_or_read_only_disk_damages_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, late: int
) -> None:
    store = ResultStore(tmp_path)
    store.put(cell(1))
    board = assemble(store.cells())
    write_leaderboard(store, board)
    real, calls = Path.replace, iter(range(100))

    def fail(path: Path, target: Path) -> Path:
        if next(calls) >= late:  # at the predictions, or after them at the cell
            raise OSError(number, os.strerror(number))
        return real(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StorageError, match=words):
        store.put(cell(2))
    with pytest.raises(StorageError, match=words):
        write_leaderboard(store, assemble([cell(2)]))
    monkeypatch.undo()
    assert [c.spec.seed for c in check_whole(store)] == [1]
    assert (tmp_path / "leaderboard.json").read_text() == board.text()
    assert (tmp_path / predictions_path(str(cell(2).predictions))).exists() == bool(late)
    store.put(cell(2))
    assert [c.spec.seed for c in sorted(check_whole(store), key=lambda c: c.spec.seed)] == [1, 2]


@pytest.mark.parametrize("words", [("submit", "--out"), ("verify",)])
def test_commands_that_cannot_write_say_so(lab: Lab, harness, monkeypatch, words) -> None:  # type: ignore[no-untyped-def]
    before = {p: p.read_bytes() for p in lab.out.rglob("*") if p.is_file()}

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    where = f"{lab.out}#fsnl" if words[0] == "submit" else lab.out
    code, _, err = harness("leaderboard", words[0], where, *([words[1], lab.out / "s.zip"] if words[1:] else []))
    assert code == 2
    assert "no space left on device" in err
    assert {p: p.read_bytes() for p in lab.out.rglob("*") if p.is_file()} == before


def test_predictions_that_were_damaged_are_written_again(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.put(cell(1))
    path = tmp_path / predictions_path(str(cell(1).predictions))
    path.write_bytes(b"x" * path.stat().st_size)
    store.put(cell(1))
    check_whole(store)
