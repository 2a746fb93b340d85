"""Atomic writing, safe reading and listing of files."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StorageError
from harness.files import (
    detect_placeholder,
    list_paths,
    read_file,
    save,
    write_atomic,
    write_error,
)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_write_atomic_creates_and_replaces_with_umask_mode(umask: int, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    before = os.umask(umask)
    try:
        write_atomic(path, b"one")
        write_atomic(path, b"two")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"one")

    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write_atomic(path, b"two")
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of open files are read from /proc")
def test_a_saved_file_is_on_the_disk_with_its_name_and_the_names_of_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, list[str]]] = []

    def record(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        names = sorted(p.name for p in path.iterdir()) if path.is_dir() else ["content"]
        synced.append((path.relative_to(tmp_path).as_posix(), names))

    monkeypatch.setattr(os, "fsync", record)
    save(tmp_path / "a" / "b" / "file", b"one", "it", "hint")
    (temporary, content), *folders = sorted(synced, key=lambda one: one[1] != ["content"])
    assert (temporary.startswith("a/b/.tmp-harness-"), content) == (True, ["content"])
    assert folders == [(".", ["a"]), ("a", ["b"]), ("a/b", ["file"])]
    assert [path for path, _ in synced][2] == temporary, "content first, then the name"


@pytest.mark.parametrize(("number", "is_error"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_syncs_no_folders_is_used_and_a_failing_disk_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_error: bool
) -> None:
    def fail(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError) if is_error else contextlib.nullcontext():
        save(tmp_path / "file", b"one", "it", "hint")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_temporary_files_are_removed_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ages = {".tmp-harness-old": 90_000, ".tmp-harness-new": 80_000, ".tmp-other": 90_000, "old.json": 90_000}
    for name, age in ages.items():
        (tmp_path / name).write_bytes(b"half")
        then = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (then, then))
    write_atomic(tmp_path / "a.json", b"one")
    assert {p.name for p in tmp_path.iterdir()} == {*ages, "a.json"} - {".tmp-harness-old"}
    # Once for each folder and process: a folder of a hundred thousand results is not listed for each of them.
    monkeypatch.setattr(os, "scandir", None)
    write_atomic(tmp_path / "a.json", b"two")
    assert (tmp_path / "a.json").read_bytes() == b"two"


def test_unremovable_temporary_files_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / ".tmp-harness-old"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    unlink = Path.unlink

    def refuse(path: Path, *args: Any, **options: Any) -> None:
        if path == left:
            raise PermissionError
        unlink(path, *args, **options)

    monkeypatch.setattr(Path, "unlink", refuse)
    write_atomic(tmp_path / "a.json", b"one")
    assert (tmp_path / "a.json").read_bytes() == b"one"
    assert left.exists()


@pytest.mark.usefixtures("ordinary")
def test_unreadable_folders_are_errors(tmp_path: Path) -> None:
    for name in ("b/1.json", "a/2.json", "a/2.txt", "c/deep/3.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_paths(tmp_path, "*/*.json") == [tmp_path / "a/2.json", tmp_path / "b/1.json"]
    assert list_paths(tmp_path / "none", "*/*.json") == []
    (tmp_path / "b").chmod(0o000)
    with pytest.raises(StorageError, match="b cannot be read: permission denied"):
        list_paths(tmp_path, "*/*.json")


def test_save_creates_parent_folders_or_raises(tmp_path: Path) -> None:
    save(tmp_path / "a" / "b" / "c.json", b"one", "results", "choose another folder")
    assert (tmp_path / "a" / "b" / "c.json").read_bytes() == b"one"
    with pytest.raises(StorageError, match=r"results cannot be written to .*c.json/d.json: ") as error:
        save(tmp_path / "a" / "b" / "c.json" / "d.json", b"two", "results", "choose another folder")
    assert error.value.hint == "choose another folder"


def test_hidden_files_are_not_listed(tmp_path: Path) -> None:
    for name in ("a/b.json", "a/._b.json", "._a/b.json", "a/.DS_Store", ".a/b.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_paths(tmp_path, "*/*.json") == [tmp_path / "a/b.json"]
    assert list_paths(tmp_path, "*") == [tmp_path / "a"]


@pytest.mark.parametrize(
    ("content", "begins"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "a Git LFS pointer"),
        (b"<!doctype HTML>", "a web page"),
        (b'\xef\xbb\xbf <?xml version="1.0"?>\n<html lang="en">', "a web page"),
    ],
)
def test_placeholders_are_detected(content: bytes, begins: str) -> None:
    assert str(detect_placeholder(content)).startswith(begins)
    assert detect_placeholder(b"x" + content) is None


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_a_file_that_becomes_a_pipe_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (tmp_path / "whole").write_bytes(b"abc") and (tmp_path / "whole").stat()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a named pipe, not a file"):
        read_file(tmp_path / "pipe")
    monkeypatch.setattr(Path, "stat", lambda path: whole)  # as it was when it was looked at
    with pytest.raises(OSError, match="it is a named pipe, not a file"):
        read_file(tmp_path / "pipe")
    assert read_file(tmp_path / "whole", 3) == b"abc"
    with pytest.raises(OSError, match="it has more than 2 bytes"):
        read_file(tmp_path / "whole", 2)


def test_write_errors_name_file_and_reason() -> None:
    error = write_error("results", Path("out"), OSError(28, "No space left on device"), "another")
    assert error.message == "results cannot be written to out: no space left on device"
    assert write_error("results", Path("out"), OSError("Odd"), "").message.endswith(": odd")


@pytest.mark.parametrize(("number", "room"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False)])
def test_a_full_disk_adds_a_hint_to_free_space(number: int, room: bool) -> None:
    hint = write_error("results", Path("out"), OSError(number, "No"), "choose another folder").hint
    assert hint == ("free some space, or choose another folder" if room else "choose another folder")
