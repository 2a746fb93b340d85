from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.datasets import digests as module
from harness.datasets import map_in_threads as map_in_threads_module
from harness.datasets.digests import DigestIndex
from harness.datasets.map_in_threads import QUICK_S, map_in_threads, map_short
from harness.errors import DataError


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "data" / f"{number}.bin" for number in range(8)]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


@pytest.fixture
def settled(monkeypatch):
    """Files count as settled at once."""
    monkeypatch.setattr(module, "SETTLED_S", 0.0)


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """The files that are really read."""
    seen: list[Path] = []
    real = module.file_digest
    monkeypatch.setattr(module, "file_digest", lambda path: seen.append(path) or real(path))
    return seen


def want(paths):
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_digests_are_in_order_with_errors_and_progress(tmp_path, files):
    index = DigestIndex(tmp_path / "cache" / "digests.sqlite")
    files[3].unlink()
    calls = []
    found = index.digests([*files, files[0]], workers=3, progress=lambda done, total: calls.append((done, total)))
    assert isinstance(found[3], DataError)
    assert [value for value in found if isinstance(value, str)] == want([*files[:3], *files[4:], files[0]])
    assert calls[-1] == (9, 9)
    assert index.digests([]) == []


def test_a_second_run_reads_no_file(tmp_path, files, settled, reads):
    path = tmp_path / "digests.sqlite"
    first = DigestIndex(path).digests(files)
    assert len(reads) == len(files)
    assert DigestIndex(path).digests(files) == first == want(files)
    assert len(reads) == len(files)


def test_changed_files_are_read_again(tmp_path, files, settled, reads):
    index = DigestIndex(tmp_path / "digests.sqlite")
    index.digests(files)
    reads.clear()
    stat = files[1].stat()
    files[0].write_bytes(b"longer than before")
    files[1].write_bytes(b"x.bin")  # same size, and the old time stamp put back
    os.utime(files[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert index.digests(files) == want(files)
    assert set(reads) == set(files[:2])


def test_files_of_many_folders_keep_their_digests_when_one_changes(tmp_path, settled, reads, monkeypatch):
    """Also names that are no UTF-8, folders with the same file names, and relative paths."""
    monkeypatch.chdir(tmp_path)
    names = ["a/0.bin", "a/1.bin", "b/0.bin", "b/sub/0.bin", "top.bin", os.fsdecode(b"b/\xff\n.bin")]
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(os.fsencode(name))
    paths = [Path(name) for name in names]
    DigestIndex(Path("digests.sqlite")).digests(names[:3])
    assert DigestIndex(Path("digests.sqlite")).digests([tmp_path / name for name in names]) == want(paths)
    reads.clear()
    paths[2].write_bytes(b"other content")
    assert DigestIndex(Path("digests.sqlite")).digests(names) == want(paths)
    assert [str(path) for path in reads] == ["b/0.bin"]


def test_recently_changed_files_are_not_cached(tmp_path, files, reads):
    index = DigestIndex(tmp_path / "digests.sqlite")
    os.utime(files[0], (1000, 1000))  # an old time that was put on it a moment ago
    index.digests(files)
    index.digests(files)
    assert len(reads) == 2 * len(files)


def test_a_file_that_changes_during_reading_is_not_cached(tmp_path, files, settled, monkeypatch):
    index = DigestIndex(tmp_path / "digests.sqlite")
    real = module.file_digest

    def read_then_change(path):
        value = real(path)
        path.write_bytes(b"changed meanwhile")
        return value

    with monkeypatch.context() as patch:
        patch.setattr(module, "file_digest", read_then_change)
        index.digests(files[:1])
    assert index.digests(files[:1]) == want(files[:1])


def test_a_file_that_was_new_when_it_was_looked_at_is_not_cached_however_long_reading_takes(
    tmp_path, files, reads, monkeypatch
):
    """It may have changed right after it was read, with the same time stamp."""
    index = DigestIndex(tmp_path / "digests.sqlite")
    begin = time.time_ns()
    now = [begin]
    real = module.file_digest

    def read_slowly(path):
        now[0] = begin + 10**10
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(module.time, "time_ns", lambda: now[0])
        patch.setattr(module, "file_digest", read_slowly)
        index.digests(files[:1])
    assert index.digests(files[:1]) == want(files[:1])
    assert len(reads) == 2


def _no_database(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def _cut_short(path: Path) -> None:
    DigestIndex(path).digests([Path(__file__)])
    path.write_bytes(path.read_bytes()[:5000])


def _other_schema(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE folders (path TEXT)")
    connection.close()


def _folder(path: Path) -> None:
    path.mkdir()


def _below_a_file(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")


@pytest.mark.parametrize("damage", [_no_database, _cut_short, _other_schema, _folder, _below_a_file])
def test_a_damaged_index_is_replaced(tmp_path, files, settled, reads, damage):
    path = tmp_path / "cache" / "digests.sqlite"
    if damage is not _below_a_file:
        path.parent.mkdir()
    damage(path)
    reads.clear()
    index = DigestIndex(path)
    assert index.digests(files) == want(files)
    assert index.digests(files) == want(files)
    assert len(reads) == len(files), "the second time comes from memory or from the index made anew"


def test_an_unremovable_damaged_index_is_ignored(tmp_path, files, settled, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    _other_schema(tmp_path / "digests.sqlite")
    monkeypatch.setattr(module, "_is_damaged", lambda error: True)
    monkeypatch.setattr(Path, "unlink", refuse)
    assert DigestIndex(tmp_path / "digests.sqlite").digests(files) == want(files)


def test_an_invalid_row_is_ignored(tmp_path, files, settled):
    path = tmp_path / "digests.sqlite"
    DigestIndex(path).digests(files)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE folders SET files = files || 'short'")
    connection.close()
    assert DigestIndex(path).digests(files) == want(files)


@pytest.mark.parametrize(("lock", "known"), [("EXCLUSIVE", 0), ("IMMEDIATE", 1)])  # the latter can be read
def test_a_locked_index_is_waited_for_once(tmp_path, files, settled, reads, monkeypatch, lock, known):
    path = tmp_path / "digests.sqlite"
    DigestIndex(path).digests(files[:1])
    reads.clear()
    waits = []
    real = sqlite3.connect

    class Impatient(sqlite3.Connection):
        def execute(self, *given):
            return self.staged(super().execute, *given)

        def executemany(self, *given):
            return self.staged(super().executemany, *given)

        def staged(self, run, *given):
            try:
                return run(*given)
            except sqlite3.OperationalError:
                waits.append(given)
                raise

    monkeypatch.setattr(module, "_BATCH", 2)
    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.01)
    monkeypatch.setattr(module.sqlite3, "connect", lambda name, timeout: real(name, timeout=timeout, factory=Impatient))
    holder = real(path)
    holder.execute(f"BEGIN {lock}")
    try:
        index = DigestIndex(path)
        assert index.digests(files) == want(files)
        assert index.digests(files) == want(files)
    finally:
        holder.close()
    assert len(waits) == 1
    assert len(reads) == len(files) - known
    assert DigestIndex(path).digests(files) == want(files), "whoever comes later writes it again"


def test_processes_share_one_index(tmp_path, files):
    old = time.time() - 60
    for path in files:
        os.utime(path, (old, old))
    script = (
        "import sys; from pathlib import Path; from harness.datasets import digests;"
        "digests.SETTLED_S = 0; index = digests.DigestIndex(Path(sys.argv[1]));"
        "[print(*index.digests([Path(name) for name in sys.argv[2:]])) for _ in range(5)]"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "cache" / "digests.sqlite"), *map(str, files)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert output.splitlines() == [" ".join(want(files))] * 5


def test_threads_keep_order_and_stop_at_an_error():
    assert list(map_in_threads(lambda n: n * n, range(100), 4)) == [n * n for n in range(100)]
    begun = []

    def work(number):
        begun.append(number)
        if number == 3:
            raise DataError("three")
        return number

    with pytest.raises(DataError, match="three"):
        list(map_in_threads(work, range(100_000), 2))
    assert len(begun) < 200


@pytest.mark.parametrize(("seconds", "alone"), [(0, True), (2 * QUICK_S, False)])
def test_short_work_is_done_in_threads_only_if_it_is_not_quick(seconds, alone, monkeypatch):
    threads, clock = set(), [0.0]
    monkeypatch.setattr(map_in_threads_module, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def work(number):
        threads.add(threading.get_ident())
        clock[0] += seconds
        return number * number

    assert list(map_short(work, range(200), 2)) == [number * number for number in range(200)]
    assert (threads == {threading.get_ident()}) == alone
