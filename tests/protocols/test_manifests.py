"""Folders of draws: a round trip, and everything that can be wrong with a file or its fit to the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import DataError, UserError
from harness.protocols import PROTOCOLS, draw, manifests
from harness.protocols.manifests import GivenDraws
from harness.types.manifest import Manifest, Pick

from ..makers import make_split, sha

TRAIN = make_split([0, 1] * 6, ["ant", "bee"])
VAL = make_split([0, 1] * 4, ["ant", "bee"], "val")
DIGESTS = {split.folder / item.path: sha(item.path) for split in (TRAIN, VAL) for item in split.items}


def drawn(protocol: str = "clean-v1", shots: int = 2, seed: int = 1) -> Manifest:
    return draw(PROTOCOLS[protocol], [(TRAIN, VAL)], shots, seed, DIGESTS)


def changed(manifest: Manifest, number: int, **values: object) -> Manifest:
    """The manifest with one pick changed."""
    picks = list(manifest.picks)
    picks[number] = Pick.model_validate(picks[number].model_dump() | values)
    return manifest.model_copy(update={"picks": tuple(picks)})


def test_round_trip_preserves_manifests(tmp_path: Path) -> None:
    made = [drawn(shots=k, seed=s) for k in (1, 2) for s in (1, 2)]
    paths = [manifests.write(tmp_path / "new", manifest) for manifest in made]
    assert [path.stem for path in paths] == [manifest.sha256 for manifest in made]
    assert sorted(manifests.read_folder(tmp_path / "new"), key=lambda m: (m.shots, m.seed)) == made
    assert b"\r" not in paths[0].read_bytes()
    assert str(tmp_path) not in paths[0].read_text()


def test_macos_companion_files_are_ignored(tmp_path: Path) -> None:
    path = manifests.write(tmp_path, drawn())
    path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    assert manifests.read_folder(tmp_path) == (drawn(),)


def test_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(drawn().text(), encoding="utf-8-sig")
    assert manifests.read(tmp_path / "a.json") == drawn()


def test_a_folder_in_place_of_a_manifest_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(DataError, match=r"a\.json cannot be read: it is a folder, not a file"):
        manifests.read_folder(tmp_path)
    (tmp_path / "b.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(DataError, match=r"b\.json is a Git LFS pointer and not the file itself: run `git lfs pull`"):
        manifests.read(tmp_path / "b.json")


def test_a_file_whose_content_does_not_match_its_name_is_an_error(tmp_path: Path) -> None:
    path = manifests.write(tmp_path, drawn())
    path.write_text(path.read_text().replace('"label": 1', '"label": 0', 1))
    with pytest.raises(DataError, match=f"{path.name} does not match its name") as error:
        manifests.read_folder(tmp_path)
    assert "harness manifest import" in str(error.value.hint)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "is not a manifest: invalid json"),
        ('{"protocol": "x"}', "is not a manifest: domain: field"),
    ],
)
def test_invalid_manifests_are_errors(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / f"{sha(content)}.json").write_text(content)
    with pytest.raises(DataError, match=message):
        manifests.read_folder(tmp_path)


def test_missing_manifests_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="contains no manifests"):
        manifests.read_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be read: no such file"):
        manifests.read(tmp_path / "nothing.json")


def test_select_protocol(tmp_path: Path) -> None:
    both = (drawn(), drawn("paper-2025"), drawn(seed=2))
    assert manifests.select_protocol(both, "clean-v1", tmp_path) == {
        ("Animals", 2, 1): both[0],
        ("Animals", 2, 2): both[2],
    }
    with pytest.raises(UserError, match="contains no draw of 'clean-1', only of clean-v1, paper-2025") as error:
        manifests.select_protocol(both, "clean-1", tmp_path)
    assert error.value.hint == "did you mean --protocol clean-v1?"
    with pytest.raises(UserError, match="two draws of clean-v1 for Animals, 2 shots, seed 1"):
        manifests.select_protocol((both[0], changed(both[0], 0, label=1)), "clean-v1", tmp_path)


@pytest.mark.parametrize("source", ["clean-v1", "paper-2025"])
def test_given_draws_reproduce_the_manifest(source: str) -> None:
    theirs = drawn(source).model_copy(update={"protocol": "their own"})
    rule = GivenDraws("their own", {("Animals", 2, 1): theirs})
    made = draw(rule, [(TRAIN, VAL)], 2, 1, DIGESTS)
    assert made == theirs
    manifests.require_equal(made, theirs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "images/ant/elsewhere.jpg"}, "has no train image images/ant/elsewhere.jpg, which manifest"),
        ({"part": "test"}, "has no test image"),
    ],
)
def test_a_manifest_with_a_missing_image_is_an_error(change: dict[str, str], message: str) -> None:
    theirs = changed(drawn(), 0, **change)
    with pytest.raises(DataError, match=message):
        draw(GivenDraws("clean-v1", {("Animals", 2, 1): theirs}), [(TRAIN, VAL)], 2, 1, DIGESTS)


def test_require_equal_reports_the_difference() -> None:
    own = drawn()
    other = own.picks[0].path
    wrong = {
        "has other class names": own.model_copy(update={"names": ("ant", "wasp")}),
        "differs from what clean-v1 draws": drawn(seed=3).model_copy(update={"seed": 1}),
        f"has {other} under label 1; the data say 0": changed(own, 0, label=1),
        f"other bytes of {other}": changed(own, 0, sha256=sha("other")),
        "for the side ip": own.model_copy(update={"side": "ip"}),
    }
    for message, theirs in wrong.items():
        with pytest.raises(DataError, match=message):
            manifests.require_equal(own, theirs)
