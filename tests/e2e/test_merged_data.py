"""Two imported domains in one root, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..datasets.importing.sources import content, image_folder, picture
from .conftest import FAST

DOMAINS = ("Vehicles", "Tools")


@pytest.fixture
def roots(harness, tmp_path: Path) -> list[Path]:
    classes = (("fire engine", "pickup_truck", "tram"), ("saw", "claw hammer"))
    found = []
    for number, (domain, names) in enumerate(zip(DOMAINS, classes, strict=True)):
        photos = image_folder(tmp_path / f"photos {number}", names, images=8, first=100 * number)
        (tmp_path / "oop.txt").write_text("\n".join(names[1:]))
        root = tmp_path / domain
        options = ("--domain", domain, "--hint", f"kind of {domain}", "--oop", tmp_path / "oop.txt")
        assert harness("data", "import", photos, "--out", root, *options).code == 0
        found.append(root)
    return found


def test_each_domain_has_the_same_scores_as_on_its_own(harness, roots, tmp_path):
    def scores(root: Path, *domains: str) -> dict[str, dict[str, object]]:
        """Method -> domain -> scores."""
        chosen = [word for domain in domains for word in ("--domain", domain)] or ["--all-domains"]
        where = ("--data", root, "--out", tmp_path / "results" / root.name, "--workers", "1")
        answer = harness("evaluate", "--plugin", "zero_shot,fsnl", *chosen, *where, *FAST, "--json")
        assert answer.code == 0, answer.err
        assert [row["failures"] for row in answer.json["rows"]] == [[], []]
        return {row["method"]: row["domains"] for row in answer.json["rows"]}

    both = tmp_path / "both"
    answer = harness("data", "merge", *roots, "--out", both)
    assert answer.code == 0, answer.err
    assert f"next: harness data check {both}" in answer.out
    assert harness("data", "check", both).code == 0
    merged, (vehicles, tools) = scores(both), map(scores, roots)
    assert set(merged) == {"zero_shot", "fsnl"}
    assert merged == {method: vehicles[method] | tools[method] for method in merged}
    assert "ip_top1" in merged["fsnl"]["Tools"]


def test_a_second_merge_says_that_nothing_changed(harness, roots, tmp_path):
    command = ("data", "merge", *roots, "--out", tmp_path / "both")
    assert harness(*command, "--json").json["written"] is True
    before = content(tmp_path)
    answer = harness(*command)
    assert (answer.code, "nothing changed: the folder has this merge already" in answer.out) == (0, True)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--overwrite",), "No such option: --overwrite"),
        (("Vehicles",), "both have the domain Vehicles"),
        (("missing",), "missing does not exist"),
        (("photos 0",), "`harness data import"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_a_wrong_option_is_one_sentence(harness, roots, tmp_path, options, message):
    before = content(tmp_path)
    words = [word if word.startswith("--") or word == "0" else tmp_path / word for word in options]
    answer = harness("data", "merge", *roots, *words, "--out", tmp_path / "both")
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert content(tmp_path) == before


def test_a_damaged_root_is_named(harness, roots, tmp_path):
    image = next(roots[1].rglob("*.png"))
    image.write_bytes(picture(999))
    answer = harness("data", "merge", *roots, "--out", tmp_path / "both")
    assert answer.code == 2
    assert f"missing or changed in the roots: 1 file, first {image}" in answer.err
    assert not (tmp_path / "both").exists()
