"""The description of a data folder: counts, sizes, name tokens, copies and collisions."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.datasets import images
from harness.datasets.card.describe import describe_root
from harness.datasets.card.records import DataCard, Spread
from harness.datasets.digests import DigestIndex
from harness.datasets.nouns import NOUNS_FILE

from ..roots import FOLDERS, PER_PART, edit_split


def word_ids(text: str) -> list[int]:
    """One token for each word."""
    return [hash(word) for word in text.split()]


@pytest.fixture
def describe(root, tmp_path):
    return lambda: describe_root(root, word_ids, DigestIndex(tmp_path / "index"), workers=1)


def folder(card: DataCard, name: str):
    return next(one for one in card.folders if one.folder == name)


def test_it_counts_classes_images_and_captions(describe, root):
    card = describe()
    assert [one.folder for one in card.folders] == sorted(FOLDERS)
    animals = folder(card, "Animals6_OOP")
    assert [one.name for one in animals.classes][:2] == ["great auk", "ibex"]
    assert all(one.images == PER_PART for one in animals.classes)
    assert [animals.images(part) for part in PER_PART] == [24, 12, 18]
    split = json.loads((root / "Animals6_OOP" / "split_Xin_Animals6_OOP.json").read_text(encoding="utf-8"))
    texts = [i.get("INFO", {}).get("Refined_caption3") for part in split.values() for i in part.values()]
    assert animals.captions == sum(bool(text) for text in texts) == sum(one.captions for one in animals.classes)
    assert 0 < animals.captions_with_name < animals.captions


def test_it_measures_names_and_images(describe):
    animals = folder(describe(), "Animals6_OOP")
    assert {one.name: one.tokens for one in animals.classes}['the "old" horse'] == 3
    assert animals.width == Spread(min=24, median=24, max=24)
    assert animals.height == Spread(min=16, median=16, max=16)
    assert sum(animals.formats.values()) == animals.images()
    assert animals.size > 0
    assert animals.problems == ()


def test_it_reads_no_pixels(describe, monkeypatch):
    monkeypatch.setattr(images, "_to_upright_rgb", None)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    assert folder(describe(), "Animals3_IP").width


def test_digests_are_read_from_the_index_the_second_time(root, tmp_path, monkeypatch):
    index = DigestIndex(tmp_path / "index")
    monkeypatch.setattr("harness.datasets.digests.SETTLED_S", -1)
    first = describe_root(root, word_ids, index)
    monkeypatch.setattr("harness.datasets.digests.file_digest", None)
    assert describe_root(root, word_ids, index) == first


def test_it_finds_copies_and_where_they_are(describe, root):
    own = root / "Animals6_OOP" / "images" / "ibex"
    split = json.loads((own.parents[1] / "split_Xin_Animals6_OOP.json").read_text(encoding="utf-8"))
    train, test = (
        next(i["image_name"] for i in split[p].values() if i["classname"] == "ibex") for p in ("train", "test")
    )
    shutil.copyfile(own / train, own / test)
    (found,) = describe().duplicates
    assert found.across == ("parts",)
    assert set(found.paths) == {f"Animals6_OOP/images/ibex/{train}", f"Animals6_OOP/images/ibex/{test}"}


def test_it_finds_names_that_collide(describe, root):
    (root / NOUNS_FILE).write_text('{"Animals": "creature"}')
    assert describe().token_collisions == ()

    def rename(split):
        for part in split.values():
            for item in part.values():
                if item["classname"] == "dog":
                    item["classname"] = "ibex"

    (root / "Animals3_IP" / "images" / "dog").rename(root / "Animals3_IP" / "images" / "ibex")
    edit_split(root / "Animals3_IP", rename)
    (collision,) = describe().token_collisions
    assert collision.names == ("Animals3_IP: ibex", "Animals6_OOP: ibex")
    assert {one.noun for one in describe().folders if one.domain == "Animals"} == {"creature"}


def test_what_cannot_be_read_is_named(describe, root):
    (root / "Animals3_IP" / "images" / "cat" / "000 plain.jpg").write_bytes(b"")
    edit_split(root / "Animals3_IP", lambda split: split["val"]["0"].pop("label"))
    found = folder(describe(), "Animals3_IP")
    assert any("has no label" in problem for problem in found.problems)
    assert any(problem.endswith("the file is empty") for problem in found.problems)
    assert found.images() == 26
