from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.datasets.disk import ImageTree, RefusedName, unsafe
from harness.datasets.reader import read_split, read_splits
from harness.errors import DataError
from harness.types.split import PARTS

from .roots import FOLDERS, PER_PART, edit_split, make_root, write_json

OOP = "Animals6_OOP"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_root(tmp_path / "data", {OOP: FOLDERS[OOP]}) / OOP


def fails(folder: Path, part_of_message: str) -> DataError:
    with pytest.raises(DataError) as error:
        read_splits(folder)
    assert part_of_message in error.value.message
    assert "\n" not in error.value.message
    return error.value


def change(field, value, part="test", key="17"):
    """An edit of one item of the split file."""
    return lambda split: split[part][key].__setitem__(field, value)


def test_reads_what_is_there(folder):
    splits = read_splits(folder)
    assert tuple(splits) == PARTS
    for part, split in splits.items():
        assert (split.domain, split.side, split.part, split.folder) == ("Animals", "oop", part, folder)
        assert split.names == ("great auk", "ibex", "Père David's deer", 'the "old" horse', "St Bernard", "白鶴")
        assert len(split.items) == 6 * PER_PART[part]
        assert all((folder / item.path).is_file() for item in split.items)
    assert splits["train"].items[0].path.startswith("images/great_auk/")
    assert read_split(folder, "val") == splits["val"]


def test_captions_are_none_when_missing_empty_or_no_string(folder):
    for value in ({}, {"Refined_caption3": ""}, {"Refined_caption3": " "}, {"Refined_caption3": 3}, None, [1], "x"):
        edit_split(folder, change("INFO", value))
        assert read_split(folder, "test").items[17].caption is None
    edit_split(folder, change("INFO", {"Refined_caption3": "half XX", "other": 1}))
    path = folder / f"split_Xin_{OOP}.json"
    path.write_text(path.read_text(encoding="utf-8").replace("XX", r"\ud83d"), encoding="utf-8")
    assert read_split(folder, "test").items[17].caption == "half ?"


def test_order_is_that_of_the_split_file_not_of_its_keys(folder):
    before = read_split(folder, "train").items
    edit_split(folder, lambda split: split.update(train=dict(reversed(split["train"].items()))))
    assert read_split(folder, "train").items == before[::-1]


def test_labels_of_any_integers_become_ranks(folder):
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
    before = read_split(folder, "test")
    edit_split(folder, change("label", "5"))
    assert read_split(folder, "test") == before


def test_a_class_of_one_part_only_is_in_the_label_space_of_all(folder):
    edit_split(folder, lambda split: split.update(train={k: v for k, v in split["train"].items() if v["label"] != 2}))
    splits = read_splits(folder)
    assert len(splits["train"].names) == 6
    assert 2 not in splits["train"].by_label()


def test_renamed_folder_with_one_split_file(folder):
    renamed = folder.rename(folder.with_name("Animals7_OOP"))
    assert read_split(renamed, "val").domain == "Animals"
    shutil.copy(renamed / f"split_Xin_{OOP}.json", renamed / "split_Xin_other.json")
    fails(renamed, "has 2 split files and none is split_Xin_Animals7_OOP.json")
    shutil.copy(renamed / f"split_Xin_{OOP}.json", renamed / "split_Xin_Animals7_OOP.json")
    assert read_split(renamed, "val")


def test_whole_folder_errors(folder):
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
        ("", "is damaged or cut short"),
        ('{"train": {"0": {"classname": "ib', "is damaged or cut short: Unterminated string"),
        ("[]", "must hold an object with train, val and test, not a list"),
        ("3", "not a number"),
        ('{"train": {}, "val": {}}', "part test is missing"),
        ('{"train": [], "val": {}, "test": {}}', "part train must be an object of items, not a list"),
        ('{"train": {}, "val": null, "test": {}}', "part val must be an object of items, not null"),
        ('{"train": {}, "val": {}, "test": {}}', "lists no image"),
        ('{"train": {"0": 1, "0": 2}, "val": {}, "test": {}}', "key '0' stands twice"),
        ('{"train": {"0": 1}, "val": {}, "test": {}}', "train item 0 must be an object, not a number"),
        ("[" * 100_000, "is damaged"),
    ],
)
def test_broken_split_files(folder, text, sentence):
    (folder / f"split_Xin_{OOP}.json").write_text(text)
    error = fails(folder, sentence)
    assert error.message.startswith(f"{OOP}/split_Xin_{OOP}.json")
    assert error.hint


def test_split_file_that_is_no_text(folder):
    (folder / f"split_Xin_{OOP}.json").write_bytes(b'{"train": "\xff\xff"}')
    fails(folder, "is damaged")


def test_split_file_with_byte_order_mark(folder):
    path = folder / f"split_Xin_{OOP}.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_split(folder, "test").items


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("classname", "unicorn", "names class 'unicorn', which has no folder under images/"),
        ("classname", 3, "has a classname that is a number, not a string"),
        ("image_name", None, "has a image_name that is null, not a string"),
        ("label", 1.0, "has label 1.0, which is no integer"),
        ("label", True, "has label True, which is no integer"),
        ("label", "three", "has label 'three', which is no integer"),
        ("label", None, "has label None, which is no integer"),
        ("label", 99, "gives class '白鶴' label 99, but an item before gives it label 5"),
    ],
)
def test_broken_items_are_named(folder, field, value, sentence):
    edit_split(folder, change(field, value))
    fails(folder, f"{OOP}/split_Xin_{OOP}.json: test item 17 {sentence}")


@pytest.mark.parametrize("field", ["classname", "image_name", "label"])
def test_missing_keys_are_named(folder, field):
    edit_split(folder, lambda split: split["val"]["3"].pop(field))
    fails(folder, f"val item 3 has no {field}")


def test_a_label_with_two_classes(folder):
    (folder / "images" / "unicorn").mkdir()

    def give_label_5_to_unicorn(split):
        split["test"]["17"] |= {"classname": "unicorn", "label": 5}

    edit_split(folder, give_label_5_to_unicorn)
    fails(folder, "test item 17 gives label 5 to class 'unicorn', but an item before gives it to '白鶴'")


@pytest.mark.parametrize("part", ["test", "train"])
def test_an_image_listed_twice(folder, part):
    edit_split(folder, lambda split: split["test"].update(again=split[part]["2"]))
    fails(folder, f"again: it is also {part} item 2")


def test_names_that_collide_or_vanish_after_clean_up(folder):
    (folder / "images" / "ibex").rename(folder / "images" / "great auk")

    def rename(split):
        for part in split.values():
            for item in part.values():
                item["classname"] = item["classname"].replace("ibex", "great auk")

    edit_split(folder, rename)
    fails(folder, "labels 0 and 1 have the same name 'great auk' after clean-up")
    (folder / "images" / "_").mkdir()
    edit_split(folder, change("classname", "_"))
    fails(folder, "nothing is left after clean-up")


ESCAPES = ["..", ".", "", " ", ".. ", "../x", "/etc", "a/b", "a\\b", "..\\x", "C:", "C:x", "c:\\x", "a\0b", "\ud800"]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("field", ["classname", "image_name"])
def test_paths_that_escape(folder, name, field):
    path = folder / f"split_Xin_{OOP}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["test"]["17"][field] = name
    path.write_text(json.dumps(content))
    fails(folder, f"{OOP}/split_Xin_{OOP}.json: test item 17 {name!r}")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("./\\:C a\0é"), max_size=6), st.text(st.sampled_from("./\\:C b\0~"), max_size=6))
def test_no_path_ever_leaves_the_folder(tmp_path, classname, image_name):
    images = tmp_path / "X1_OOP" / "images"
    images.mkdir(parents=True, exist_ok=True)
    if not unsafe(classname):
        (images / classname).mkdir(exist_ok=True)
    try:
        path = ImageTree(images.parent).path_of(classname, image_name)
    except RefusedName:
        return
    assert Path(os.path.normpath(images.parent / path)).parent.parent == images
    assert path.count("/") == 2
    assert "\\" not in path


@pytest.mark.parametrize("what", ["file", "hidden file", "class", "images"])
def test_links_that_lead_outside(folder, tmp_path, what):
    outside = tmp_path / "outside"
    (outside / "白鶴").mkdir(parents=True)
    (outside / "secret.jpg").write_text("")
    if what == "images":
        shutil.rmtree(folder / "images")
        (folder / "images").symlink_to(outside)
        fails(folder, "images is a link that leads outside")
        return
    if what == "class":
        shutil.rmtree(folder / "images" / "白鶴")
        (folder / "images" / "白鶴").symlink_to(outside / "白鶴")
    else:
        name = "link.jpg" if what == "file" else ".link.jpg"
        edit_split(folder, change("image_name", name))
        (folder / "images" / "白鶴" / name).symlink_to(outside / "secret.jpg")
    error = fails(folder, "a link that leads outside the data folder")
    assert "test item 17" in error.message or what == "class"


def test_links_inside_the_root_and_into_the_hub_cache_are_fine(folder, tmp_path):
    before = read_splits(folder)
    shared = folder.parent / "shared"
    (folder / "images" / "ibex").rename(shared)
    (folder / "images" / "ibex").symlink_to(shared)
    assert read_splits(folder) == before
    cache = tmp_path / "datasets--x"
    (cache / "blobs").mkdir(parents=True)
    (cache / "snapshots").mkdir()
    folder = folder.parent.rename(cache / "snapshots" / "0a1b") / OOP
    image = folder / before["test"].items[0].path
    image.rename(cache / "blobs" / "c0ffee")
    image.symlink_to(cache / "blobs" / "c0ffee")
    shared = folder.parent / "shared"
    (folder / "images" / "ibex").unlink()
    (folder / "images" / "ibex").symlink_to(shared)
    assert read_splits(folder) == before


def test_a_linked_domain_folder_reads_like_its_target(folder, tmp_path):
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / OOP
    link.symlink_to(folder)
    assert read_splits(link) == read_splits(folder)


def test_unicode_forms_of_disk_and_split_file_may_differ(folder):
    composed = folder / "images" / "Père David's deer"
    decomposed = composed.rename(composed.with_name(unicodedata.normalize("NFD", composed.name)))
    first = sorted(decomposed.iterdir())[0]
    first.rename(first.with_name(unicodedata.normalize("NFD", "été.jpg")))

    def rename(split):
        for part in split.values():
            for item in part.values():
                if item["label"] == 2 and item["image_name"] == first.name:
                    item["image_name"] = unicodedata.normalize("NFC", "été.jpg")

    edit_split(folder, rename)
    splits = read_splits(folder)
    assert splits["train"].names[2] == unicodedata.normalize("NFC", "Père David's deer")
    assert all((folder / item.path).is_file() for split in splits.values() for item in split.items)
    (folder / "images" / unicodedata.normalize("NFC", composed.name)).mkdir()  # an exact name wins
    assert read_splits(folder)["train"].items[8].path.startswith(f"images/{composed.name}/")


def test_a_spelling_that_two_folders_on_disk_share(folder):
    spellings = ["s\u0323\u0307", "s\u0307\u0323", "\u1e63\u0307"]  # one letter with two dots, all the same after NFC
    for spelling in spellings[:2]:
        (folder / "images" / spelling).mkdir()
    tree = ImageTree(folder)
    assert tree.path_of(spellings[0], "x.jpg") == f"images/{spellings[0]}/x.jpg"
    with pytest.raises(RefusedName, match="stands twice on disk"):
        tree.path_of(spellings[2], "x.jpg")


def test_fingerprint_depends_on_content_only(folder, tmp_path):
    before = read_splits(folder)
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / OOP)
    for item in before["test"].items:
        os.utime(moved / item.path, (1, 1))
    after = read_splits(moved)
    assert [split.fingerprint for split in after.values()] == [split.fingerprint for split in before.values()]
    edit_split(moved, lambda split: split["test"].pop("17"))
    assert read_split(moved, "test").fingerprint != before["test"].fingerprint


FILE_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda name: not unsafe(name) and name.replace("_", " ").replace(".", " ").strip() and len(name.encode()) < 100
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(FILE_NAMES, min_size=1, max_size=5, unique_by=lambda name: name.casefold()),
    st.permutations(range(12)),
)
def test_any_names_in_any_order_come_back(tmp_path_factory, classes, order):
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
    split = read_split(folder, "test")
    assert list(split.names) == cleaned
    assert [(item.label, item.path) for item in split.items] == [
        (label, f"images/{classes[label]}/{image}") for label, image in rows
    ]


def _item(classname, image_name, label):
    return {"classname": classname, "image_name": image_name, "label": label}
