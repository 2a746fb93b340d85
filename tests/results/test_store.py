"""The store: files are whole or absent, damage is passed over, and a failure never hides a result."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import StorageError
from harness.leaderboard.update import update_leaderboard
from harness.results.predictions import digest, pack
from harness.results.store import FAILED, ResultStore, StoredCell, predictions_path
from harness.types.cell import Cell, Failure
from harness.types.manifest import Manifest

from ..makers import make_cell, sha

ERROR = Failure(kind="error", reason="it broke")


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    found = ResultStore(tmp_path / "deep" / "results")
    found.prepare()
    return found


def cell_file(store: ResultStore, cell: Cell) -> Path:
    key = cell.spec.key
    return store.root / "cells" / key[:2] / f"{key}.json"


def fail_with(monkeypatch: pytest.MonkeyPatch, function: str, number: int) -> None:
    """Let a method of ``Path`` fail as the system would."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, function, fail)


def test_what_is_put_is_got(store: ResultStore) -> None:
    cells = [make_cell(0.1 * seed, seed=seed) for seed in (1, 2, 3)]
    for cell in cells:
        store.put(cell)
    keys = [cell.spec.key for cell in cells]
    assert [store.get(key) for key in keys] == cells
    assert store.known([*keys, sha("no such cell")], pytest.fail) == set(keys)
    assert sorted(keys) == [cell.spec.key for cell in store.cells()]
    assert ResultStore(store.root).get(keys[0]) == cells[0]


def test_a_new_ledger_holds_nothing(store: ResultStore) -> None:
    assert list(store.cells()) == []
    assert store.get(sha("x")) is None
    assert list(ResultStore(store.root / "not there").cells()) == []


def test_preparing_leaves_no_file_behind(store: ResultStore) -> None:
    assert [path.name for path in store.root.rglob("*")] == ["cells"]


def test_putting_a_cell_twice_is_the_same_as_once(store: ResultStore) -> None:
    store.put(make_cell())
    before = cell_file(store, make_cell()).read_bytes()
    store.put(make_cell())
    stored = store.get(make_cell().spec.key)
    assert stored is not None
    assert cell_file(store, make_cell()).read_bytes() == before
    other = stored.model_copy(update={"predictions": "0" * 64})
    assert store.put(other) == other, "its predictions are on disk already"
    assert len(list(store.cells())) == 1


# -- failures ------------------------------------------------------------------------------------------------------


def test_a_failed_cell_is_kept_for_the_record_and_tried_again(store: ResultStore) -> None:
    failed = make_cell(failure=ERROR)
    store.put(failed)
    assert store.get(failed.spec.key) is None
    assert list(store.cells()) == []
    (record,) = store.root.rglob("*.failed.json")
    assert StoredCell.model_validate_json(record.read_bytes()).cell == failed
    (name,) = store.stamps()
    assert name == f"{failed.spec.key[:2]}/{failed.spec.key}{FAILED}"
    assert store.read(name) == StoredCell(sha256=failed.digest(), cell=failed)


def test_a_result_clears_the_failure_before_it(store: ResultStore) -> None:
    store.put(make_cell(failure=ERROR))
    store.put(make_cell(0.7))
    assert list(store.cells()) == [make_cell(0.7)]
    assert list(store.root.rglob("*.failed.json")) == []


def test_a_failure_that_cannot_be_cleared_stops_nobody(store: ResultStore) -> None:
    cell_file(store, make_cell()).with_suffix(".failed.json").mkdir(parents=True)
    store.put(make_cell())
    assert list(store.cells()) == [make_cell()]


def test_a_failure_never_hides_a_result(store: ResultStore) -> None:
    store.put(make_cell(0.7))
    store.put(make_cell(failure=ERROR))
    assert store.get(make_cell().spec.key) == make_cell(0.7)
    assert store.latest(make_cell().spec.key) == make_cell(0.7)
    assert list(store.cells()) == [make_cell(0.7)]


def test_not_applicable_is_an_answer(store: ResultStore) -> None:
    cell = make_cell(failure=Failure(kind="not applicable", reason="fixed vocabulary"))
    store.put(cell)
    assert store.get(cell.spec.key) == cell


# -- stamps --------------------------------------------------------------------------------------------------------


def test_stamps_are_of_the_files_of_cells_and_change_with_them(store: ResultStore) -> None:
    assert store.stamps() == {}
    store.put(make_cell(seed=1))
    store.put(make_cell(failure=ERROR, seed=2))
    path = cell_file(store, make_cell(seed=1))
    (path.parent / ".hidden.json").touch()
    path.with_suffix(".failed.log").touch()
    (store.root / "cells" / "a file").touch()
    before = store.stamps()
    assert set(before) == {str(p.relative_to(store.root / "cells")) for p in store.root.glob("cells/*/[!.]*.json")}
    assert len(before) == 2
    assert before == store.stamps()
    store.put(make_cell(0.75, seed=1))
    after = store.stamps()
    assert [name for name in before if before[name] != after[name]] == [f"{path.parent.name}/{path.name}"]
    assert store.read("00/gone.json") is None


# -- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"\xff\xfe", b"[]", b'{"spec": 1}'])
def test_a_damaged_cell_is_computed_again(store: ResultStore, damage: bytes) -> None:
    store.put(make_cell(seed=1))
    store.put(make_cell(seed=2))
    cell_file(store, make_cell(seed=1)).write_bytes(damage)
    assert store.get(make_cell(seed=1).spec.key) is None
    assert list(store.cells()) == [make_cell(seed=2)]
    store.put(make_cell(seed=1))
    assert len(list(store.cells())) == 2


def test_a_cell_that_was_cut_off_is_computed_again(store: ResultStore) -> None:
    store.put(make_cell())
    path = cell_file(store, make_cell())
    path.write_bytes(path.read_bytes()[:-40])
    assert store.get(make_cell().spec.key) is None


def test_a_cell_under_another_ones_name_is_not_believed(store: ResultStore) -> None:
    store.put(make_cell(seed=1))
    other = cell_file(store, make_cell(seed=2))
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(cell_file(store, make_cell(seed=1)).read_bytes())
    assert store.get(make_cell(seed=2).spec.key) is None
    assert list(store.cells()) == [make_cell(seed=1)]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The address of every value in a JSON document that is neither an object nor an array, or is an empty one."""
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*at, key))
    else:
        yield at


OTHER_VALUES = (0.987, "x", 7, True, None, [], {"a": 1})


def test_a_cell_with_any_value_changed_is_not_believed(store: ResultStore) -> None:
    cell = make_cell(0.5).model_copy(update={"revision": "r1", "per_class": {"oop": (0.5, None)}, "outcome": {"e": 3}})
    store.put(cell)
    path = cell_file(store, cell)
    whole = path.read_text()
    for place in places(json.loads(whole)):
        for value in OTHER_VALUES:
            content = json.loads(whole)
            inner = content
            for key in place[:-1]:
                inner = inner[key]
            if (type(inner[place[-1]]), inner[place[-1]]) != (type(value), value):
                inner[place[-1]] = value
                path.write_text(json.dumps(content))
                assert store.get(cell.spec.key) in (None, cell), place
    path.write_text(whole.replace("0.5", "0.987", 1))
    assert store.get(cell.spec.key) is None
    assert list(store.cells()) == []


def test_results_that_are_damaged_or_without_predictions_are_not_known(store: ResultStore) -> None:
    cells = []
    for seed in range(5):
        content = pack({"oop": np.arange(seed + 1)})
        cell = make_cell(seed=seed).model_copy(update={"predictions": digest(content), "predictions_content": content})
        cells.append(store.put(cell))
    keys, files = [cell.spec.key for cell in cells], [store.root / predictions_path(str(c.predictions)) for c in cells]
    assert store.known(keys, pytest.fail) == set(keys)
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-1] + b"x")
    cell_file(store, cells[2]).write_bytes(b"")
    cell_file(store, cells[3]).unlink()  # as if it had never been computed
    notes: list[str] = []
    assert store.known(keys, notes.append) == set(keys[4:])
    assert notes == [f"3 results to be computed again: {files[0]} is missing or damaged, and others"]


def test_what_a_killed_writer_left_is_ignored(store: ResultStore) -> None:
    store.put(make_cell())
    path = cell_file(store, make_cell())
    (path.parent / ".tmp-abc").write_bytes(path.read_bytes()[:100])
    (store.root / "cells" / ".writable").write_bytes(b"")
    assert list(store.cells()) == [make_cell()]


def test_killed_before_the_rename_nothing_is_there(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(*args: Any) -> Any:
        raise Killed

    monkeypatch.setattr(Path, "replace", die)
    monkeypatch.setattr(Path, "unlink", lambda *args, **kwargs: None)  # a killed process tidies nothing up
    with pytest.raises(Killed):
        store.put(make_cell())
    monkeypatch.undo()
    assert list(store.cells()) == []
    store.put(make_cell())
    assert list(store.cells()) == [make_cell()]


# -- the disk --------------------------------------------------------------------------------------------------------


def test_cells_are_synced_together_before_a_leaderboard_names_them(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[int | str]()
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append("fsync"))
    monkeypatch.setattr("harness.results.store.sync_file_system", lambda folder: seen.append(len(list(store.cells()))))
    for seed in range(3):
        content = pack({"oop": np.arange(seed + 1)})
        store.put(
            make_cell(seed=seed).model_copy(update={"predictions": digest(content), "predictions_content": content})
        )
    store.put_log(make_cell().spec.key, b"words")
    assert seen == []
    update_leaderboard(store)
    assert seen[0] == 3
    written = len(seen)
    assert written > 1
    update_leaderboard(store)
    assert len(seen) == written, "nothing is new"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_a_disk_that_fails_is_an_error_in_one_sentence(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[tuple[str, str]]()

    def failing(name: str, handle: int) -> int:
        asked.append((name, str(Path(f"/proc/self/fd/{handle}").readlink())))
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    store.put(make_cell())
    with monkeypatch.context() as patch:
        patch.setattr("harness.execution.linux.call", failing)
        with pytest.raises(StorageError, match=f"results cannot be written to {store.root}: input/output error"):
            store.flush()
    assert asked == [("syncfs", str(store.root.resolve()))]
    store.flush()
    store.flush()


@pytest.mark.parametrize("lost", ["whole", "half", "empty"])
def test_results_that_a_power_failure_took_are_computed_again(store: ResultStore, lost: str) -> None:
    """The system may have written the name of a file and not its content, or neither, of any file that is recent."""
    contents = [pack({"oop": np.arange(seed + 1)}) for seed in range(4)]
    cells = [
        make_cell(seed=seed).model_copy(update={"predictions": digest(content), "predictions_content": content})
        for seed, content in enumerate(contents)
    ]
    keys = [store.put(cell).spec.key for cell in cells]
    whole = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    for path in (cell_file(store, cells[1]), store.root / predictions_path(str(cells[2].predictions))):
        if lost == "whole":
            path.unlink()
        else:
            path.write_bytes(whole[path][: len(whole[path]) // 2 if lost == "half" else 0])
    known = store.known(keys, lambda note: None)
    assert known == {keys[0], keys[3]}
    for key, cell in zip(keys, cells, strict=True):
        if key not in known:
            store.put(cell)
    assert {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()} == whole


# -- folders that cannot be written ----------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["replace", "mkdir"])
@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "no space left"), (errno.EROFS, "read-only file system")])
def test_a_full_or_read_only_disk_is_a_sentence(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch, function: str, number: int, words: str
) -> None:
    store.put(make_cell(seed=1))
    fail_with(monkeypatch, function, number)
    with pytest.raises(StorageError, match=words) as error:
        store.put(make_cell(seed=2))
    assert str(store.root) in error.value.message
    assert "--out" in str(error.value.hint)
    monkeypatch.undo()
    assert list(store.cells()) == [make_cell(seed=1)]
    assert not list(store.root.rglob(".tmp-*"))


@pytest.mark.usefixtures("ordinary")
def test_read_only_folder_is_an_error_before_anything_is_computed(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(StorageError, match=r"results cannot be written to .*: permission denied"):
        ResultStore(tmp_path).prepare()


@pytest.mark.usefixtures("ordinary")
def test_cells_that_may_not_be_read_are_a_sentence_and_not_lost(store: ResultStore) -> None:
    store.put(make_cell())
    folder = cell_file(store, make_cell()).parent
    for mode in (0o000, 0o444, 0o111):
        folder.chmod(mode)
        with pytest.raises(StorageError, match=f"{folder.name}.* cannot be read: permission denied"):
            list(store.cells())
    folder.chmod(0o755)
    assert list(store.cells()) == [make_cell()]


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(StorageError, match="results cannot be written"):
        ResultStore(tmp_path / "results").prepare()
    with pytest.raises(StorageError, match="results cannot be written"):
        ResultStore(tmp_path / "results").put(make_cell())


def test_a_cell_that_cannot_be_read_is_a_sentence(store: ResultStore) -> None:
    cell_file(store, make_cell()).mkdir(parents=True)  # unreadable for root too: a folder is not a file
    with pytest.raises(StorageError, match="cannot be read"):
        store.get(make_cell().spec.key)


# -- manifests -----------------------------------------------------------------------------------------------------


def test_a_manifest_lies_under_its_hash(store: ResultStore) -> None:
    manifest = Manifest(protocol="clean-v1", domain="Animals", side="oop", shots=1, seed=1, names=("ibex",), picks=())
    store.put_manifest(manifest)
    store.put_manifest(manifest)
    (path,) = (store.root / "manifests").iterdir()
    assert path.name == f"{sha(path.read_text())}.json"
    assert Manifest.model_validate_json(path.read_bytes()) == manifest
    assert list(store.cells()) == []
