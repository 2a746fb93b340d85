"""Boards are pushed in one commit, pulled whole, and never replaced by less."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.results.archive import PACKED
from harness.results.leaderboard_file import BOARD, read_board

from ..leaderboard.results import Answering, run
from .repositories import REPOSITORY

PUSH = ("leaderboard", "push", REPOSITORY)
PULL = ("leaderboard", "pull", REPOSITORY)


def test_a_pushed_board_is_pulled_and_verified(server, login, harness, lab, tmp_path):
    code, out, err = harness(*PUSH, lab.out, "--name", "ours")
    assert code == 0, err
    assert f"board ours: {server.address}/datasets/{REPOSITORY}/commit/{server.stored.refs['main']}" in out
    assert "uploading: done, 3 files" in err
    assert len(server.stored.commits) == 2, "one commit besides the first"
    assert len(server.objects) == 2, "the leaderboard and the archive are LFS files"
    login(None)
    assert harness(*PULL, "--out", tmp_path / "pulled")[:2] == (0, f"{tmp_path / 'pulled' / 'ours'}\n")
    assert read_board(tmp_path / "pulled" / "ours") == lab.board
    assert harness("leaderboard", "verify", tmp_path / "pulled" / "ours", "--no-mark")[0] == 0


def test_a_second_push_of_the_same_board_makes_no_commit(server, login, harness, lab):
    assert harness(*PUSH, lab.out)[0] == 0
    before = dict(server.stored.refs)
    code, out, _ = harness(*PUSH, lab.out)
    assert (code, out) == (0, f"board results: {REPOSITORY} has it already, nothing is pushed\n")
    assert server.stored.refs == before


def test_a_submission_opens_a_pull_request_and_changes_nothing_else(server, login, harness, lab, tmp_path):
    login("hf_ann")
    before = server.stored.refs["main"]
    code, out, _ = harness(*PUSH, lab.out, "--name", "ann", "--pr")
    assert (code, out) == (0, f"board ann: {server.address}/datasets/{REPOSITORY}/discussions/1\n")
    assert server.stored.refs["main"] == before
    assert harness(*PULL, "--out", tmp_path / "pulled")[0] == 2, "it is not merged"
    assert harness(*PULL, "--out", tmp_path / "pulled", "--revision", "refs/pr/1")[0] == 0
    assert read_board(tmp_path / "pulled" / "ann") == lab.board


def test_a_repository_is_created_where_asked(server, login, harness, lab):
    words = ("leaderboard", "push", "lab/new", lab.out)
    code, _, err = harness(*words)
    assert (code, "the Hub has no revision main of lab/new" in err, "--create" in err) == (2, True, True)
    assert harness(*words, "--create", "private")[0] == 0
    assert server.repositories["lab/new"].private
    assert harness(*words, "--create", "private")[0] == 0, "it is there already"
    login(None)
    code, _, err = harness("leaderboard", "pull", "lab/new", "--out", "here")
    assert (code, "does not give access" in err, "hf auth login" in err) == (2, True, True)


@pytest.mark.parametrize(
    ("token", "faults", "sentence", "hint"),
    [
        (None, {}, f"the Hub does not give access to {REPOSITORY} for writing", "hf auth login"),
        ("hf_ann", {}, f"the Hub does not give access to {REPOSITORY} for writing", "--pr asks for a review"),
        ("hf_lab", {"/commit/main": [412]}, f"main of {REPOSITORY} has changed since the start", "again"),
        ("hf_lab", {"/commit/main": [500]}, "nothing was pushed: HTTP 500", "check the network"),
        ("hf_lab", {"/revision/main": [503]}, "the server did not answer", "check the network"),
    ],
)
def test_what_the_hub_refuses_is_a_sentence_and_nothing_is_visible(
    server, login, harness, lab, token, faults, sentence, hint
):
    login(token)
    server.faults = faults
    before = dict(server.stored.refs)
    code, _, err = harness(*PUSH, lab.out)
    assert code == 2
    assert sentence in err
    assert hint in err
    assert server.stored.refs == before


@pytest.mark.parametrize("name", ["not//valid", "no-such/board", "lab/ board"])
def test_a_wrong_repository_is_a_sentence(server, login, harness, name, tmp_path):
    code, _, err = harness("leaderboard", "pull", name, "--out", tmp_path)
    assert code == 2
    assert err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_a_board_that_is_not_verified_is_not_pushed(server, login, harness, lab):
    path = lab.out / BOARD
    changed = json.loads(path.read_text())
    changed["rows"][0]["mean"]["oop_top1"]["mean"] = 0.99
    path.write_text(json.dumps(changed))
    code, _, err = harness(*PUSH, lab.out)
    assert (code, "is not pushed: " in err) == (2, True)
    assert not any("preupload" in request for request in server.requests)


def test_a_board_is_never_replaced_by_one_with_fewer_rows(server, login, harness, lab, tmp_path):
    assert harness(*PUSH, lab.out)[0] == 0
    run(tmp_path / "results2", lab.domains, [Answering("zero_shot", 0.3, shots=0, moody=False)])
    code, _, err = harness(*PUSH, tmp_path / "results2", "--name", "results")
    assert (code, "results of lab/board has 1 row that would be lost, such as fsnl@2" in err) == (2, True)
    assert harness(*PUSH, tmp_path / "results2", "--name", "fewer")[0] == 0
    assert harness(*PULL, "--out", tmp_path / "pulled")[0] == 0
    (tmp_path / "pulled" / "results").rename(tmp_path / "pulled" / "more")
    (tmp_path / "pulled" / "fewer").rename(tmp_path / "pulled" / "results")
    (tmp_path / "pulled" / "more").rename(tmp_path / "pulled" / "fewer")
    before = (tmp_path / "pulled" / "fewer" / BOARD).read_bytes()
    assert harness(*PULL, "--out", tmp_path / "pulled", "--name", "results")[0] == 0, "more rows replace fewer"
    code, _, err = harness(*PULL, "--out", tmp_path / "pulled", "--name", "fewer")
    assert (code, "would be lost" in err) == (2, True)
    assert (tmp_path / "pulled" / "fewer" / BOARD).read_bytes() == before


def test_an_interrupted_pull_leaves_nothing_that_looks_whole(server, login, harness, lab, tmp_path, monkeypatch):
    assert harness(*PUSH, lab.out)[0] == 0
    server.faults = {BOARD: [500]}
    code, _, err = harness(*PULL, "--out", tmp_path / "pulled")
    assert (code, "the server did not answer" in err) == (2, True)
    assert not (tmp_path / "pulled").exists()
    saved = []

    def full(path: Path, *more: object) -> None:
        saved.append(path.name)
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.hub.boards.save", full)
    assert harness(*PULL, "--out", tmp_path / "pulled")[0] == 130
    assert saved == [PACKED], "the leaderboard is last"
    assert not (tmp_path / "pulled" / "results" / BOARD).exists()


def test_a_pull_replaces_nothing_but_packed_boards(server, login, harness, lab):
    assert harness(*PUSH, lab.out)[0] == 0
    code, _, err = harness(*PULL, "--out", lab.out.parent)
    assert (code, "holds something else than a packed board: cells" in err) == (2, True)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"boards/bad/leaderboard.json": b"{"}, "is not whole: it has no artifacts.zip"),
        ({"boards/bad/leaderboard.json": b"{", "boards/bad/artifacts.zip": b"PK"}, "is not a valid leaderboard"),
        ({"boards/../leaderboard.json": b"{}", "boards/../artifacts.zip": b"PK"}, "has no board"),
        ({"boards/.x/leaderboard.json": b"{}", "leaderboard.json": b"{}"}, "has no board"),
    ],
)
def test_foreign_boards_are_checked_before_anything_is_written(server, harness, login, tmp_path, files, sentence):
    server.stored.add("main", server.stored.refs["main"], files)
    code, _, err = harness(*PULL, "--out", tmp_path / "out")
    assert (code, sentence in err) == (2, True), err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / BOARD).exists()


def test_bytes_that_are_not_the_listed_ones_are_not_written(server, harness, login, lab, tmp_path):
    assert harness(*PUSH, lab.out)[0] == 0
    server.spoiled = {"boards/results/artifacts.zip"}
    code, _, err = harness(*PULL, "--out", tmp_path / "pulled")
    assert (code, "the server sent other bytes than it lists" in err) == (2, True)
    assert not (tmp_path / "pulled").exists()
