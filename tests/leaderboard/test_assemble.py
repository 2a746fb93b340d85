"""From cells to rows: equal cells give equal bytes, missing cells are listed, and nothing unequal is averaged."""

from __future__ import annotations

import itertools
import random
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.leaderboard.assemble import assemble
from harness.leaderboard.schema import json_schema
from harness.metrics.built_in import BUILT_IN
from harness.metrics.metric import LARGEST
from harness.results.costs import cost_of
from harness.types.cell import Cell, Failure, MethodRecord
from harness.types.leaderboard import Leaderboard, Row, RowFailure, Stat

from ..makers import cells as any_cells
from ..makers import costs as any_costs
from ..makers import few, make_cell, make_spec, sha

ERROR = Failure(kind="error", reason="it broke")


def grid(domains: str = "AB", seeds: tuple[int, ...] = (1, 2, 3), **changes: Any) -> list[Cell]:
    """One cell for every domain and seed, each with its own value."""
    return [
        make_cell((i + 1) / 100, domain=domain, seed=seed, **changes)
        for i, (domain, seed) in enumerate(itertools.product(domains, seeds))
    ]


def validate(board: Leaderboard) -> None:
    """The written file follows the published schema, and reads back as an equal object."""
    again = Leaderboard.model_validate_json(board.text())
    assert again == board
    assert again.text() == board.text()
    jsonschema.validate(board.model_dump(mode="json"), json_schema(), cls=jsonschema.Draft202012Validator)


def test_a_whole_row_has_mean_and_spread_over_seeds() -> None:
    (row,) = assemble(grid()).rows
    assert row.complete
    assert row.failures == ()
    assert row.seeds == (1, 2, 3)
    assert set(row.domains) == {"A", "B"}
    stat = row.domains["A"]["oop_top1"]
    assert (stat.mean, stat.std, stat.n) == (pytest.approx(0.02), pytest.approx(0.01), 3)
    # Over domains for each seed: 0.025, 0.035, 0.045; then over seeds.
    assert row.mean["oop_top1"].mean == pytest.approx(0.035)
    assert row.mean["oop_top1"].std == pytest.approx(0.01)
    assert row.mean["oop_top1"].n == 3
    assert set(row.mean) == set(BUILT_IN)


@few
@given(st.randoms(use_true_random=False))
def test_the_order_of_cells_does_not_change_a_byte(shuffler: random.Random) -> None:
    cells = grid() + grid(method={"name": "zero_shot"}) + grid(shots=8) + grid(protocol="paper-2025")
    cells += grid(backbone={"precision": "bf16"}) + grid(backbone={"weights_sha256": sha("other")})
    cells += grid(dataset={"fingerprint": sha("edited")}) + grid(dataset={"name": "other"}, device="cuda")
    cells += [make_cell(failure=ERROR, domain="C", seed=1)]
    expected = assemble(cells).text()
    shuffler.shuffle(cells)
    assert assemble(cells).text() == expected


@few
@given(st.lists(any_cells, max_size=5), st.randoms(use_true_random=False))
def test_any_cells_make_a_valid_file_in_any_order(cells: list[Cell], shuffler: random.Random) -> None:
    board = assemble(cells)
    validate(board)
    shuffler.shuffle(cells)
    assert assemble(cells).text() == board.text()


values = st.floats(-LARGEST, LARGEST)
digests = st.sampled_from([sha(text) for text in "abc"])
short = st.sampled_from(["", "a", "b"])


@st.composite
def related_cells(draw: st.DrawFn) -> Cell:
    """A cell of one of few settings, domains and seeds, so that several make a row; everything else is arbitrary."""
    spec = make_spec(
        domain=draw(st.sampled_from("AB")),
        seed=draw(st.integers(0, 2)),
        shots=draw(st.sampled_from([0, 4])),
        manifest=draw(st.none() | st.just(sha("m"))),
        method={"seeded": draw(st.booleans()), "pool": draw(st.none() | short)},
        dataset={
            "fingerprint": draw(digests),
            "folders": draw(st.lists(short, max_size=2).map(tuple)),
            "copies_left_out": draw(st.booleans()),
        },
    )
    kinds = st.sampled_from(["error", "not applicable"])
    return Cell(
        spec=spec,
        metrics=draw(st.dictionaries(st.sampled_from(["oop_top1", "h_mean", "mine"]), values)),
        per_class=draw(st.dictionaries(st.sampled_from(["oop", "ip"]), st.lists(st.none() | values, max_size=2))),
        not_applicable=draw(st.none() | short),
        images=draw(st.dictionaries(st.sampled_from(["oop", "ip"]), st.integers(0, 9))),
        copies=draw(st.integers(0, 2)),
        predictions=draw(st.none() | digests),
        failure=draw(st.none() | st.builds(Failure, kind=kinds, reason=short)),
        cost=draw(st.none() | any_costs),
    )


lost_domains = st.builds(
    RowFailure, domain=st.sampled_from("AC"), seed=st.none() | st.just(1), kind=st.just("error"), reason=short
)


@settings(few, max_examples=50)
@given(st.lists(related_cells(), max_size=8, unique_by=lambda cell: cell.spec.key), st.lists(lost_domains, max_size=2))
def test_any_combination_of_cells_makes_rows_with_their_holes(cells: list[Cell], lost: list[RowFailure]) -> None:
    stored = {cell.spec.key: cell for cell in cells}
    board = assemble(cells, lost=lost)
    assert Leaderboard.model_validate_json(board.text()) == board
    for row in board.rows:
        cost_of(row, stored.get)
    shown: set[str] = set()
    for row in board.rows:
        assert row.complete == (not row.failures)
        assert row.complete or not row.mean
        own = [stored[spec.key] for spec in row.specs()]
        assert {cell.failure.reason for cell in own if cell.failure} <= {failure.reason for failure in row.failures}
        shown |= {cell.spec.key for cell in own}
    assert shown == stored.keys(), "no cell is lost"


def test_cells_of_a_fixed_vocabulary_among_others_are_holes_with_the_reason() -> None:
    reason = "it was fitted to the OOP names"
    fixed = make_cell(0.9, domain="A", seed=2).model_copy(update={"not_applicable": reason})
    fixed = fixed.model_copy(update={"metrics": {"oop_top1": 0.9}, "per_class": {"oop": (0.9,)}})
    others = [c.model_copy(update={"per_class": {"oop": (0.5,), "ip": (0.5,)}}) for c in grid() if c.spec != fixed.spec]
    (row,) = assemble([*others, fixed]).rows
    assert row.failures == (RowFailure(domain="A", seed=2, kind="not applicable", reason=reason),)
    assert (row.complete, row.mean, row.not_applicable) == (False, {}, None)
    assert {stat.n for stat in row.domains["A"].values()} == {2}
    assert row.per_class["A"] == {"oop": (0.5,), "ip": (0.5,)}
    everywhere = [c.model_copy(update={"not_applicable": reason, "metrics": {"oop_top1": 0.9}}) for c in grid()]
    (row,) = assemble(everywhere).rows
    assert (row.complete, row.not_applicable, set(row.mean)) == (True, reason, {"oop_top1"})


def test_a_fixed_vocabulary_is_no_hole_beside_a_domain_without_ip_images() -> None:
    fixed = [c.model_copy(update={"not_applicable": "it is fixed", "metrics": {"oop_top1": 0.9}}) for c in grid("A")]
    no_ip = [c.model_copy(update={"images": {"oop": 10}, "metrics": {"oop_top1": 0.5}}) for c in grid("B")]
    (row,) = assemble([*fixed, *no_ip]).rows
    assert (row.complete, row.mean["oop_top1"].mean) == (True, pytest.approx(0.7))


def test_no_cells_make_an_empty_leaderboard() -> None:
    assert assemble([]).rows == ()
    validate(assemble([]))


def test_the_same_cell_twice_counts_once() -> None:
    assert assemble(grid() + grid()) == assemble(grid())


def test_a_result_beats_a_failure_of_the_same_cell() -> None:
    failed = make_cell(failure=ERROR, domain="A", seed=1)
    for cells in ([failed, *grid()], [*grid(), failed]):
        assert assemble(cells) == assemble(grid())


# -- holes ---------------------------------------------------------------------------------------------------------


def test_a_missing_cell_is_listed_and_the_row_is_not_averaged() -> None:
    other = grid(method={"name": "zero_shot"})
    fsnl, zero_shot = assemble([*grid()[:-1], *other]).rows
    assert (fsnl.method, fsnl.complete, fsnl.mean) == ("fsnl", False, {})
    assert fsnl.failures == (RowFailure(domain="B", seed=3, kind="missing", reason="not run"),)
    assert fsnl.domains["B"]["oop_top1"].n == 2
    assert zero_shot.complete


def test_cells_of_another_backbone_make_no_hole() -> None:
    other = make_cell(domain="C", backbone={"weights_sha256": sha("others")})
    assert all(row.complete for row in assemble([*grid(), other]).rows)


def test_a_seed_that_only_some_domains_have_is_a_hole_of_the_others() -> None:
    (row,) = assemble([*grid("A", (1, 2, 3)), *grid("B", (1,))]).rows
    assert not row.complete
    assert row.mean == {}
    assert [(f.domain, f.seed) for f in row.failures] == [("B", 2), ("B", 3)]


def test_what_a_row_should_cover_can_be_given() -> None:
    (row,) = assemble(grid(), wanted=[("A", 1), ("C", 0)]).rows
    assert row.failures == (RowFailure(domain="C", seed=0, kind="missing", reason="not run"),)


ONE_ANSWER = {"shots": 0, "seed": 0, "manifest": None}


def one_answer(domain: str) -> Cell:
    return make_cell(0.3, domain=domain, method={"name": "zero_shot", "seeded": False}, **ONE_ANSWER)


def test_a_row_that_depends_on_no_seed_covers_every_domain_once() -> None:
    others = [c for d in "AB" for s in (1, 2) for c in [make_cell(domain=d, seed=s, shots=0, manifest=None)]]
    for wanted in (None, [(domain, seed) for domain in "AB" for seed in (1, 2)]):
        seeded, once = assemble([*others, one_answer("A"), one_answer("B")], wanted).rows
        assert seeded.complete
        assert (once.complete, once.seeds, once.mean["h_mean"]) == (True, (0,), Stat(mean=0.3, std=0.0, n=1))
        *_, partly = assemble([*others, one_answer("A")], wanted).rows
        assert partly.failures == (RowFailure(domain="B", seed=0, kind="missing", reason="not run"),)
    assert assemble([one_answer("A")]).rows[0].complete


@pytest.mark.parametrize("kind", ["error", "not applicable"])
def test_a_failed_cell_is_a_hole_with_its_reason(kind: Any) -> None:
    failed = make_cell(failure=Failure(kind=kind, reason="it broke"), domain="B", seed=3)
    board = assemble([*grid()[:-1], failed])
    (row,) = board.rows
    assert (row.complete, row.mean) == (False, {})
    assert row.failures == (RowFailure(domain="B", seed=3, kind=kind, reason="it broke"),)
    assert row.seeds == (1, 2, 3)
    validate(board)


def test_a_row_of_failures_has_no_figures() -> None:
    (row,) = assemble([make_cell(failure=ERROR)]).rows
    assert (row.domains, row.mean, row.complete) == ({}, {}, False)


def test_a_domain_that_could_not_be_read_is_a_hole_in_every_row() -> None:
    lost = RowFailure(domain="C", seed=None, kind="error", reason="no split file")
    board = assemble(grid() + grid(method={"name": "zero_shot"}), lost=[lost])
    assert [row.failures for row in board.rows] == [(lost,), (lost,)]
    assert not any(row.complete or row.mean for row in board.rows)
    validate(board)


def test_images_of_a_domain_are_recorded_although_a_seed_failed() -> None:
    failed = make_cell(failure=ERROR, domain="A", seed=1)
    (row,) = assemble([failed, *grid("A", (2, 3))]).rows
    assert row.data["A"].images == {"oop": 10, "ip": 20}


def test_a_metric_that_a_domain_lacks_has_no_mean() -> None:
    cells = grid("A")
    cells += [c.model_copy(update={"metrics": {"oop_top1": 0.5}}) for c in grid("B")]
    (row,) = assemble(cells).rows
    assert set(row.domains["B"]) == set(row.mean) == {"oop_top1"}
    assert row.complete


# -- what never shares a row ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "paper-2025"},
        {"shots": 8},
        {"device": "cuda"},
        {"versions": {"harness": "9"}},
        {"dataset": {"name": "other"}},
        {"method": {"parameters": {"lr": 1.0}}},
        {"method": {"code": sha("other")}},
        {"backbone": {"precision": "bf16"}},
        {"backbone": {"weights_sha256": sha("other")}},
    ],
)
def test_different_settings_are_different_rows(changes: dict[str, Any]) -> None:
    rows = assemble(grid("A") + grid("B", **changes)).rows
    assert sorted(tuple(row.data) for row in rows) == [("A",), ("B",)]


def test_draws_differ_within_a_row() -> None:
    one, two = (make_cell(seed=seed, manifest=sha(str(seed))) for seed in (1, 2))
    (row,) = assemble([one, two]).rows
    assert row.data["Animals"].manifests == {"1": sha("1"), "2": sha("2")}


def _fingerprints(cells: list[Cell]) -> list[set[str]]:
    return [{c.spec.dataset.fingerprint for c in cells if c.spec.domain == d} for d in {c.spec.domain for c in cells}]


@pytest.mark.parametrize("order", [("a" * 64, "b" * 64), ("b" * 64, "a" * 64)], ids=["forth", "back"])
def test_editions_of_one_domains_data_are_never_mixed(order: tuple[str, str]) -> None:
    # The data were edited between two runs that share some seeds.
    old, new = order
    before = [make_cell(0.2, seed=seed, dataset={"fingerprint": old}) for seed in (1, 2)]
    after = [make_cell(0.8, seed=seed, dataset={"fingerprint": new}) for seed in (2, 3)]
    rows = assemble([*before, *after]).rows
    found = {row.data["Animals"].fingerprint: row for row in rows}
    assert len(rows) == 2
    assert (found[old].seeds, found[new].seeds) == ((1, 2), (2, 3))
    assert found[old].domains["Animals"]["oop_top1"].mean == pytest.approx(0.2)
    assert found[new].domains["Animals"]["oop_top1"].mean == pytest.approx(0.8)
    assert not any(row.complete for row in rows)


@pytest.mark.parametrize("edited", ["1" * 64, "9" * 64], ids=["before", "after"])
def test_a_domain_that_was_not_edited_belongs_to_every_edition(edited: str) -> None:
    cells = grid("B") + [make_cell(0.2, domain="A", seed=seed, dataset={"fingerprint": "5" * 64}) for seed in (1, 2, 3)]
    cells += [make_cell(0.8, domain="A", seed=seed, dataset={"fingerprint": edited}) for seed in (1, 2, 3)]
    rows = assemble(cells).rows
    assert sorted(row.data["A"].fingerprint for row in rows) == sorted(["5" * 64, edited])
    assert all(row.complete and row.data["B"].fingerprint == sha("data") for row in rows)


class LaterMethod(MethodRecord):
    note: str | None = None


class LaterRow(Row):
    """As a later version may have it: with one more field, here and within."""

    method_record: LaterMethod
    remark: str = ""


def test_a_field_that_is_added_later_leaves_addresses_and_marks_of_older_rows_as_they_are() -> None:
    row = assemble(grid("A")).rows[0]
    later = LaterRow.model_validate_json(row.model_dump_json())
    assert later.model_dump_json() != row.model_dump_json()
    assert (later.id, later.content_sha256) == (row.id, row.content_sha256)
    noted = later.model_copy(update={"method_record": later.method_record.model_copy(update={"note": "x"})})
    assert noted.id != row.id
    assert later.model_copy(update={"remark": "x"}).content_sha256 != row.content_sha256


def test_what_a_row_keeps_of_itself_changes_nothing_of_it() -> None:
    row, twin = assemble(grid("A")).rows[0], assemble(grid("A")).rows[0]
    known, fields = row.id, twin.model_dump_json()
    assert row == twin
    assert (row.model_dump_json(), row.id) == (fields, known)
    other = row.model_copy(update={"shots": row.shots + 1})
    assert other.id != known, "the copy of a row has the id of what it says"
    assert Leaderboard(rows=(row,)).text() == Leaderboard(rows=(twin,)).text()


def test_images_that_cannot_be_read_are_listed_once_and_in_order() -> None:
    paths = [f"Animals6_OOP/images/a/{i}.jpg" for i in range(8)]
    cells = [
        make_cell(seed=seed).model_copy(update={"unreadable": tuple(paths[i] for i in order)})
        for seed, order in ((1, (7, 3, 5, 1)), (2, (6, 2, 4, 0, 7)))
    ]
    (row,) = assemble(cells).rows
    assert row.data["Animals"].unreadable == tuple(paths)
