"""Leaderboard files: round trips, migrations, addresses of rows, and the published schema."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError, UserError
from harness.leaderboard.assemble import assemble
from harness.leaderboard.schema import json_schema
from harness.metrics.prediction_kinds import PREDICTIONS
from harness.results.artifacts import open_row
from harness.results.leaderboard_file import parse_board, read_board
from harness.results.migrate_leaderboard import MIGRATIONS, migrate
from harness.results.predictions import pack, unpack
from harness.types.cell import Cell
from harness.types.leaderboard import SCHEMA_VERSION

from ..makers import cells as any_cells
from ..makers import few, make_cell
from .results import Lab

ROOT = Path(__file__).resolve().parents[2]


# -- round trips -----------------------------------------------------------------------------------------------------


@few
@given(st.lists(any_cells, max_size=4))
def test_a_board_reads_back_as_it_was_and_every_row_knows_its_cells(cells: list[Cell]) -> None:
    board = assemble(cells)
    assert parse_board(board.text().encode(), "x") == board
    assert parse_board(board.text().encode(), "x").text() == board.text()
    jsonschema.validate(json.loads(board.text()), json_schema(), cls=jsonschema.Draft202012Validator)
    keys = {spec.key for row in board.rows for spec in row.specs()}
    assert keys == {cell.spec.key for cell in cells}


def test_a_rows_id_depends_on_its_settings_and_on_no_figure() -> None:
    (one,), (other,) = (assemble([make_cell(value)]).rows for value in (0.2, 0.7))
    assert one.id == other.id
    changes: list[dict[str, Any]] = [{"shots": 8}, {"manifest": None}, {"device": "cuda"}, {"versions": {}}]
    changes += [
        {"dataset": {"fingerprint": "0" * 64}},
        {"method": {"parameters": {}}},
        {"backbone": {"precision": "bf16"}},
    ]
    ids = {assemble([make_cell(**change)]).rows[0].id for change in changes}
    assert len(ids | {one.id}) == len(changes) + 1


columns = st.lists(st.integers(0, 2**32 - 1), max_size=40)
columns_or_none = st.lists(st.integers(-1, 2**32 - 2), max_size=40)


def of_kinds(*keys: str) -> st.SearchStrategy[dict[str, list[int]]]:
    return st.fixed_dictionaries({key: columns_or_none if PREDICTIONS[key].none else columns for key in keys})


own, joint, pool = ("oop", "ip"), ("joint_oop", "joint_ip"), ("pool_cluster", "cluster_name")
predicted = st.one_of(
    *(of_kinds(*keys) for keys in [("oop",), ("oop", *pool), (*own, *joint), (*own, *joint, "reference", *pool)]),
    *(of_kinds(*keys) for keys in [("oop_cluster",), ("oop_cluster", "ip_cluster")]),
    of_kinds("joint_oop_cluster", "joint_ip_cluster"),
    of_kinds("oop", "oop_confidence", "oop_subgroup", "oop_leaf"),
    of_kinds(*own, *joint, *(f"joint_{side}_own" for side in own), *(f"{side}_margin" for side in own)),
)


@few
@given(predicted)
def test_predictions_read_back_as_they_were(found: dict[str, list[int]]) -> None:
    import numpy as np

    packed = pack({key: np.asarray(values, dtype=np.int64) for key, values in found.items()})
    assert {key: values.tolist() for key, values in unpack(packed).items()} == found
    shuffled = dict(reversed(list(found.items())))
    assert pack({key: np.asarray(values, dtype=np.int64) for key, values in shuffled.items()}) == packed


def test_predictions_take_a_byte_an_image() -> None:
    import numpy as np

    short, long = (len(pack({"oop": np.full(n, 255), "ip": np.full(n, 0)})) for n in (1000, 5000))
    assert long - short == 8000


@few
@given(st.binary(max_size=200))
def test_any_other_bytes_are_no_predictions(content: bytes) -> None:
    with pytest.raises(DataError, match=r"no safetensors file|no vector|no predictions"):
        unpack(content)


def test_columns_are_not_negative() -> None:
    import numpy as np

    with pytest.raises(ValueError, match="not negative"):
        pack({"oop": np.asarray([-1])})


# -- migrations ------------------------------------------------------------------------------------------------------


def from_zero(content: dict[str, Any]) -> dict[str, Any]:
    """A made-up version 0 called rows ``entries`` and wrote percent."""
    rows = copy.deepcopy(content["entries"])
    for row in rows:
        for stats in [*row["domains"].values(), row["mean"]]:
            for stat in stats.values():
                stat.update({key: stat[key] / 128 for key in ("mean", "std")})
    return {"rows": rows}


def to_zero(board: dict[str, Any]) -> dict[str, Any]:
    rows = copy.deepcopy(board["rows"])
    for row in rows:
        for stats in [*row["domains"].values(), row["mean"]]:
            for stat in stats.values():
                stat.update({key: stat[key] * 128 for key in ("mean", "std")})
    return {"schema_version": 0, "entries": rows}


@few
@given(st.lists(any_cells, max_size=4))
def test_an_older_file_becomes_the_same_rows(cells: list[Cell]) -> None:
    board = assemble(cells).model_dump(mode="json")
    old = to_zero(board)
    before = copy.deepcopy(old)
    assert migrate(old, {0: from_zero}, 1) == board
    assert old == before, "what is given is not changed"
    assert migrate(board, {0: from_zero}, 1) == board


def test_steps_are_taken_one_by_one() -> None:
    steps = {n: lambda content, n=n: {**content, "steps": [*content["steps"], n]} for n in range(3)}
    assert migrate({"schema_version": 0, "steps": []}, steps, 3) == {"schema_version": 3, "steps": [0, 1, 2]}
    assert migrate({"schema_version": 2, "steps": []}, steps, 3)["steps"] == [2]


def test_every_older_version_has_its_step() -> None:
    assert set(MIGRATIONS) == set(range(1, SCHEMA_VERSION))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"schema_version": 2, "rows": []}', "schema version 2, and this harness reads up to 1"),
        ('{"schema_version": 0, "rows": []}', "from which no migration is known"),
        ('{"rows": []}', "no schema_version"),
        ('{"schema_version": true, "rows": []}', "no schema_version"),
        ("[]", "no schema_version"),
        ("{", "is not a valid leaderboard: EOF"),
        ('{"schema_version": 1, "rows": [{}]}', "is not a valid leaderboard: row 1: method: field required"),
        ('{"schema_version": 1, "rows": [], "more": 1}', "is not a valid leaderboard: more"),
        ("[" * 100000, "is not a valid leaderboard: recursion limit"),
    ],
)
def test_what_is_no_leaderboard_is_a_sentence(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=words) as error:
        read_board(tmp_path / "a.json")
    assert "a.json" in error.value.message
    assert error.value.hint


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: no such file"):
        read_board(tmp_path / "a.json")


# -- addresses -------------------------------------------------------------------------------------------------------


def test_a_row_is_found_by_id_method_and_shots(shared_lab: Lab) -> None:
    row = shared_lab.row("fsnl")
    for wanted in (row.id, row.id[:6], "fsnl", "fsnl@2"):
        assert open_row(f"{shared_lab.out}/leaderboard.json#{wanted}")[1] == row
    assert open_row(f"{shared_lab.out}#fsnl")[0] == shared_lab.out / "leaderboard.json"


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        ("#fsn", "has no row 'fsn'", "(fsnl@2, clean-v1)"),
        ("#fsnl@4", "has no row 'fsnl@4'", "(fsnl@2, clean-v1)"),
        ("", "there are 2 rows", "zero_shot@0"),
        ("#0000", "has no row '0000'", "fsnl@2"),
    ],
)
def test_a_row_that_is_not_one_is_a_sentence(shared_lab: Lab, wanted: str, message: str, hint: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        open_row(f"{shared_lab.out}{wanted}")
    assert hint in str(error.value.hint)


def test_a_tilde_is_the_home_folder_wherever_it_stands(
    shared_lab: Lab, harness: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours").symlink_to(shared_lab.out)
    for words in (
        ("leaderboard", "show", "~/ours"),
        ("leaderboard", "diff", "~/ours", "~/ours/leaderboard.json"),
        ("leaderboard", "build", "~/ours", "--out=~/site"),
        ("leaderboard", "submit", "~/ours#fsnl", "--out=~/one.zip"),
        ("plot", "zero-shot", "~/ours", "--out=~/bars.svg"),
    ):
        code, _, err = harness(*words)
        assert code == 0, err
    written = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}  # matplotlib's own cache
    assert written == {"ours", "site", "one.zip", "bars.svg"}
    code, _, err = harness("leaderboard", "show", "~nobody-of-this-name/ours")
    assert (code, "no such home folder" in err) == (2, True)


# -- the schema ------------------------------------------------------------------------------------------------------


def test_the_published_schema_is_that_of_the_records(harness: Any) -> None:
    code, out, _ = harness("leaderboard", "schema")
    assert code == 0
    assert (ROOT / "leaderboards" / f"schema-{SCHEMA_VERSION}.json").read_text() == out, (
        "write it again: harness leaderboard schema > leaderboards/schema-1.json"
    )
    jsonschema.Draft202012Validator.check_schema(json.loads(out))


def test_what_was_written_follows_the_schema(shared_lab: Lab) -> None:
    jsonschema.validate(json.loads((shared_lab.out / "leaderboard.json").read_text()), json_schema())


def test_every_leaderboard_of_the_repository_can_be_read() -> None:
    for path in (ROOT / "leaderboards").rglob("leaderboard.json"):
        jsonschema.validate(json.loads(path.read_text()), json_schema())
        read_board(path)
