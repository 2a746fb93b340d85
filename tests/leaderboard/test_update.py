"""Updating a leaderboard by its index gives what reading everything gives, whatever happened to the folder."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.leaderboard import index as index_module
from harness.leaderboard import update as update_module
from harness.leaderboard.assemble import assemble, row_key
from harness.leaderboard.index import INDEX, Index
from harness.leaderboard.update import update_leaderboard
from harness.results.costs import FILE, Costs, cost_of
from harness.results.leaderboard_file import BOARD
from harness.results.store import FAILED, ResultStore, StoredCell, cell_path
from harness.types.cell import Cell, Failure, Spec

from ..makers import make_cell, make_spec, sha

ERROR = Failure(kind="error", reason="it broke")


def reading_everything(store: ResultStore, planned: Sequence[Spec] = ()) -> tuple[str, bytes]:
    """The leaderboard and the costs, without an index."""
    found = {name: store.read(name) for name in store.stamps()}
    cells = {name: stored.cell for name, stored in found.items() if stored is not None}
    finished = {cell.spec.key: cell for name, cell in cells.items() if not name.endswith(FAILED)}
    shown = {row_key(spec) for spec in (*planned, *(cell.spec for cell in finished.values()))}
    failed = [c for name, c in cells.items() if name.endswith(FAILED) and row_key(c.spec) in shown]
    board = assemble([*finished.values(), *failed], planned=planned)
    known = {row.id: cost for row in board.rows if (cost := cost_of(row, finished.get)) is not None}
    return board.text(), Costs(rows=dict(sorted(known.items()))).content()


def require_equal(store: ResultStore, planned: Sequence[Spec] = ()) -> None:
    update_leaderboard(store, planned)
    assert ((store.root / BOARD).read_text(), (store.root / FILE).read_bytes()) == reading_everything(store, planned)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the stamps of files that were just written, as if two seconds had passed."""
    monkeypatch.setattr(update_module, "SETTLED_NS", 0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cells that are read."""
    names: list[str] = []
    read = ResultStore.read

    def note(store: ResultStore, name: str) -> StoredCell | None:
        names.append(name)
        return read(store, name)

    monkeypatch.setattr(ResultStore, "read", note)
    return names


def grid(methods: int, domains: str = "AB", seeds: Sequence[int] = (1, 2)) -> list[Cell]:
    return [
        make_cell(seed / 10 + method / 100, domain=domain, seed=seed, method={"parameters": {"lr": method}})
        for method in range(methods)
        for domain in domains
        for seed in seeds
    ]


def put(store: ResultStore, cells: Sequence[Cell]) -> None:
    for cell in cells:
        store.put(cell)


# -- what is read --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settled")
def test_only_cells_of_changed_rows_are_read(store: ResultStore, reads: list[str]) -> None:
    cells = grid(4)
    put(store, cells[:-1])
    update_leaderboard(store)
    assert len(reads) == 15
    reads.clear()
    update_leaderboard(store)
    assert reads == []
    put(store, cells[-1:])
    reads.clear()
    update_leaderboard(store)
    assert len(reads) == 4, "the new cell, and the three others of its row"
    require_equal(store)


@pytest.mark.usefixtures("settled")
def test_a_new_seed_changes_every_row_of_its_setting(store: ResultStore) -> None:
    put(store, grid(3))
    require_equal(store)
    put(store, [make_cell(seed=9, domain="C")])
    require_equal(store)
    assert '"kind": "missing"' in (store.root / BOARD).read_text()


def test_cells_that_were_just_written_are_read_again(store: ResultStore, reads: list[str]) -> None:
    put(store, grid(1))
    update_leaderboard(store)
    reads.clear()
    update_leaderboard(store)
    assert len(reads) == 4


def test_a_cell_that_changes_within_one_time_stamp_is_noticed(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, grid(2))
    stamps = store.stamps()
    monkeypatch.setattr(ResultStore, "stamps", lambda self: stamps)  # a clock that stands still
    update_leaderboard(store)
    store.put(grid(2)[0].model_copy(update={"metrics": {"oop_top1": 0.9}}))
    update_leaderboard(store)
    assert (store.root / BOARD).read_text() == reading_everything(store)[0]


@pytest.mark.usefixtures("settled")
def test_an_unchanged_folder_is_not_written(store: ResultStore) -> None:
    put(store, grid(2))
    update_leaderboard(store)
    before = {path: path.stat() for path in store.root.iterdir() if path.is_file()}
    update_leaderboard(store)
    assert {path: path.stat().st_ino for path in before} == {path: stat.st_ino for path, stat in before.items()}


# -- an index that cannot be used ----------------------------------------------------------------------------------


def other_code(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_code", lambda: sha("other code"))


def damage(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path, pytest.MonkeyPatch], None]:
    return lambda root, monkeypatch: (root / name).write_bytes(change((root / name).read_bytes())) and None


def signed_nonsense(content: bytes) -> bytes:
    text = json.dumps({"code": sha("a"), "board": sha("b"), "groups": 1}).encode()
    return index_module.sha256(text).encode() + b"\n" + text


FAULTS = {
    "no index": lambda root, monkeypatch: (root / INDEX).unlink(),
    "no leaderboard": lambda root, monkeypatch: (root / BOARD).unlink(),
    "no costs": lambda root, monkeypatch: (root / FILE).unlink(),
    "other code": other_code,
    "an empty index": damage(INDEX, lambda content: b""),
    "an index of other bytes": damage(INDEX, lambda content: b"\xff\xfe" + content),
    "an index cut off": damage(INDEX, lambda content: content[:-9]),
    "one digit of the index": damage(INDEX, lambda content: content.replace(b'"start":', b'"start" :')),
    "an index that is something else": damage(INDEX, signed_nonsense),
    "one digit of the leaderboard": damage(BOARD, lambda content: content.replace(b"0.11", b"0.99", 1)),
    "another leaderboard": damage(BOARD, lambda content: b"{}"),
}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_usable_index_everything_is_read(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    put(store, grid(3))
    update_leaderboard(store)
    FAULTS[fault](store.root, monkeypatch)
    require_equal(store)
    assert Index.read(store.root).groups


@pytest.mark.usefixtures("settled")
def test_an_index_of_another_folder_is_not_used(tmp_path: Path) -> None:
    one, other = ResultStore(tmp_path / "one"), ResultStore(tmp_path / "other")
    put(one, grid(2))
    put(other, [cell.model_copy(update={"metrics": {"oop_top1": 0.9}}) for cell in grid(2)])
    update_leaderboard(one)
    update_leaderboard(other)
    shutil.copy(other.root / INDEX, one.root / INDEX)
    require_equal(one)
    shutil.copy(other.root / BOARD, one.root / BOARD)
    shutil.copy(other.root / INDEX, one.root / INDEX)
    require_equal(one)


# -- any history ---------------------------------------------------------------------------------------------------

specs = st.builds(
    lambda domain, seed, shots, lr, data, draw: make_spec(
        domain=domain,
        seed=seed,
        shots=shots,
        manifest=sha(draw),
        method={"parameters": {"lr": lr}, "seeded": shots > 0},
        dataset={"fingerprint": sha(data)},
    ),
    st.sampled_from("AB"),
    st.integers(1, 2),
    st.sampled_from([0, 4]),
    st.integers(1, 2),
    st.sampled_from(["data"] * 4 + ["other"]),
    st.sampled_from(["m"] * 4 + ["n"]),
)


def finished(spec: Spec, value: float) -> Cell:
    return make_cell(value).model_copy(update={"spec": spec})


def failed(spec: Spec) -> Cell:
    return Cell(spec=spec, failure=ERROR)


def delete(root: Path, number: int) -> None:
    files = sorted(root.glob("cells/*/*.json"))
    if files:
        files[number % len(files)].unlink()


def cut(root: Path, number: int) -> None:
    files = sorted(root.glob("cells/*/*.json"))
    if files:
        file = files[number % len(files)]
        file.write_bytes(file.read_bytes()[:-number])


def restore(root: Path, number: int) -> None:
    """An older index, or an older leaderboard, as after a kill between two writes."""
    for name in (BOARD, INDEX, FILE):
        if (root / f"{name}.{number % 3}").exists() and number % 2:
            shutil.copy(root / f"{name}.{number % 3}", root / name)


def keep(root: Path, number: int) -> None:
    for name in (BOARD, INDEX, FILE):
        if (root / name).exists():
            shutil.copy(root / name, root / f"{name}.{number % 3}")


steps = st.one_of(
    st.tuples(st.just("put"), specs, st.sampled_from([0.25, 0.5])),
    st.tuples(st.just("put"), specs, st.sampled_from([0.25, 0.5])),
    st.tuples(st.just("fail"), specs),
    st.tuples(st.sampled_from([delete, cut, keep, restore]), st.integers(1, 40)),
    st.tuples(st.just("update"), st.lists(specs, max_size=2)),
)


@pytest.mark.usefixtures("settled")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, min_size=4, max_size=20))
def test_any_history_gives_the_leaderboard_of_reading_everything(
    tmp_path_factory: pytest.TempPathFactory, history: list[Any]
) -> None:
    store = ResultStore(tmp_path_factory.mktemp("history"))
    store.prepare()
    for step in history:
        match step:
            case "put", spec, value:
                store.put(finished(spec, value))
            case "fail", spec:
                store.put(failed(spec))
            case "update", planned:
                require_equal(store, planned)
            case change, number:
                change(store.root, number)
    require_equal(store)
    shutil.rmtree(store.root)


def test_runs_at_the_same_time_leave_the_leaderboard_of_reading_everything(store: ResultStore) -> None:
    cells = grid(6, domains="ABC")

    def run(own: Sequence[Cell]) -> None:
        for number, cell in enumerate(own):
            ResultStore(store.root).put(cell)
            if number % 3 == 2:
                update_leaderboard(ResultStore(store.root))
        update_leaderboard(ResultStore(store.root))

    runs = [threading.Thread(target=run, args=(cells[start::3],)) for start in range(3)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    require_equal(store)
    assert len(list(store.cells())) == len(cells)


@pytest.mark.usefixtures("settled")
def test_a_killed_update_is_made_up_for(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after each of the files that an update writes."""
    replace = ResultStore.replace
    cells = grid(4)
    put(store, cells[:4])
    update_leaderboard(store)
    for writes, name in enumerate((BOARD, FILE, INDEX)):
        put(store, cells[4 + writes : 6 + writes])

        def killed(self: ResultStore, file: str, content: bytes, last: str = name) -> None:
            replace(self, file, content)
            if file == last:
                raise KeyboardInterrupt

        monkeypatch.setattr(ResultStore, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            update_leaderboard(store)
        monkeypatch.setattr(ResultStore, "replace", replace)
        put(store, cells[8 + 2 * writes : 10 + 2 * writes])
        require_equal(store)


@pytest.mark.usefixtures("settled")
def test_a_cell_that_changes_while_its_row_is_made_is_not_mixed_up(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = grid(2)
    put(store, cells)
    update_leaderboard(store)
    read, changed = ResultStore.read, cells[0].model_copy(update={"metrics": {"oop_top1": 0.9}})

    def meanwhile(self: ResultStore, name: str) -> StoredCell | None:
        if name == cell_path(cells[1].spec.key).removeprefix("cells/"):
            self.put(changed)
        return read(self, name)

    store.put(cells[1].model_copy(update={"metrics": {"oop_top1": 0.1}}))
    monkeypatch.setattr(ResultStore, "read", meanwhile)
    update_leaderboard(store)
    monkeypatch.undo()
    assert (store.root / BOARD).read_text() == reading_everything(store)[0]
    store.put(cells[0])
    require_equal(store)
