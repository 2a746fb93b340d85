from __future__ import annotations

import os
import shutil
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.datasets.disk import unsafe_reason
from harness.datasets.folder_reader import read_content, read_splits
from harness.errors import DataError
from harness.types.split import PARTS

from .damage import OOP, change, fails
from .roots import PER_PART, edit_split, write_json


def test_read_splits(folder):
    splits = read_splits(folder)
    assert tuple(splits) == PARTS
    for part, split in splits.items():
        assert (split.domain, split.side, split.part, split.folder) == ("Animals", "oop", part, folder)
        assert split.names == ("great auk", "ibex", "Père David's deer", 'the "old" horse', "St Bernard", "白鶴")
        assert len(split.items) == 6 * PER_PART[part]
        assert all((folder / item.path).is_file() for item in split.items)
    assert splits["train"].items[0].path.startswith("images/great_auk/")


def test_the_hint_for_a_folder_without_usable_images_asks_whether_they_are_there(folder):
    def unsafe(data):
        for part in PARTS:
            for item in data[part].values():
                item["image_name"] = "../x.jpg"

    edit_split(folder, unsafe)
    with pytest.raises(DataError, match="can be used") as caught:
        read_content(folder, lambda *problem: None)
    assert "whether images/ has them" in str(caught.value.hint)
    assert "permissions" in str(caught.value.hint)


def test_missing_empty_and_non_string_captions_are_none(folder):
    for value in ({}, {"Refined_caption3": ""}, {"Refined_caption3": " "}, {"Refined_caption3": 3}, None, [1], "x"):
        edit_split(folder, change("INFO", value))
        assert read_splits(folder)["test"].items[17].caption is None
    edit_split(folder, change("INFO", {"Refined_caption3": "half XX", "other": 1}))
    path = folder / f"split_Xin_{OOP}.json"
    path.write_text(path.read_text(encoding="utf-8").replace("XX", r"\ud83d"), encoding="utf-8")
    assert read_splits(folder)["test"].items[17].caption == "half ?"


def test_items_keep_the_order_of_the_split_file(folder):
    before = read_splits(folder)["train"].items
    edit_split(folder, lambda split: split.update(train=dict(reversed(split["train"].items()))))
    assert read_splits(folder)["train"].items == before[::-1]


def test_labels_are_renumbered_in_order(folder):
    before = read_splits(folder)

    def renumber(split):
        for part in split.values():
            for item in part.values():
                item["label"] = item["label"] * 10 - 5

    edit_split(folder, renumber)
    assert read_splits(folder) == before
    edit_split(folder, change("label", "45", key="13"))  # class 4 or 5, as an integer string
    with pytest.raises(DataError, match="test item 13 gives"):
        read_splits(folder)


def test_integer_strings_are_labels(folder):
    before = read_splits(folder)["test"]
    edit_split(folder, change("label", "5"))
    assert read_splits(folder)["test"] == before


def test_a_class_of_one_part_only_is_in_the_label_space_of_all(folder):
    edit_split(folder, lambda split: split.update(train={k: v for k, v in split["train"].items() if v["label"] != 2}))
    splits = read_splits(folder)
    assert len(splits["train"].names) == 6
    assert 2 not in splits["train"].group_by_label()


def test_renamed_folder_with_one_split_file(folder):
    renamed = folder.rename(folder.with_name("Animals7_OOP"))
    assert read_splits(renamed)["val"].domain == "Animals"
    shutil.copy(renamed / f"split_Xin_{OOP}.json", renamed / "split_Xin_other.json")
    fails(renamed, "has 2 split files and none is split_Xin_Animals7_OOP.json")
    shutil.copy(renamed / f"split_Xin_{OOP}.json", renamed / "split_Xin_Animals7_OOP.json")
    assert read_splits(renamed)["val"]


def test_unusable_folders_are_errors(folder):
    assert fails(folder.parent / "Food1_IP", "cannot be read").hint
    fails(folder.rename(folder.with_name("animals")), "folder 'animals' is not named {Domain}{N}_IP")
    folder = folder.with_name("animals").rename(folder)
    (folder / "images").rename(folder / "pictures")
    fails(folder, "Animals6_OOP has no images/ folder")
    (folder / f"split_Xin_{OOP}.json").unlink()
    fails(folder, "has no split file split_Xin_Animals6_OOP.json")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is damaged or truncated"),
        ('{"train": {"0": {"classname": "ib', "is damaged or truncated: unterminated string"),
        ("[]", "must contain an object with train, val and test, not a list"),
        ("3", "not a number"),
        ('{"train": {}, "val": {}}', "part test is missing"),
        ('{"train": [], "val": {}, "test": {}}', "part train must be an object of items, not a list"),
        ('{"train": {}, "val": null, "test": {}}', "part val must be an object of items, not null"),
        ('{"train": {}, "val": {}, "test": {}}', "lists no images"),
        ('{"train": {"0": 1, "0": 2}, "val": {}, "test": {}}', "key '0' occurs twice"),
        ('{"train": {"0": 1}, "val": {}, "test": {}}', "train item 0 must be an object, not a number"),
        ("[" * 100_000, "is damaged"),
    ],
)
def test_malformed_split_files_are_errors(folder, text, sentence):
    (folder / f"split_Xin_{OOP}.json").write_text(text)
    error = fails(folder, sentence)
    assert error.message.startswith(f"{OOP}/split_Xin_{OOP}.json")
    assert error.hint


def test_binary_split_file_is_an_error(folder):
    (folder / f"split_Xin_{OOP}.json").write_bytes(b'{"train": "\xff\xff"}')
    fails(folder, "is damaged")


def test_split_file_with_byte_order_mark(folder):
    path = folder / f"split_Xin_{OOP}.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_splits(folder)["test"].items


def test_a_caption_loses_its_byte_order_mark(folder):
    def mark(content):
        content["test"]["0"]["INFO"] = {"Refined_caption3": "\ufeffa small ibex"}
        content["test"]["1"]["INFO"] = {"Refined_caption3": "\ufeff "}

    edit_split(folder, mark)
    assert [item.caption for item in read_splits(folder)["test"].items[:2]] == ["a small ibex", None]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("classname", "unicorn", "names class 'unicorn', which has no folder under images/"),
        ("classname", 3, "has a classname that is a number, not a string"),
        ("image_name", None, "has a image_name that is null, not a string"),
        ("label", 1.0, "has label 1.0, which is not an integer"),
        ("label", True, "has label True, which is not an integer"),
        ("label", "three", "has label 'three', which is not an integer"),
        ("label", None, "has label None, which is not an integer"),
        ("label", 99, "gives class '白鶴' label 99, but an earlier item gives it label 5"),
    ],
)
def test_malformed_items_are_reported(folder, field, value, sentence):
    edit_split(folder, change(field, value))
    fails(folder, f"{OOP}/split_Xin_{OOP}.json: test item 17 {sentence}")


@pytest.mark.parametrize("field", ["classname", "image_name", "label"])
def test_missing_keys_are_reported(folder, field):
    edit_split(folder, lambda split: split["val"]["3"].pop(field))
    fails(folder, f"val item 3 has no {field}")


def test_a_label_with_two_classes_is_an_error(folder):
    (folder / "images" / "unicorn").mkdir()

    def give_label_5_to_unicorn(split):
        split["test"]["17"] |= {"classname": "unicorn", "label": 5}

    edit_split(folder, give_label_5_to_unicorn)
    fails(folder, "test item 17 gives label 5 to class 'unicorn', but an earlier item gives it to '白鶴'")


@pytest.mark.parametrize("part", ["test", "train"])
def test_an_image_listed_twice_is_an_error(folder, part):
    edit_split(folder, lambda split: split["test"].update(again=split[part]["2"]))
    fails(folder, f"again: it is also {part} item 2")


def test_names_that_collide_or_are_empty_after_clean_up_are_errors(folder):
    (folder / "images" / "ibex").rename(folder / "images" / "great auk")

    def rename(split):
        for part in split.values():
            for item in part.values():
                item["classname"] = item["classname"].replace("ibex", "great auk")

    edit_split(folder, rename)
    fails(folder, "labels 0 and 1 have the same name 'great auk' after clean-up")
    (folder / "images" / "_").mkdir()
    edit_split(folder, change("classname", "_"))
    fails(folder, "is empty after clean-up")


def test_fingerprint_depends_on_content_only(folder, tmp_path):
    before = read_splits(folder)
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / OOP)
    for item in before["test"].items:
        os.utime(moved / item.path, (1, 1))
    after = read_splits(moved)
    assert [split.fingerprint for split in after.values()] == [split.fingerprint for split in before.values()]
    edit_split(moved, lambda split: split["test"].pop("17"))
    assert read_splits(moved)["test"].fingerprint != before["test"].fingerprint


FILE_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda name: (
        not unsafe_reason(name) and name.replace("_", " ").replace(".", " ").strip() and len(name.encode()) < 100
    )
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(FILE_NAMES, min_size=1, max_size=5, unique_by=lambda name: name.casefold()),
    st.permutations(range(12)),
)
def test_round_trip_preserves_names_and_order(tmp_path_factory, classes, order):
    folder = tmp_path_factory.mktemp("root") / "Stuff5_OOP"
    composed = [unicodedata.normalize("NFC", name) for name in classes]
    cleaned = [" ".join(name.replace("_", " ").replace(".", " ").split()) for name in composed]
    if len(set(cleaned)) < len(cleaned):
        return
    for name in classes:
        (folder / "images" / name).mkdir(parents=True, exist_ok=True)
    rows = [(number % len(classes), f"{number}.jpg") for number in order]
    test = {str(key): _item(classes[label], image, label) for key, (label, image) in zip(order, rows, strict=True)}
    write_json(folder / "split_Xin_Stuff5_OOP.json", {"train": {}, "val": {}, "test": test})
    split = read_splits(folder)["test"]
    assert list(split.names) == cleaned
    assert [(item.label, item.path) for item in split.items] == [
        (label, f"images/{classes[label]}/{image}") for label, image in rows
    ]


def _item(classname, image_name, label):
    return {"classname": classname, "image_name": image_name, "label": label}
