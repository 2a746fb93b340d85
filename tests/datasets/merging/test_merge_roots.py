"""A merge of data roots: what is written, what a second one does, and what is refused."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.datasets.check import check_root
from harness.datasets.check_listing import add_differences
from harness.datasets.digests import DigestIndex
from harness.datasets.domain import DomainReader
from harness.datasets.download import download
from harness.datasets.identity import read_revision
from harness.datasets.importing.import_data import import_data
from harness.datasets.importing.request import ImportRequest
from harness.datasets.layout import RECORDS, TEXTS, open_dataset
from harness.datasets.listing import listing_path
from harness.datasets.merging.merge_roots import MergeReport, merge_roots
from harness.datasets.mirror import Mirror, pack
from harness.datasets.nouns import NOUNS_FILE
from harness.errors import DataError, HarnessError, StorageError, UserError

from ..damage import OOP
from ..importing.sources import content, image_folder, picture
from ..roots import FOLDERS as ALL_FOLDERS
from ..roots import write_json

FOLDERS = {OOP: ALL_FOLDERS[OOP]}
"""What the server has."""


@dataclass
class Roots:
    """Two imported roots, and where their merge is to be."""

    vehicles: Path
    tools: Path
    out: Path

    def merge(self, link: bool = False) -> MergeReport:
        return merge_roots([self.vehicles, self.tools], self.out, link)

    def refused(self, kind: type[HarnessError], message: str) -> None:
        """The merge is one sentence with a hint, the roots are as before, and nothing is left."""
        before = content(self.vehicles), content(self.tools)
        with pytest.raises(kind, match=message) as error:
            self.merge()
        assert "\n" not in error.value.message
        assert error.value.hint
        assert (content(self.vehicles), content(self.tools)) == before
        assert not self.out.exists()
        assert not list(self.out.parent.glob(".*"))


def imported(tmp_path: Path, domain: str, classes: tuple[str, ...], first: int) -> Path:
    source, out = image_folder(tmp_path / f"photos of {domain}", classes, first=first), tmp_path / domain.lower()
    import_data(ImportRequest((str(source),), out, domain, noun=f"kind of {domain}", licence=f"licence of {domain}"))
    return out


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    vehicles = imported(tmp_path, "Vehicles", ("fire engine", "pickup_truck"), 0)
    return Roots(vehicles, imported(tmp_path, "Tools", ("saw", "Père's hammer"), 100), tmp_path / "both")


def test_the_merged_root_has_every_file_of_the_others(roots):
    before = content(roots.vehicles), content(roots.tools)
    report = roots.merge()
    assert report.written
    assert report.folders == {"Tools2_OOP": str(roots.tools), "Vehicles2_OOP": str(roots.vehicles)}
    assert (content(roots.vehicles), content(roots.tools)) == before
    merged = content(roots.out)
    for found in before:
        own = {path: data for path, data in found.items() if "_OOP/" in path}
        assert own.items() <= merged.items()
    assert json.loads(merged[NOUNS_FILE]) == {"Tools": "kind of Tools", "Vehicles": "kind of Vehicles"}
    assert add_differences(check_root(roots.out), roots.out).ok
    readme = merged["README.md"].decode()
    for root, folder in ((roots.vehicles, "Vehicles2_OOP"), (roots.tools, "Tools2_OOP")):
        assert f"- {root.name}, revision {read_revision(root)}: {folder}\n" in readme
    assert all(f"Licence: licence of {domain}" in readme for domain in ("Vehicles", "Tools"))
    assert not list(roots.out.parent.glob(".*"))


def test_the_revision_identifies_the_content_and_not_the_order(roots, tmp_path):
    roots.merge()
    merge_roots([roots.tools, roots.vehicles], tmp_path / "elsewhere" / "both", workers=1)
    assert content(tmp_path / "elsewhere" / "both") == content(roots.out)
    write_json(roots.tools / NOUNS_FILE, {"Tools": "utensil"})
    merge_roots([roots.tools, roots.vehicles], tmp_path / "other")
    assert len({read_revision(root) for root in (roots.out, roots.tools, roots.vehicles, tmp_path / "other")}) == 4


def test_a_domain_keeps_its_fingerprint(roots, tmp_path):
    def fingerprint(root: Path) -> str:
        return DomainReader(open_dataset(root), DigestIndex(tmp_path / "index"), 1).read("Tools").fingerprint

    roots.merge()
    assert fingerprint(roots.out) == fingerprint(roots.tools)


def test_a_second_merge_changes_nothing(roots):
    roots.merge()
    before = {path: path.stat().st_mtime_ns for path in roots.out.rglob("*")}
    assert not roots.merge().written
    assert {path: path.stat().st_mtime_ns for path in roots.out.rglob("*")} == before


def test_a_second_merge_finds_what_changed(roots):
    roots.merge()
    next(roots.out.rglob("*.png")).write_bytes(picture(999))
    with pytest.raises(DataError, match=r"1 file of .*both changed since it was written, first .*\.png"):
        roots.merge()


def test_another_merge_into_the_same_folder_is_refused(roots):
    roots.merge()
    before = content(roots.out)
    write_json(roots.tools / NOUNS_FILE, {"Tools": "utensil"})
    with pytest.raises(StorageError, match=r"exists with other content: .* differs"):
        roots.merge()
    assert content(roots.out) == before


def test_links_share_the_files_of_the_roots(roots):
    roots.merge(link=True)
    of_roots = {path.stat().st_ino for root in (roots.vehicles, roots.tools) for path in root.rglob("*.png")}
    assert {path.stat().st_ino for path in roots.out.rglob("*.png")} == of_roots


def test_a_merged_root_is_merged_again(roots, tmp_path):
    roots.merge()
    more = imported(tmp_path, "Birds", ("crane",), 200)
    report = merge_roots([roots.out, more], tmp_path / "all")
    assert list(report.folders) == ["Birds1_OOP", "Tools2_OOP", "Vehicles2_OOP"]
    assert check_root(tmp_path / "all").ok


def test_sentences_and_records_are_combined(roots):
    write_json(roots.vehicles / TEXTS, {"pickup_truck": ["open at the back"], "saw": ["a tool"]})
    write_json(roots.tools / TEXTS, {"saw": ["a tool"]})
    for number, root in enumerate((roots.vehicles, roots.tools)):
        (root / RECORDS).mkdir()
        (root / RECORDS / "record.json").write_text(str(number))
        (root / RECORDS / "same.json").write_text("x")
    roots.merge()
    assert json.loads((roots.out / TEXTS).read_text()) == {"pickup truck": ["open at the back"], "saw": ["a tool"]}
    records = {path.name: path.read_text() for path in (roots.out / RECORDS).iterdir()}
    assert sorted(records.values()) == ["0", "1", "x"]
    assert records["same.json"] == "x"


def test_contradicting_sentences_are_refused(roots):
    write_json(roots.vehicles / TEXTS, {"saw": ["a boat"]})
    write_json(roots.tools / TEXTS, {"saw": ["a tool"]})
    roots.refused(DataError, r"has other sentences about 'saw' than another root")


@pytest.mark.parametrize("domain", ["Vehicles", "vehicles"])
def test_a_domain_is_in_one_root_alone(roots, tmp_path, domain):
    roots.tools = imported(tmp_path / "more", domain, ("tram",), 300)
    roots.refused(DataError, r"both have the domain [Vv]ehicles")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(picture(999))], ids=["gone", "changed"])
@pytest.mark.parametrize("pattern", ["*.png", "split_Xin_*.json"])
def test_a_damaged_root_is_refused(roots, damage, pattern):
    damage(next(roots.tools.rglob(pattern)))
    roots.refused(DataError, r"missing or changed in the roots: 1 file, first .*Tools2_OOP")


@pytest.mark.parametrize("path", ["../photos of Tools/saw/0.png", "Vehicles2_OOP/images/x.png", "/etc/hosts"])
def test_a_listing_that_leaves_its_folder_is_refused(roots, path):
    listing = listing_path(roots.tools, "Tools2_OOP")
    found = json.loads(listing.read_text(encoding="utf-8"))
    found["files"][0]["path"] = path
    write_json(listing, found)
    roots.refused(DataError, "has no intact list of the checksums of Tools2_OOP")


def test_a_file_that_is_not_listed_is_refused(roots):
    (roots.tools / "Tools2_OOP" / "images" / "saw" / "new.png").write_bytes(picture(999))
    roots.refused(DataError, r"not in the list of checksums of .*tools: 1 file, first .*saw/new.png")


def test_a_root_made_by_hand_is_merged_after_it_is_packed(roots, root, tmp_path):
    with pytest.raises(DataError, match="has no intact list of the checksums of ") as error:
        merge_roots([root, roots.tools], roots.out)
    assert "harness data pack" in str(error.value.hint)
    pack(root, tmp_path / "mirror")
    copy = download(tmp_path / "copy", None, remote=Mirror(str(tmp_path / "mirror")))
    merge_roots([copy, roots.tools], roots.out)
    own = {path: data for path, data in content(root).items() if not path.startswith(".")}
    assert own.items() <= content(roots.out).items()


def test_a_download_is_merged_by_the_checksums_of_the_hub(roots, hub, tmp_path):
    copy = download(tmp_path / "copy", None, remote=hub)
    merge_roots([copy, roots.tools], roots.out)
    assert add_differences(check_root(roots.out), roots.out).ok
    next((copy / OOP).glob("split_Xin_*.json")).write_text("{}")
    with pytest.raises(DataError, match=r"missing or changed in the roots: 1 file, first .*split_Xin"):
        merge_roots([copy, roots.tools], tmp_path / "other")


def test_one_root_is_no_merge(roots):
    with pytest.raises(UserError, match="at least two roots"):
        merge_roots([roots.tools], roots.out)


def test_a_merge_inside_of_a_root_is_refused(roots):
    roots.out = roots.tools / "both"
    with pytest.raises(UserError, match="are inside of each other"):
        roots.merge()


def test_a_folder_with_other_content_is_refused(roots):
    roots.out.mkdir()
    (roots.out / "thesis.txt").write_text("x")
    with pytest.raises(StorageError, match=r"exists and has no dataset.json"):
        roots.merge()
    assert os.listdir(roots.out) == ["thesis.txt"]  # noqa: PTH208 - hidden files too
