"""One row in one file: verified elsewhere without the images, and damage is found."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness.results.artifacts import open_file, open_row
from harness.verification.verify import verify

from ..leaderboard.results import Lab


@pytest.fixture
def submission(shared_lab: Lab, tmp_path: Path, harness: Any) -> Path:
    out = tmp_path / "there" / "submission.zip"
    out.parent.mkdir()
    code, printed, _ = harness("leaderboard", "submit", f"{shared_lab.out}#fsnl", "--out", out)
    assert code == 0
    assert shared_lab.row("fsnl").id in printed
    return out


def rewritten(path: Path, change: dict[str, bytes | None]) -> Path:
    """The same archive with members replaced or left out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = change.get(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    other = path.with_name("other.zip")
    other.write_bytes(buffer.getvalue())
    return other


def test_it_is_verified_where_neither_images_nor_results_are(submission: Path, harness: Any) -> None:
    code, out, _ = harness("leaderboard", "verify", submission)
    assert code == 0
    assert "fsnl@2" in out
    assert "verified against the stored labels" in out
    assert [path.name for path in submission.parent.iterdir()] == ["submission.zip"], "nothing else is written"


def test_it_can_be_checked_against_the_data_too(submission: Path, shared_lab: Lab, harness: Any) -> None:
    code, out, _ = harness("leaderboard", "verify", submission, "--data", shared_lab.root)
    assert (code, "against the data" in out) == (0, True)


def test_it_can_be_run_again(submission: Path, shared_lab: Lab, harness: Any) -> None:
    code, _, err = harness("reproduce", submission)
    assert (code, "the row was run on small" in err) == (2, True), "its record is read; what is lacking are the data"
    assert open_row(f"{submission}#fsnl@2")[1] == shared_lab.row("fsnl")


def test_it_holds_one_row_its_cost_and_no_image(submission: Path, shared_lab: Lab) -> None:
    with zipfile.ZipFile(submission) as archive:
        names = archive.namelist()
        content = [archive.read(name) for name in names]
    assert {name.partition("/")[0] for name in names} == {
        "leaderboard.json",
        "costs.json",
        "cells",
        "labels",
        "manifests",
        "predictions",
    }
    images = [path.read_bytes() for path in shared_lab.root.rglob("images/*/*")]
    assert not any(image in inner for image in images if len(image) > 100 for inner in content)
    assert open_file(submission)[0].rows == (shared_lab.row("fsnl"),)
    assert str(Path.home()).encode() not in b"".join(content)


@pytest.mark.parametrize("of_submission", [False, True])
def test_the_same_row_makes_the_same_bytes(
    submission: Path, shared_lab: Lab, harness: Any, tmp_path: Path, of_submission: bool
) -> None:
    source = submission if of_submission else f"{shared_lab.out}#fsnl@2"
    assert harness("leaderboard", "submit", source, "--out", tmp_path / "again.zip")[0] == 0
    assert (tmp_path / "again.zip").read_bytes() == submission.read_bytes()


def test_its_cost_is_shown(submission: Path, shared_lab: Lab, harness: Any) -> None:
    code, out, _ = harness("leaderboard", "show", submission, "--json")
    (row,) = json.loads(out)[0]["rows"]
    assert (code, row["cost"]) == (0, open_file(shared_lab.out)[1].costs()[row["row"]].model_dump())


def test_it_is_compared_like_a_folder(submission: Path, shared_lab: Lab, harness: Any) -> None:
    assert harness("leaderboard", "diff", submission, submission)[:2] == (0, "no difference\n")
    code, out, err = harness("leaderboard", "compare", shared_lab.out, submission)
    assert (code, "fsnl" in out) == (0, True), err
    assert "only in A: zero_shot" in err


def test_a_row_without_its_evidence_is_not_submitted(lab: Lab, harness: Any, tmp_path: Path) -> None:
    next((lab.out / "predictions").rglob("*.safetensors")).unlink()
    codes = [
        harness("leaderboard", "submit", f"{lab.out}#{m}", "--out", tmp_path / f"{m}.zip")
        for m in ("fsnl", "zero_shot")
    ]
    assert 2 in [code for code, _, _ in codes]
    assert any("the row cannot be submitted: predictions" in err for _, _, err in codes)


@pytest.mark.parametrize("kind", ["cells", "labels", "manifests", "predictions"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_missing_or_changed_member_is_named(submission: Path, kind: str, content: bytes | None) -> None:
    with zipfile.ZipFile(submission) as archive:
        name = next(name for name in archive.namelist() if name.startswith(kind))
    board, artifacts = open_file(rewritten(submission, {name: content}))
    verdict = verify(board.rows[0], artifacts)
    assert verdict.status == "not verifiable"
    assert Path(name).stem[:12] in verdict.problems[0]


def test_a_tampered_row_is_found(submission: Path) -> None:
    with zipfile.ZipFile(submission) as archive:
        board = archive.read("leaderboard.json")
    other = rewritten(submission, {"leaderboard.json": board.replace(b'"n": 3', b'"n": 4', 1)})
    board_, artifacts = open_file(other)
    assert verify(board_.rows[0], artifacts).status == "differs"


def test_a_damaged_archive_is_a_sentence_or_not_verifiable(submission: Path, harness: Any) -> None:
    whole = submission.read_bytes()
    for cut in (10, len(whole) // 2, len(whole) - 5):
        submission.write_bytes(whole[:cut])
        code, _, err = harness("leaderboard", "verify", submission)
        assert (code, "is a damaged archive" in err) == (2, True)
    for at in range(100, len(whole) - 100, len(whole) // 15):
        submission.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        code, _, err = harness("leaderboard", "verify", submission)
        assert code in (0, 2, 3)  # 0: the byte is in a time stamp or in the cost
        assert "Traceback" not in err


def test_an_archive_without_a_leaderboard_is_a_sentence(tmp_path: Path, harness: Any) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", "y")
    code, _, err = harness("leaderboard", "verify", tmp_path / "a.zip")
    assert code == 2
    assert "is not a submission" in err
