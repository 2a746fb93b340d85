"""Tampering: every change, in the file, in the files next to it or in the data, is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.leaderboard.assemble import assemble
from harness.progress import NullReporter
from harness.results import verification_marks
from harness.results.artifacts import open_file
from harness.results.predictions import digest, pack, unpack
from harness.results.store import ResultStore, cell_path, labels_path, manifest_path, predictions_path
from harness.types.cell import Failure
from harness.types.labels import LabelSheet, ScoredSide
from harness.types.leaderboard import Leaderboard, Row
from harness.verification.consistency import contradictions
from harness.verification.label_changes import label_changes
from harness.verification.source_data import SourceData
from harness.verification.verify import Verdict, verify

from ..datasets.roots import edit_split
from ..leaderboard.mutations import changed_rows
from ..leaderboard.results import Answering, Lab, run
from ..makers import sha

FSNL = "fsnl"


def check(lab: Lab, data: bool = False, method: str = FSNL) -> Verdict:
    board, artifacts = open_file(lab.out / "leaderboard.json")
    truth = SourceData(lab.root, board.rows, lab.out, 1, NullReporter()) if data else None
    return verify(next(row for row in board.rows if row.method_record.name == method), artifacts, truth)


def tamper(lab: Lab, change: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the row of fsnl in the file."""
    content = json.loads((lab.out / "leaderboard.json").read_text())
    change(next(row for row in content["rows"] if row["method"] == FSNL))
    (lab.out / "leaderboard.json").write_text(json.dumps(content))


def with_predictions(lab: Lab, change: Callable[[dict[str, np.ndarray]], Any], seeds: Sequence[str] = ("1",)) -> None:
    """Replace predictions of Animals by others, with hashes in the cells and in the file that are right for them."""
    for seed in seeds:
        old = lab.row(FSNL).data["Animals"].predictions[seed]
        predicted = unpack((lab.out / predictions_path(str(old))).read_bytes())
        change(predicted)
        content = pack(predicted)
        replace_cell(lab, seed, {"predictions": digest(content), "predictions_content": content})
        tamper(lab, set_at("data", "Animals", "predictions", seed, value=digest(content)))


def replace_cell(lab: Lab, seed: str, changes: dict[str, Any]) -> None:
    """Store the cell of fsnl on Animals with changes and a right digest."""
    store = ResultStore(lab.out)
    cell = store.get(lab.row(FSNL).spec("Animals", int(seed)).key)
    assert cell is not None
    store.put(cell.model_copy(update=changes))


def set_at(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        inner: Any = row
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return change


@pytest.mark.parametrize("method", ["zero_shot", FSNL])
@pytest.mark.parametrize("data", [False, True])
def test_what_evaluate_wrote_is_verified(lab: Lab, method: str, data: bool) -> None:
    verdict = check(lab, data, method)
    assert (verdict.status, verdict.problems) == ("verified", ())
    assert verdict.against == ("data" if data else "labels")


# -- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            set_at("domains", "Animals", "oop_top1", "mean", value=0.99),
            "domains.Animals.oop_top1.mean: the file says 0.99",
        ),
        (set_at("domains", "Animals", "h_mean", "std", value=0.0), "domains.Animals.h_mean.std"),
        (set_at("domains", "Animals", "joint_top1", "n", value=30), "domains.Animals.joint_top1.n"),
        (set_at("mean", "h_mean", "mean", value=0.9), "mean.h_mean.mean: the file says 0.9"),
        (set_at("per_class", "Animals", "oop", 0, value=1.0), "per_class.Animals.oop[0]"),
        (set_at("data", "Animals", "images", "oop", value=7), "data.Animals.images.oop"),
        (set_at("method", value="other"), "method: the file says other"),
        (set_at("not_applicable", value="it knows the OOP names only"), "not_applicable"),
        (set_at("seeds", value=[1, 2]), "seeds"),
    ],
)
def test_a_tampered_figure_is_named(lab: Lab, change: Callable[[dict[str, Any]], None], named: str) -> None:
    tamper(lab, change)
    verdict = check(lab)
    assert verdict.status == "differs"
    assert any(named in problem for problem in verdict.problems), verdict.problems


@pytest.mark.parametrize("with_failure", [False, True])
def test_a_row_with_any_field_changed_is_never_verified(tmp_path: Path, shared_lab: Lab, with_failure: bool) -> None:
    broken = Failure(kind="error", reason="it broke")
    failed = (FSNL, "Animals", 3) if with_failure else None
    board = run(tmp_path, shared_lab.domains, fail=lambda *cell: broken if cell == failed else None)
    _, artifacts = open_file(tmp_path)
    row = next(row for row in board.rows if row.method == FSNL)
    assert verify(row, artifacts).status == "verified"
    others = list(changed_rows(row, most=1))
    fields = {name for other in others for name in Row.model_fields if getattr(other, name) != getattr(row, name)}
    assert {name for name in Row.model_fields if getattr(row, name)} <= fields, "each field was changed"
    assert [other for other in others if verify(other, artifacts).status == "verified"] == []


def _edit(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.9"))


@pytest.mark.parametrize("damage", [Path.unlink, _edit])
def test_a_lost_or_changed_cell_is_named(lab: Lab, damage: Callable[[Path], object]) -> None:
    key = lab.row(FSNL).spec("Animals", 1).key
    damage(lab.out / cell_path(key))
    verdict = check(lab)
    assert verdict.status == "not verifiable"
    assert any(key in problem for problem in verdict.problems)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pool": "test-unlabeled"}, "method_record.pool: the file says test-unlabeled, but the method needs support"),
        (
            {"needs": ["unlabeled"], "parameters": {"pool": "test-unlabeled"}, "pool": "train-unlabeled"},
            "method_record.pool: the file says train-unlabeled, its parameters say test-unlabeled",
        ),
        ({"needs": ["unlabeled"]}, "method_record.pool: the file says None, but the method needs unlabeled"),
    ],
)
def test_a_tampered_pool_is_named(lab: Lab, changes: dict[str, Any], named: str) -> None:
    tamper(lab, lambda row: row["method_record"].update(changes))
    verdict = check(lab)
    assert verdict.status == "differs"
    assert named in verdict.problems


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            set_at("data", "Animals", "manifests", "1", value=None),
            "data.Animals.manifests.1: there is no draw, but shots is 2",
        ),
        (set_at("shots", value=0), "data.Animals.manifests.1: there is a draw, but shots is 0"),
        (
            set_at("data", "Animals", "left_out", value=2),
            "copies_left_out: the file says no, but 2 images of Animals are left out",
        ),
    ],
)
def test_a_tampered_setting_is_named(lab: Lab, change: Callable[[dict[str, Any]], None], named: str) -> None:
    tamper(lab, change)
    verdict = check(lab)
    assert verdict.status == "differs"
    assert named in verdict.problems


def test_a_method_that_depends_on_no_seed_has_no_seeds(lab: Lab) -> None:
    (row,) = (row for row in lab.board.rows if row.method == "zero_shot")
    once = row.model_copy(update={"method_record": row.method_record.model_copy(update={"seeded": False})})
    assert list(contradictions(row)) == []
    assert list(contradictions(once)) == ["seeds: the file says 1, 2, 3, but the method depends on none"]


def test_the_least_change_of_a_number_is_found(lab: Lab) -> None:
    true = lab.row(FSNL).mean["h_mean"].mean
    tamper(lab, set_at("mean", "h_mean", "mean", value=float(np.nextafter(true, 1))))
    assert check(lab).problems == (f"mean.h_mean.mean: the file says {np.nextafter(true, 1)}, its results give {true}",)


def test_a_hidden_failure_is_found(tmp_path: Path, shared_lab: Lab) -> None:
    broken = Failure(kind="error", reason="it broke")
    out = tmp_path / "results"
    board = run(out, shared_lab.domains, fail=lambda m, d, s: broken if (m, d, s) == (FSNL, "Animals", 3) else None)
    lab = Lab(shared_lab.root, shared_lab.domains, out, board)
    assert not lab.row(FSNL).complete
    assert check(lab).status == "verified"
    tamper(lab, set_at("failures", value=[]))
    assert check(lab).status == "differs"
    tamper(lab, lambda row: row["data"]["Animals"]["manifests"].pop("3"))
    tamper(lab, lambda row: row["data"]["Animals"]["predictions"].pop("3"))
    tamper(lab, set_at("complete", value=True))
    verdict = check(lab)
    # Without the seed the row's other domains give another mean over seeds than a complete row would: it is reported.
    assert verdict.status == "differs"


def test_a_method_of_fixed_vocabulary_is_verified(tmp_path: Path, shared_lab: Lab) -> None:
    out = tmp_path / "results"
    board = run(out, shared_lab.domains, [Answering(FSNL, 0.6, only_oop=True)])
    assert check(Lab(shared_lab.root, shared_lab.domains, out, board)).status == "verified"


def test_a_row_with_seeds_of_a_fixed_vocabulary_is_verified_with_its_holes(tmp_path: Path, shared_lab: Lab) -> None:
    out = tmp_path / "results"
    run(out, shared_lab.domains, [Answering(FSNL, 0.6, only_oop=True, seeds=(2,)), Answering(FSNL, 0.8, seeds=(1, 3))])
    store = ResultStore(out)
    board = assemble(store.cells())
    (out / "leaderboard.json").write_text(board.text())
    (row,) = board.rows
    assert {(hole.seed, hole.kind) for hole in row.failures} == {(2, "not applicable")}
    verdict = check(Lab(shared_lab.root, shared_lab.domains, out, board))
    assert (verdict.status, verdict.problems) == ("verified", ())


# -- predictions -----------------------------------------------------------------------------------------------------


def predictions_file(lab: Lab) -> Path:
    return lab.out / predictions_path(str(lab.row(FSNL).data["Animals"].predictions["2"]))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(b""), "damaged or changed"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "damaged or changed"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x01"), "damaged or changed"),
    ],
)
def test_damaged_predictions_are_no_figures(lab: Lab, damage: Callable[[Path], Any], named: str) -> None:
    damage(predictions_file(lab))
    verdict = check(lab)
    assert verdict.status == "not verifiable"
    (problem,) = verdict.problems
    assert problem.startswith("Animals: predictions ")
    assert named in problem


def test_other_predictions_do_not_give_the_figures(lab: Lab) -> None:
    with_predictions(lab, lambda p: p.update(oop=(p["oop"] + 1) % 6))
    problems = check(lab).problems
    assert any(p.startswith("domains.Animals.oop_top1.mean") for p in problems)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda p: p.update(oop=p["oop"][:-1]), "47 oop images, but there are 48"),
        (lambda p: p.update(joint_ip=np.append(p["joint_ip"], 0)), "25 joint_ip images, but there are 24"),
        (lambda p: p.update(oop=np.where(p["oop"] == p["oop"][0], 6, p["oop"])), "name column 6 of 6 oop names"),
        (lambda p: p.pop("joint_oop"), "it has ip without joint_oop"),
    ],
)
def test_predictions_that_do_not_fit_are_no_figures(lab: Lab, change: Callable[[Any], Any], named: str) -> None:
    with_predictions(lab, change)
    verdict = check(lab)
    assert verdict.status == "not verifiable"
    assert any(named in problem for problem in verdict.problems), verdict.problems


# -- labels and draws ------------------------------------------------------------------------------------------------


def test_changed_labels_do_not_have_the_fingerprint(lab: Lab) -> None:
    path = lab.out / labels_path(lab.row(FSNL).data["Animals"].fingerprint)
    path.write_text(path.read_text().replace('"labels":[0', '"labels":[1', 1))
    verdict = check(lab)
    assert verdict.status == "not verifiable"
    assert "labels" in verdict.problems[0]
    assert "has another sha256" in verdict.problems[0]
    assert check(lab, data=True).status == "verified", "the data have the labels, too"


def test_a_changed_draw_is_named(lab: Lab) -> None:
    path = lab.out / manifest_path(str(lab.row(FSNL).data["Animals"].manifests["1"]))
    path.write_text(path.read_text().replace('"shots": 2', '"shots": 4'))
    (problem,) = check(lab).problems
    assert problem.startswith("Animals, seed 1: manifest ")
    assert "has another sha256" in problem


def test_a_draw_of_other_images_is_found_in_the_data(lab: Lab) -> None:
    own = lab.row(FSNL).data["Animals"].manifests
    tamper(lab, set_at("data", "Animals", "manifests", "1", value=own["2"]))
    assert "Animals, seed 1: its manifest is of Animals, 2 shots, seed 2" in check(lab).problems
    from harness import protocols

    data = lab.domains["Animals"]
    drawn = protocols.draw(
        protocols.get_protocol("clean-v1"), [(data.oop["train"], data.oop["val"])], 2, 99, data.digests
    )
    forged = drawn.model_copy(update={"seed": 1})
    ResultStore(lab.out).put_manifest(forged)
    tamper(lab, set_at("data", "Animals", "manifests", "1", value=forged.sha256))
    assert check(lab).status == "not verifiable", "no cell has that draw"
    spec = lab.row(FSNL).spec("Animals", 1)
    replace_cell(lab, "1", {"spec": spec.model_copy(update={"manifest": forged.sha256})})
    assert check(lab).status == "verified", "the stored labels do not contain which images a seed draws"
    problems = check(lab, data=True).problems
    assert any("Animals, seed 1: the manifest is not what clean-v1 draws from the data" in p for p in problems)


# -- the data --------------------------------------------------------------------------------------------------------


def first_image(lab: Lab) -> Path:
    sheet = lab.domains["Animals"].sheet.sides["oop"]
    return lab.root / sheet.folder / sheet.paths[0]


def test_a_missing_image_is_named(lab: Lab) -> None:
    image = first_image(lab)
    image.unlink()
    verdict = check(lab, data=True)
    assert verdict.status == "differs"
    assert any(image.name in p and p.startswith("Animals") for p in verdict.problems), verdict.problems


def test_another_image_is_named(lab: Lab) -> None:
    image = first_image(lab)
    image.write_bytes(image.read_bytes() + b" ")
    where = image.relative_to(lab.root).as_posix()
    assert f"Animals: {where} is not the same image" in check(lab, data=True).problems


def _relabel(content: dict[str, Any]) -> None:
    first, other = content["test"]["0"], content["test"]["20"]
    for key in ("image_name", "classname", "label"):
        first[key], other[key] = other[key], first[key]


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda c: c["test"].pop("3"), "the split changed: Animals6_OOP/images/great_auk"),
        (lambda c: c["test"].update({"999": c["val"].pop("0")}), "is a new test image"),
        (_relabel, "the split changed"),
        (lambda c: c["train"].pop("0"), "Animals6_OOP/images/great_auk/000 plain.jpg is no longer a train image"),
        (lambda c: c["val"].pop("0"), "the val part, the IP train part or a caption is not that of the row"),
        (lambda c: c["test"]["0"].update(INFO={"Refined_caption3": "x"}), "or a caption is not that of the row"),
    ],
)
def test_a_changed_split_is_named(lab: Lab, edit: Callable[[dict[str, Any]], Any], named: str) -> None:
    edit_split(lab.root / "Animals6_OOP", edit)
    verdict = check(lab, data=True)
    assert verdict.status == "differs"
    assert any(named in problem for problem in verdict.problems), verdict.problems
    assert all(problem.startswith("Animals") for problem in verdict.problems), "the other domains are as they were"


def test_a_missing_domain_is_named(lab: Lab) -> None:
    (lab.root / "Animals6_OOP").rename(lab.root / "elsewhere")
    assert check(lab, data=True).status == "differs"


def test_an_image_that_is_left_out_as_unreadable_but_can_be_read_is_named(lab: Lab) -> None:
    where = first_image(lab).relative_to(lab.root).as_posix()
    order = lab.domains["Animals"].sheet.sides["oop"].order()
    gone = order.index(0)

    def drop(predicted: dict[str, np.ndarray]) -> None:
        predicted.update({key: np.delete(predicted[key], gone) for key in ("oop", "joint_oop")})

    with_predictions(lab, drop, ("1", "2", "3"))
    tamper(lab, set_at("data", "Animals", "unreadable", value=[where]))
    assert f"Animals: {where} is left out as unreadable, but it can be decoded" in check(lab, data=True).problems


@pytest.mark.parametrize("there", [True, False])
def test_images_of_every_part_that_are_left_out_are_looked_at(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    where = f"Animals6_OOP/{lab.domains['Animals'].oop['train'].items[0].path}"
    tamper(lab, set_at("data", "Animals", "unreadable", value=[where]))
    monkeypatch.setattr(
        SourceData, "readable", lambda self, row, domain, path: there and (domain, path) == ("Animals", where)
    )
    named = f"Animals: {where} is left out as unreadable, but it can be decoded" in check(lab, data=True).problems
    assert named == there
    (lab.root / "Animals6_OOP").rename(lab.root / "elsewhere")
    assert "left out" not in " ".join(check(lab, data=True).problems), "the data do not have it"


def test_a_support_image_that_is_left_out_but_can_be_read_is_named(lab: Lab) -> None:
    where = f"Animals6_OOP/{lab.domains['Animals'].oop['train'].items[0].path}"
    tamper(lab, set_at("data", "Animals", "unreadable", value=[where]))
    assert f"Animals: {where} is left out as unreadable, but it can be decoded" in check(lab, data=True).problems
    (lab.root / where).unlink()
    assert "left out" not in " ".join(check(lab, data=True).problems)
    (lab.root / "Animals6_OOP").rename(lab.root / "elsewhere")
    assert "left out" not in " ".join(check(lab, data=True).problems)


# -- the command -----------------------------------------------------------------------------------------------------


def against(lab: Lab) -> set[str]:
    return {mark.against for mark in verification_marks.read_marks(lab.out).values()}


def test_a_row_of_holes_only_is_not_verified(tmp_path: Path, shared_lab: Lab, harness: Any) -> None:
    failed = Failure(kind="error", reason="it broke")
    board = run(tmp_path / "results", shared_lab.domains, fail=lambda m, d, s: failed if m == FSNL else None)
    verdict = check(Lab(shared_lab.root, shared_lab.domains, tmp_path / "results", board))
    assert verdict.status == "not verifiable"
    assert verdict.problems == ("the row has no values: all its cells are missing or failed",)
    assert harness("leaderboard", "verify", tmp_path / "results")[0] == 3
    marked = verification_marks.read_marks(tmp_path / "results")
    assert [row.content_sha256 in marked for row in board.rows] == [row.method != FSNL for row in board.rows]


def test_the_command_marks_verified_rows_and_an_edit_takes_the_mark_away(lab: Lab, harness: Any) -> None:
    file = lab.out / "leaderboard.json"
    code, out, _ = harness("leaderboard", "verify", file)
    assert code == 0
    assert out.count("verified against the stored labels") == 2
    assert against(lab) == {"labels"}
    assert harness("leaderboard", "verify", lab.out, "--data", lab.root)[0] == 0
    assert against(lab) == {"data"}
    assert harness("leaderboard", "verify", file)[0] == 0
    assert against(lab) == {"data"}, "a weaker check takes nothing back"
    tamper(lab, set_at("mean", "h_mean", "mean", value=0.9))
    rows = Leaderboard.model_validate_json(file.read_bytes()).rows
    assert [row.content_sha256 in verification_marks.read_marks(lab.out) for row in rows] == [True, False]
    code, out, _ = harness("leaderboard", "verify", file, "--json")
    assert code == 3
    assert {v["method"]: v["status"] for v in json.loads(out)} == {"zero_shot": "verified", FSNL: "differs"}


def test_nothing_is_marked_on_request(lab: Lab, harness: Any) -> None:
    assert harness("leaderboard", "verify", lab.out, "--no-mark")[0] == 0
    assert not (lab.out / verification_marks.FILE).exists()


def test_first_twenty_changes_of_the_data_are_listed_in_the_order_of_the_paths() -> None:
    paths = tuple(f"images/a/{i:02d}.jpg" for i in range(25))

    def sheet(edition: str) -> LabelSheet:
        digests = tuple(sha(f"{edition}{path}") for path in paths)
        side = ScoredSide(folder="Food1_OOP", names=("a",), paths=paths, sha256=digests, labels=(0,) * 25)
        return LabelSheet(domain="Food", other=sha("other"), sides={"oop": side})

    *first, rest = label_changes(sheet("then"), sheet("now"))
    assert first == [f"Food1_OOP/{path} is not the same image" for path in paths[:20]]
    assert rest == "and 5 more differences"
