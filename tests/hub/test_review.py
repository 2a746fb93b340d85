"""A pull request may be merged if it adds boards alone, loses no row, and every row follows from its predictions."""

from __future__ import annotations

import json

import pytest

from harness.results.archive import PACKED
from harness.results.leaderboard_file import BOARD

from ..leaderboard.results import METHODS, Answering, run
from .repositories import REPOSITORY

PUSH = ("leaderboard", "push", REPOSITORY)
REVIEW = ("leaderboard", "review", REPOSITORY)
OURS = "boards/ours"


@pytest.fixture
def submitted(server, login, harness, lab):
    """Pull request 1: a board of somebody else, beside one on the main branch; returns the request's files."""
    assert harness(*PUSH, lab.out, "--name", "ours")[0] == 0
    login("hf_ann")
    run(lab.out, lab.domains, [*METHODS, Answering("coop", 0.6)])
    assert harness(*PUSH, lab.out, "--name", "ann", "--pr")[0] == 0
    login("hf_lab")
    return server.stored.files("refs/pr/1")


@pytest.fixture
def change(server, submitted):
    """Commits to the pull request: other content by path, None removes a file."""

    def commit(files: dict[str, bytes | None]) -> None:
        new = {path: content for path, content in {**submitted, **files}.items() if content is not None}
        server.stored.add("refs/pr/1", server.stored.refs["refs/pr/1"], new)

    return commit


def test_an_honest_submission_may_be_merged_and_the_comment_says_so_once(server, submitted, harness):
    code, out, err = harness(*REVIEW, "--comment")
    assert code == 0, out + err
    head = server.stored.refs["refs/pr/1"][:12]
    assert out.splitlines()[-1] == f"pull request 1 at {head} may be merged: 3 of 3 rows verified in ann"
    assert out.count("verified against the stored labels") == 3
    assert harness(*REVIEW, "--comment")[0] == 0
    assert server.stored.comments[1] == [f"pull request 1 at {head} may be merged: 3 of 3 rows verified in ann\n"]


def test_it_is_verified_against_the_data_if_they_are_given(submitted, harness, lab):
    code, out, err = harness(*REVIEW, "--pr", "1", "--data", lab.root)
    assert (code, out.count("verified against the data")) == (0, 3), out + err


def test_a_request_that_is_behind_the_branch_changes_only_what_it_changes(server, submitted, harness, lab):
    assert harness(*PUSH, lab.out, "--name", "ours")[0] == 0
    assert server.stored.files()[f"{OURS}/{BOARD}"] != submitted[f"{OURS}/{BOARD}"]
    code, out, _ = harness(*REVIEW)
    assert (code, out.splitlines()[-1].endswith("3 of 3 rows verified in ann")) == (0, True)


def test_a_changed_figure_is_found(submitted, change, harness, server):
    board = json.loads(submitted[f"boards/ann/{BOARD}"])
    board["rows"][0]["mean"]["oop_top1"]["mean"] = 0.99
    change({f"boards/ann/{BOARD}": json.dumps(board).encode()})
    code, out, _ = harness(*REVIEW, "--comment")
    assert code == 3
    assert "may not be merged: 2 of 3 rows verified in ann" in out
    assert "0.99" in server.stored.comments[1][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"README.md": b"mine"}, "it changes README.md, which is not of a board"),
        ({f"{OURS}/{BOARD}": None, f"{OURS}/{PACKED}": None}, "board ours of lab/board is not whole"),
        ({f"boards/ann/{PACKED}": None}, "board ann of lab/board is not whole: it has no artifacts.zip"),
        ({f"boards/ann/{PACKED}": b"PK"}, "a damaged archive"),
        ({f"boards/ann/{BOARD}": b"{}"}, "cannot be used: it is not a leaderboard"),
        (
            {f"boards/ann/{BOARD}": None, f"boards/ann/{PACKED}": None, "boards/ann/costs.json": None},
            "changes no board",
        ),
        ({f"{OURS}/{BOARD}": b'{"schema_version": 1, "rows": []}'}, "board ours would lose zero_shot@0"),
    ],
)
def test_what_a_submission_may_not_do_is_named(submitted, change, harness, files, sentence):
    change(files)
    code, out, err = harness(*REVIEW)
    assert (code, sentence in out) == (3, True), out + err
    assert "pull request 1 at" in out


def test_a_server_that_is_busy_is_a_sentence(server, submitted, harness):
    for end in ("/discussions", "/discussions/1"):
        server.faults = {end: [503]}
        code, _, err = harness(*REVIEW, "--comment")
        assert (code, "the server did not answer" in err) == (2, True), end


def test_a_request_without_the_history_of_the_branch_is_refused(server, submitted, harness):
    server.stored.add("refs/pr/1", "", submitted)
    code, out, _ = harness(*REVIEW)
    assert (code, "it has no commit in common with main" in out) == (3, True)


def test_without_open_requests_there_is_nothing_to_review(server, login, harness):
    assert harness(*REVIEW)[:2] == (0, f"{REPOSITORY} has no open pull request\n")
    code, _, err = harness(*REVIEW, "--pr", "7")
    assert (code, "the Hub has no revision refs/pr/7" in err) == (2, True)
