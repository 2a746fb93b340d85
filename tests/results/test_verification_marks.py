"""A mark is believed if a trusted key signed it, of the very row that is shown; anything else is a claim."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import signatures
from harness.leaderboard.assemble import assemble
from harness.results import verification_marks
from harness.results.verification_marks import Mark, Verification, read_marks, update_marks
from harness.types.cell import Failure
from harness.types.leaderboard import Row

from ..leaderboard.mutations import changed_rows
from ..leaderboard.results import Lab
from ..makers import make_cell, sha

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")

ROW, OTHER = sha("row"), sha("other row")
MARK = Mark(against="data", date="2026-03-14")


@pytest.fixture
def become(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Act as a user, each with an own configuration folder."""

    def become(name: str) -> Path:
        folder = tmp_path / "config" / name
        monkeypatch.setenv("HARNESS_CONFIG", str(folder))
        monkeypatch.setattr("getpass.getuser", lambda: name)
        return folder

    become("alice")
    return become


def statuses(folder: Path) -> dict[str, tuple[str, str]]:
    return {row: (mark.status, mark.by) for row, mark in read_marks(folder).items()}


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit the first list of marks in a file."""
    path = folder / verification_marks.FILE
    content = json.loads(path.read_text())
    change(content["verifiers"][0])
    path.write_text(json.dumps(content))


@pytest.mark.usefixtures("become")
def test_own_mark_says_who_when_and_against_what(tmp_path: Path) -> None:
    update_marks(tmp_path, {ROW: MARK})
    (mark,) = read_marks(tmp_path).values()
    assert mark == Verification("verified", "alice", "2026-03-14", "data")
    assert mark.text == "verified by alice on 2026-03-14 against the data"
    key = signatures.config_root() / signatures.KEY
    assert key.stat().st_mode & 0o077 == 0
    before = key.read_bytes()
    update_marks(tmp_path, {OTHER: Mark(against="labels", date="2026-03-15")})
    assert key.read_bytes() == before, "the key is made once"
    assert statuses(tmp_path) == {ROW: ("verified", "alice"), OTHER: ("verified", "alice")}


@pytest.mark.usefixtures("become")
def test_own_mark_is_replaced_by_a_stronger_one_or_removed(tmp_path: Path) -> None:
    update_marks(tmp_path, {ROW: Mark(against="labels", date="2026-03-13")})
    update_marks(tmp_path, {ROW: MARK})
    update_marks(tmp_path, {ROW: Mark(against="labels", date="2026-03-15")})
    assert read_marks(tmp_path)[ROW].date == "2026-03-14"
    update_marks(tmp_path, {ROW: None})
    assert read_marks(tmp_path) == {}


def test_mark_of_another_is_a_claim_until_the_key_is_trusted(tmp_path: Path, become: Callable[[str], Path]) -> None:
    line = update_marks(tmp_path, {ROW: MARK})
    config = become("bob")
    (claim,) = read_marks(tmp_path).values()
    assert (claim.status, claim.by) == ("claimed", "alice")
    expected = "claimed: verified by alice on 2026-03-14 against the data; no key that you trust has signed it"
    assert claim.text == expected
    update_marks(tmp_path, {OTHER: MARK})
    assert statuses(tmp_path) == {ROW: ("claimed", "alice"), OTHER: ("verified", "bob")}, "other marks are unchanged"
    (config / signatures.ALLOWED).write_text(f"# whom I trust\nnot a line\n{line.replace('alice', 'alice@lab.org')}\n")
    assert statuses(tmp_path) == {ROW: ("verified", "alice@lab.org"), OTHER: ("verified", "bob")}
    become("alice")
    assert statuses(tmp_path) == {ROW: ("verified", "alice"), OTHER: ("claimed", "bob")}


@pytest.mark.parametrize(
    "change",
    [
        lambda own: own["rows"].update({OTHER: MARK.model_dump()}),
        lambda own: own["rows"][ROW].update(date="2027-01-01"),
        lambda own: own["rows"][ROW].update(against="labels"),
        lambda own: own.update(by="bob"),
        lambda own: own.update(signature=""),
        lambda own: own.update(signature="\n" + own["signature"][:-60]),
        lambda own: own.update(key=own["key"][:-1]),
    ],
)
def test_changed_list_of_marks_is_only_a_claim(tmp_path: Path, become: Callable[[str], Path], change: Any) -> None:
    update_marks(tmp_path, {ROW: MARK})
    edit(tmp_path, change)
    assert {status for status, _ in statuses(tmp_path).values()} == {"claimed"}
    update_marks(tmp_path, {OTHER: Mark(against="labels", date="2026-03-15")})
    assert [row for row, (status, _) in statuses(tmp_path).items() if status == "verified"] == [OTHER]


def test_signature_for_another_purpose_or_of_another_key_is_only_a_claim(
    tmp_path: Path, become: Callable[[str], Path]
) -> None:
    update_marks(tmp_path, {ROW: MARK})
    path = tmp_path / verification_marks.FILE
    (own,) = verification_marks.MarksFile.model_validate_json(path.read_bytes()).verifiers
    key = signatures.config_root() / signatures.KEY
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(key)]
    for_git = subprocess.run(command, input=own.message, capture_output=True, check=True).stdout.decode()
    edit(tmp_path, lambda one: one.update(signature=for_git))
    assert statuses(tmp_path) == {ROW: ("claimed", "alice")}
    become("mallory")
    signatures.create_key()
    edit(tmp_path, lambda one: one.update(signature=signatures.sign(own.message)))
    become("alice")
    assert statuses(tmp_path) == {ROW: ("claimed", "alice")}


def test_marks_of_a_trusted_key_in_own_name_are_not_signed_again(tmp_path: Path, become: Callable[[str], Path]) -> None:
    become("bob")
    bob = signatures.create_key()
    config = become("alice")
    update_marks(tmp_path, {ROW: MARK})
    (config / signatures.ALLOWED).write_bytes(bob.line)
    edit(tmp_path, lambda own: own["rows"].update({OTHER: MARK.model_dump()}))
    (forged,) = verification_marks._read(tmp_path)
    become("bob")
    edit(tmp_path, lambda own: own.update(signature=signatures.sign(forged.message)))
    become("alice")
    assert statuses(tmp_path)[OTHER] == ("verified", "bob"), "the name is that of the key"
    update_marks(tmp_path, {})
    assert read_marks(tmp_path) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"format": "laion-beyond-verified/1", "rows": {}}',
        json.dumps({"verifiers": [{"by": "\x1b[31m", "key": "a b", "rows": {}}]}).encode(),
        json.dumps({"verifiers": [{"by": "a", "key": "a b", "rows": {ROW: {"against": "data"}}}]}).encode(),
        json.dumps({"verifiers": [{"by": "a", "key": "a b", "rows": {}}] * 51}).encode(),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("become")
def test_damaged_marks_are_no_marks(tmp_path: Path, content: bytes) -> None:
    (tmp_path / verification_marks.FILE).write_bytes(content)
    assert read_marks(tmp_path) == {}
    update_marks(tmp_path, {ROW: MARK})
    assert statuses(tmp_path) == {ROW: ("verified", "alice")}


# -- rows --------------------------------------------------------------------------------------------------------------


def rich_row(complete: bool) -> Row:
    """A row with a value in every field; a complete one has means, another one failures."""
    cells = [
        make_cell((seed + 1) / 10, domain=domain, seed=seed, method={"pool": "test-unlabeled"}).model_copy(
            update={
                "per_class": {"oop": (0.5, None), "ip": (0.25,)},
                "unreadable": ("a.jpg",),
                "copies": 2,
                "left_out": 1,
                "collisions": (("a", "A"),),
                "revision": "r1",
                "predictions": sha(f"{domain}{seed}"),
                "not_applicable": "fixed" if domain == "B" else None,
                "images": {"oop": 10},
            }
        )
        for domain in "AB"
        for seed in (1, 2)
    ]
    if not complete:
        failure = Failure(kind="error", reason="x")
        cells.append(make_cell(domain="C", seed=1, method={"pool": "test-unlabeled"}, failure=failure))
    (row,) = assemble(cells).rows
    return row


@pytest.mark.usefixtures("become")
def test_a_row_with_any_field_changed_is_not_verified(tmp_path: Path) -> None:
    rows = [rich_row(complete) for complete in (True, False)]
    update_marks(tmp_path, {row.content_sha256: MARK for row in rows})
    marks = read_marks(tmp_path)
    changed = [(row, other) for row in rows for other in changed_rows(row, most=4)]
    assert [other for _, other in changed if other.content_sha256 in marks] == []
    fields = {name for name in Row.model_fields for row, other in changed if getattr(row, name) != getattr(other, name)}
    assert fields == set(Row.model_fields), "each field was changed"
    assert len(changed) > 300
    assert all(Row.model_validate_json(row.model_dump_json()).content_sha256 in marks for row in rows)


# -- the commands ------------------------------------------------------------------------------------------------------


def test_an_invented_row_with_a_mark_beside_it_is_shown_as_claimed(
    lab: Lab, harness: Any, become: Callable[[str], Path]
) -> None:
    assert harness("leaderboard", "verify", lab.out)[0] == 0
    _, out, _ = harness("leaderboard", "show", lab.out)
    assert "fsnl ✓ " in out
    assert "✓ verified by alice on " in out
    become("mallory")
    board = json.loads((lab.out / "leaderboard.json").read_text())
    board["rows"][1]["mean"]["h_mean"]["mean"] = 0.987
    (lab.out / "leaderboard.json").write_text(json.dumps(board))
    invented = Row.model_validate_json(json.dumps(board["rows"][1]))
    update_marks(lab.out, {invented.content_sha256: MARK})
    become("alice")
    _, out, _ = harness("leaderboard", "show", lab.out)
    assert "98.7" in out
    assert f"{invented.method} (claimed)" in out
    assert "claimed: verified by mallory on 2026-03-14 against the data; no key that you trust has signed it" in out
    document = json.loads(harness("leaderboard", "show", lab.out, "--json")[1])
    rows = {row["method"]: row["verified"] for table in document for row in table["rows"]}
    assert rows[invented.method] == {"status": "claimed", "by": "mallory", "date": "2026-03-14", "against": "data"}
    assert {mark["status"] for method, mark in rows.items() if method != invented.method} == {"verified"}


@pytest.mark.usefixtures("become")
def test_verify_says_how_others_trust_the_marks(lab: Lab, harness: Any) -> None:
    _, _, err = harness("leaderboard", "verify", lab.out)
    signer = signatures.own_signer()
    assert signer is not None
    assert f"in their allowed_signers: {signer.line.decode().strip()}" in err


@pytest.mark.usefixtures("become")
def test_without_ssh_keygen_rows_are_verified_but_neither_marked_nor_believed(
    lab: Lab, harness: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    code, out, err = harness("leaderboard", "verify", lab.out)
    assert (code, out.count("verified against the stored labels")) == (0, 2)
    assert "rows are not marked as verified: there is no ssh-keygen on this machine" in err
    assert not (lab.out / verification_marks.FILE).exists()
    monkeypatch.undo()
    harness("leaderboard", "verify", lab.out)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert {mark.status for mark in read_marks(lab.out).values()} == {"claimed"}


@pytest.mark.parametrize("name", ["", "Ünal Özgür", "a,b\n*", "a" * 200])
@pytest.mark.usefixtures("become")
def test_any_account_name_makes_a_signer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: name)
    update_marks(tmp_path, {ROW: MARK})
    assert statuses(tmp_path) == {ROW: ("verified", signatures.as_name(name))}


@pytest.mark.usefixtures("become")
def test_the_comment_of_the_public_key_is_the_name(tmp_path: Path) -> None:
    signatures.create_key()
    path = signatures.config_root() / signatures.PUBLIC_KEY
    path.write_text(path.read_text().replace("alice", "alice@example.org"))
    update_marks(tmp_path, {ROW: MARK})
    assert statuses(tmp_path) == {ROW: ("verified", "alice@example.org")}


@pytest.mark.usefixtures("become")
def test_a_lost_public_key_is_written_again(tmp_path: Path) -> None:
    update_marks(tmp_path, {ROW: MARK})
    (signatures.config_root() / signatures.PUBLIC_KEY).unlink()
    assert statuses(tmp_path) == {ROW: ("claimed", "alice")}
    update_marks(tmp_path, {})
    assert statuses(tmp_path) == {ROW: ("verified", "alice")}
