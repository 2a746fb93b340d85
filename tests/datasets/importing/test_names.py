"""Names of folders and files, other names for classes, and the side of each class."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datasets.importing.portable_names import FileNames, unportable_reason
from harness.datasets.importing.renaming import read_renaming
from harness.datasets.importing.sides import read_names, sides_by_lists, sides_by_verdicts
from harness.errors import DataError, UserError

from ...makers import few

CLASSES = ["fire engine", "pickup_truck", "Père's cart"]


@pytest.mark.parametrize("name", ["fire engine", "Père's cart", "St. Bernard", "白鶴", "con artist", "a" * 200])
def test_ordinary_names_can_name_folders(name):
    assert unportable_reason(name) is None


UNPORTABLE = (
    *("AC/DC", "a\\b", "Type: Null", "why?", 'the "old" horse', "con", "NUL.txt", "lpt1", "end."),
    *(" x", "a\x07b", ".hidden", "..", "", "é" * 101),
)


@pytest.mark.parametrize("name", UNPORTABLE)
def test_names_that_fail_on_some_system_have_a_reason(name):
    assert unportable_reason(name)


@given(st.lists(st.text(max_size=300), max_size=12))
@few
def test_files_get_portable_names_that_differ_without_case(wanted):
    names = FileNames()
    found = [names.new(name) for name in wanted]
    assert len({name.casefold() for name in found}) == len(found)
    assert [unportable_reason(name) for name in found] == [None] * len(found)


def test_a_file_keeps_its_name_where_it_can():
    names = FileNames()
    assert [names.new(n) for n in ("1.JPG", "1.jpg", "a b.png", "x:y?.png", "con.png")] == [
        "1.JPG", "1-2.jpg", "a b.png", "x_y_.png", "_con.png",
    ]  # fmt: skip


def test_without_a_list_all_classes_are_oop():
    assert set(sides_by_lists(CLASSES, None, None).values()) == {"oop"}


def test_one_list_puts_the_rest_on_the_other_side_and_two_leave_it_out():
    assert sides_by_lists(CLASSES, ["Pickup Truck"], None) == dict(zip(CLASSES, ["ip", "oop", "ip"], strict=True))
    assert sides_by_lists(CLASSES, None, ["Pickup Truck"]) == dict(zip(CLASSES, ["oop", "ip", "oop"], strict=True))
    both = sides_by_lists(CLASSES, ["fire engine"], ["PÈRE’S CART"])
    assert both == dict(zip(CLASSES, ["oop", None, "ip"], strict=True))


def test_a_listed_name_without_a_class_is_an_error_with_the_nearest_class():
    with pytest.raises(UserError, match=r"1 name of the OOP list without a class: fire engin") as error:
        sides_by_lists(CLASSES, ["fire engin"], None)
    assert error.value.hint == "did you mean fire engine?"
    with pytest.raises(UserError, match=r"in both lists: fire engine"):
        sides_by_lists(CLASSES, ["fire engine"], ["fire engine"])


def test_the_record_of_a_corpus_decides():
    verdicts = {"Fire engine": "oop", "pickup truck": "ip", "Père's cart": "ambiguous"}
    with pytest.raises(UserError, match=r"1 name ambiguous in the record: Père's cart") as error:
        sides_by_verdicts(CLASSES, verdicts)
    assert error.value.hint == "decide with --ambiguous oop, ip, leave-out"
    for decision, side in (("oop", "oop"), ("ip", "ip"), ("leave-out", None)):
        found = sides_by_verdicts(CLASSES, verdicts, decision)
        assert found == dict(zip(CLASSES, ["oop", "ip", side], strict=True))
    with pytest.raises(UserError, match=r"not in the record: pickup_truck"):
        sides_by_verdicts(CLASSES, {"fire engine": "oop", "Père's cart": "ip"})
    with pytest.raises(UserError, match=r"several verdicts in the record: fire engine"):
        sides_by_verdicts(CLASSES, verdicts | {"fire_engine": "ambiguous"}, "oop")


def test_names_are_read_from_lines(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("\ufefffire engine\r\n\n  Père's cart \n", encoding="utf-8")
    assert read_names(file) == ["fire engine", "Père's cart"]
    file.write_text("\n")
    with pytest.raises(DataError, match=r"names.txt has no name"):
        read_names(file)


def test_classes_get_other_names(tmp_path):
    (tmp_path / "names.json").write_text('{"n01440764": "tench"}')
    assert [read_renaming(tmp_path / "names.json")(name) for name in ("n01440764", "rose")] == ["tench", "rose"]
    (tmp_path / "names.txt").write_text("tench\ngoldfish\n")
    rename = read_renaming(tmp_path / "names.txt")
    assert rename("1") == "goldfish"
    for wrong in ("2", "rose"):
        with pytest.raises(UserError, match=f"does not name class '{wrong}'"):
            rename(wrong)
    (tmp_path / "names.txt").write_text("tench\n\ngoldfish\n")
    with pytest.raises(DataError, match=r"line 2 of names.txt is blank"):
        read_renaming(tmp_path / "names.txt")
    (tmp_path / "names.json").write_text("[1]")
    with pytest.raises(DataError, match=r"is not an object of classes and names"):
        read_renaming(tmp_path / "names.json")
