"""The division into parts: seeded, by class, and with copies together."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datasets.importing.draw_parts import DEFAULT_SHARES, HashedImage, divide, require_shares
from harness.errors import DataError, UserError
from harness.types.split import PARTS

from ...makers import few, sha


def images(classname: str, count: int, part=None) -> list[HashedImage]:
    return [HashedImage(classname, sha(f"{classname} {i}"), part) for i in range(count)]


def test_every_class_has_the_shares():
    many = images("a", 200) + images("b", 40)
    parts = divide(many, DEFAULT_SHARES, seed=0)
    assert Counter(parts[:200]) == {"train": 50, "val": 20, "test": 130}
    assert Counter(parts[200:]) == {"train": 10, "val": 4, "test": 26}


@pytest.mark.parametrize(("count", "parts"), [(1, "test"), (2, "test train"), (3, "test train val")])
def test_a_small_class_has_a_test_image_first(count, parts):
    assert sorted(divide(images("a", count), DEFAULT_SHARES, seed=3)) == parts.split()


@given(st.permutations(images("a", 9) + images("b", 4)), st.integers(0, 5))
@few
def test_the_draw_does_not_depend_on_the_order(shuffled, seed):
    known = dict(
        zip(images("a", 9) + images("b", 4), divide(images("a", 9) + images("b", 4), DEFAULT_SHARES, seed), strict=True)
    )
    assert dict(zip(shuffled, divide(shuffled, DEFAULT_SHARES, seed), strict=True)) == known


def test_another_seed_draws_others():
    assert divide(images("a", 50), DEFAULT_SHARES, seed=0) != divide(images("a", 50), DEFAULT_SHARES, seed=1)


@given(
    st.lists(
        st.builds(
            HashedImage,
            st.sampled_from("abc"),
            st.sampled_from([sha(str(i)) for i in range(6)]),
            st.none() | st.sampled_from(PARTS),
        ),
        min_size=1,
    )
)
@few
def test_copies_are_in_one_part_even_across_classes(drawn):
    if {one.part for one in drawn} - {None, "train"} and not any(one.part == "test" for one in drawn):
        drawn = [one._replace(part=None) for one in drawn]
    parts: dict[str, set[str]] = {}
    for image, part in zip(drawn, divide(drawn, DEFAULT_SHARES, seed=0), strict=True):
        parts.setdefault(image.sha256, set()).add(part)
    assert all(len(found) == 1 for found in parts.values())


def test_stated_parts_are_kept_and_val_is_drawn_from_train_alone():
    stated = images("a", 20, "train") + [HashedImage("a", sha(f"t{i}"), "test") for i in range(5)]
    parts = divide(stated, DEFAULT_SHARES, seed=0)
    assert parts[20:] == ["test"] * 5
    assert Counter(parts[:20]) == {"train": 14, "val": 6}
    assert set(divide(stated, {"train": 0.5, "val": 0, "test": 0.5}, seed=0)[:20]) == {"train"}


def test_a_copy_of_a_test_image_leaves_train():
    first, *rest = images("a", 3, "train")
    assert divide([first, *rest, first._replace(part="test")], DEFAULT_SHARES, seed=0)[0] == "test"


def test_a_source_of_train_images_alone_is_divided():
    assert Counter(divide(images("a", 20, "train"), DEFAULT_SHARES, seed=0))["test"] == 13


def test_a_source_without_test_images_is_refused():
    with pytest.raises(DataError, match=r"no test images to score, only train, val"):
        divide(images("a", 4, "train") + images("b", 4, "val"), DEFAULT_SHARES, seed=0)


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0), (1, 1, 1), (-0.5, 0.5, 1), (float("nan"), 0.1, 0.65)])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(UserError, match="do not add up to 1"):
        require_shares(dict(zip(PARTS, shares, strict=True)))
