"""Superclasses of a split file: parts labelled by them, and what is wrong with them."""

from __future__ import annotations

import pytest

from harness.datasets.check import check_root
from harness.datasets.folder_reader import read_splits
from harness.errors import DataError
from harness.types.split import relabel_by_superclass

from .damage import OOP
from .roots import edit_split

KIND = ("bird", "hoofed_animal", "hoofed animal", "hoofed.animal", "big dog", "bird")
"""The superclass of each class of the folder; three spellings are one name."""

S_LABEL = (7, 2, 2, 2, 4, 7)


def each(split):
    """All items, with their part and key."""
    return [(part, key, item) for part, items in split.items() for key, item in items.items()]


@pytest.fixture
def kinds(folder):
    """The folder with superclasses of three names, and an ``s_label`` for each."""

    def edit(split):
        for _, _, item in each(split):
            item["superclass"], item["s_label"] = KIND[item["label"]], S_LABEL[item["label"]]

    edit_split(folder, edit)
    return folder


def reasons(folder):
    (report,) = (found for found in check_root(folder.parent).folders if found.folder == OOP)
    assert {fault.kind for fault in report.problems} <= {"split file"}
    return [fault.reason.removeprefix(f"{OOP}/split_Xin_{OOP}.json: ") for fault in report.problems]


def test_images_have_the_labels_of_their_superclasses(kinds):
    before, found = read_splits(kinds), relabel_by_superclass(read_splits(kinds))
    wanted = ("bird", "hoofed animal", "hoofed animal", "hoofed animal", "big dog", "bird")
    for part, split in found.items():
        assert split.names == ("big dog", "bird", "hoofed animal")
        assert [item.path for item in split.items] == [item.path for item in before[part].items]
        assert [split.names[i.label] for i in split.items] == [wanted[i.label] for i in before[part].items]
        assert {item.caption for item in split.items} == {None}
        assert (split.domain, split.side, split.part, split.folder) == ("Animals", "oop", part, kinds)


def test_a_superclass_of_one_part_is_a_name_of_all(kinds):
    edit_split(kinds, lambda split: [item.update(superclass="bat") for _, _, item in each({"val": split["val"]})])
    assert {split.names for split in relabel_by_superclass(read_splits(kinds)).values()} == {
        ("bat", "big dog", "bird", "hoofed animal")
    }


def test_superclasses_change_no_fingerprint_of_classes(kinds):
    before = {part: split.fingerprint for part, split in read_splits(kinds).items()}
    of_superclasses = {split.fingerprint for split in relabel_by_superclass(read_splits(kinds)).values()}
    edit_split(kinds, lambda split: [(item.pop("superclass"), item.pop("s_label")) for _, _, item in each(split)])
    assert {part: split.fingerprint for part, split in read_splits(kinds).items()} == before
    assert not of_superclasses & {*before.values()}


@pytest.mark.parametrize("value", [None, "", " _. ", 3, ["bird"]])
def test_invalid_superclasses_are_none(kinds, value):
    edit_split(kinds, lambda split: split["test"]["4"].update(superclass=value))
    path = read_splits(kinds)["test"].items[4].path
    with pytest.raises(DataError) as error:
        relabel_by_superclass(read_splits(kinds))
    assert error.value.message == f"the split file of {OOP} has no superclass of 1 of its images, the first is {path}"
    assert reasons(kinds) == ["test item 4 has no superclass, but other items have one"]


def test_data_without_superclasses_pass_the_check(folder):
    edit_split(folder, lambda split: [item.pop("superclass") for _, _, item in each(split)])
    assert reasons(folder) == []
    with pytest.raises(DataError) as error:
        relabel_by_superclass(read_splits(folder))
    assert error.value.message == f"the split file of {OOP} has no superclass"


def test_half_a_surrogate_pair_is_replaced(kinds):
    edit_split(kinds, lambda split: [item.update(superclass="half XX") for _, _, item in each(split)])
    path = kinds / f"split_Xin_{OOP}.json"
    path.write_text(path.read_text(encoding="utf-8").replace("XX", r"\ud83d"), encoding="utf-8")
    assert relabel_by_superclass(read_splits(kinds))["test"].names == ("half ?",)


def test_contradicting_superclass_labels_are_reported(kinds):
    assert reasons(kinds) == [], "spellings of one name share its label"

    def contradict(split):
        split["val"]["0"]["s_label"] = 9  # bird
        split["test"]["0"]["s_label"] = "2"  # bird as well
        split["test"]["1"].update(superclass="bat", s_label="7")
        split["test"]["2"].pop("s_label")

    edit_split(kinds, contradict)
    assert reasons(kinds) == [
        "val item 0 gives superclass 'bird' s_label 9, but an earlier item gives it s_label 7",
        "test item 0 gives superclass 'bird' s_label 2, but an earlier item gives it s_label 7",
        "test item 1 gives s_label 7 to superclass 'bat', but an earlier item gives it to 'bird'",
    ]
    assert len(read_splits(kinds)["test"].items) == 18, "classes are read as before"
