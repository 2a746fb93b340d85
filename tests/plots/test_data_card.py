"""The figure of a data folder."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from harness.datasets.card.records import ClassCard, DataCard, FolderCard
from harness.plots import style
from harness.plots.data_card import plot_card

SVG = "{http://www.w3.org/2000/svg}"


def card(*folders: tuple[str, str, int, int]) -> DataCard:
    """Folders of (domain, side, classes, images per class)."""
    made = [
        FolderCard(
            folder=f"{domain}{classes}_{side.upper()}", domain=domain, side=side, noun="thing",
            captions_with_name=0, size=1, width=None, height=None, formats={},
            classes=tuple(
                ClassCard(name=f"name {i}", tokens=2, images={"train": images + i, "val": 0, "test": 1}, captions=0)
                for i in range(classes)
            ),
        )
        for domain, side, classes, images in folders
    ]  # fmt: skip
    return DataCard(root="data", dataset="my $data", folders=tuple(made))


def words(figure: Path) -> list[str]:
    return ["".join(node.itertext()).strip() for node in ElementTree.parse(figure).iter(f"{SVG}text")]


def test_it_shows_classes_and_images_of_each_side(tmp_path):
    three = card(("Food", "ip", 3, 4), ("Food", "oop", 5, 10), ("Insects_Spiders", "oop", 2, 1))
    style.save(plot_card(three), tmp_path / "a.svg")
    found = words(tmp_path / "a.svg")
    assert {"Food", "Insects", "classes", "images", "images per class"} <= set(found)
    assert {"3", "5", "2", "18", "65"} <= set(found)
    assert "Classes and images of my $data" in (tmp_path / "a.svg").read_text()
    assert "out of pre-training (OOP)" in found


def test_several_folders_of_a_side_have_their_own_places(tmp_path):
    style.save(plot_card(card(("Food", "oop", 3, 4), ("Food", "oop", 5, 10))), tmp_path / "a.svg")
    assert {"Food3_OOP", "Food5_OOP"} <= set(words(tmp_path / "a.svg"))


@pytest.mark.parametrize("name", ["a.svg", "a.png"])
def test_the_same_card_gives_the_same_bytes(tmp_path, name):
    for place in ("one", "two"):
        style.save(plot_card(card(("Food", "ip", 3, 4), ("Food", "oop", 5, 10))), tmp_path / place / name)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
