"""From a folder of class folders to results, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.corpus.record import stated, write_record

from ..datasets.importing.sources import CLASSES, archive, content, image_folder, picture
from .conftest import FAST

VEHICLES = ("--domain", "Vehicles", "--hint", "road vehicle")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "photos", images=8)


@pytest.fixture
def names(tmp_path: Path) -> Path:
    (tmp_path / "oop.txt").write_text("Fire engine\nPickup truck\n")
    return tmp_path / "oop.txt"


def test_class_folders_given_as_data_are_told_to_be_imported(harness, photos):
    answer = harness("evaluate", "--plugin", "zero_shot", "--data", photos, "--all-domains")
    assert answer.code == 2
    assert f"hint: import it: `harness data import {photos} --out ROOT --domain NAME`" in answer.err


@pytest.mark.parametrize("sides", [(), ("--oop", "oop.txt")], ids=["OOP alone", "both sides"])
def test_imported_data_are_evaluated(harness, photos, names, tmp_path, sides):
    options = [tmp_path / word if word.endswith(".txt") else word for word in sides]
    root = tmp_path / "root"
    assert harness("data", "import", photos, "--out", root, *VEHICLES, *options).code == 0
    assert harness("data", "check", root).code == 0
    answer = harness(
        "evaluate", "--plugin", "zero_shot,fsnl", "--data", root, "--domain", "Vehicles", *FAST,
        "--out", tmp_path / "results", "--json",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    rows = {row["method"]: row for row in answer.json["rows"]}
    assert set(rows) == {"zero_shot", "fsnl"}
    for row in rows.values():
        assert row["failures"] == []
        assert ("ip_top1" in row["domains"]["Vehicles"]) == bool(sides)


def test_another_hint_is_another_cell(harness, photos, tmp_path):
    def keys(hint: str) -> set[str]:
        root = tmp_path / hint / "root"
        assert harness("data", "import", photos, "--out", root, "--domain", "Vehicles", "--hint", hint).code == 0
        out = tmp_path / hint / "results"
        run = ("--backbone", "beyond-mini", "--data", root, "--domain", "Vehicles", "--out", out)
        assert harness("evaluate", "--plugin", "zero_shot", *run).code == 0
        return {path.stem for path in (out / "cells").rglob("*.json")}

    one, two = keys("road vehicle"), keys("toy")
    assert one
    assert not one & two


def test_the_report_lists_folders_notes_and_the_next_command(harness, photos, names, tmp_path):
    root = tmp_path / "root"
    for said in ("next: harness data check", "nothing changed: the folder has this import already"):
        answer = harness("data", "import", photos, "--out", root, *VEHICLES, "--oop", names)
        assert answer.code == 0
        assert said in answer.out
        assert "Vehicles (road vehicle)" in answer.out
        assert "Vehicles2_OOP" in answer.out
    answer = harness("data", "import", photos, "--out", root, *VEHICLES, "--oop", names, "--json")
    assert answer.json["written"] is False
    assert [folder["folder"] for folder in answer.json["folders"]] == ["Vehicles1_IP", "Vehicles2_OOP"]


def test_the_record_of_a_corpus_decides_the_sides(harness, photos, tmp_path):
    record = tmp_path / "record.json"
    verdicts = {"fire engine": "oop", "pickup truck": "ip", "Père's cart": "ambiguous"}
    write_record(record, stated("my corpus", "my list", verdicts))
    command = ("data", "import", photos, "--out", tmp_path / "root", *VEHICLES, "--record", record)
    answer = harness(*command)
    assert answer.code == 2
    assert "ambiguous in the record: Père's cart" in answer.err
    assert harness(*command, "--ambiguous", "leave-out").code == 0
    assert "1 name on neither side" in harness(*command, "--ambiguous", "leave-out").out
    folders = {path.name for path in (tmp_path / "root").glob("Vehicles*")}
    assert folders == {"Vehicles1_IP", "Vehicles1_OOP"}
    assert (tmp_path / "root/corpora/record.json").read_bytes() == record.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--hint", " "), "--hint is empty"),
        (("--split", "0.5,0.5"), "--split '0.5,0.5' is not three numbers"),
        (("--split", "1,1,1"), "do not add up to 1"),
        (("--ambiguous", "oop"), "--ambiguous decides about names of a record"),
        (("--oop", "missing.txt"), "missing.txt cannot be read"),
        (("--record", "missing.json", "--ip", "names.txt"), "--record excludes --oop and --ip"),
        (("--names", "missing.txt"), "missing.txt cannot be read"),
        (("--ambiguous", "both", "--record", "x"), "no decision named 'both'"),
        (("--domain", "Cars196"), "ends in a digit"),
    ],
)
def test_a_wrong_option_is_one_sentence(harness, photos, tmp_path, options, message):
    before = content(tmp_path)
    answer = harness("data", "import", photos, "--out", tmp_path / "root", *VEHICLES, *options)
    assert answer.code == 2
    assert message in answer.err
    assert content(tmp_path) == before


def test_a_missing_column_lists_those_there_are(harness, tmp_path):
    (tmp_path / "pets.csv").write_text("file,label\n1.png,cat\n")
    answer = harness("data", "import", tmp_path / "pets.csv", "--out", tmp_path / "root", *VEHICLES)
    assert answer.code == 2
    assert "pets.csv has no column 'image'; its columns are file, label" in answer.err
    (tmp_path / "1.png").write_bytes(picture(0))
    columns = ("--image-column", "file", "--class-column", "label")
    answer = harness("data", "import", tmp_path / "pets.csv", "--out", tmp_path / "root", *VEHICLES, *columns)
    assert answer.code == 0, answer.err


def test_archives_are_imported(harness, tmp_path):
    for number, part in enumerate(("train", "val", "test")):
        files = {f"{name}/{part}.png": picture(10 * number + i) for i, name in enumerate(CLASSES)}
        archive(tmp_path / f"{part}-0.tar", files)
    answer = harness("data", "import", *sorted(tmp_path.glob("*.tar")), "--out", tmp_path / "root", *VEHICLES, "--json")
    assert answer.json["folders"][0]["images"] == {"train": 3, "val": 3, "test": 3}


def test_a_card_is_text_json_and_a_figure(harness, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    harness("data", "import", photos, "--out", tmp_path / "root", *VEHICLES)
    answer = harness("data", "card", tmp_path / "root", "--svg", tmp_path / "card.svg")
    assert answer.code == 0
    assert "Vehicles3_OOP" in answer.out
    assert (tmp_path / "card.svg").read_text().startswith("<?xml")
    card = harness("data", "card", tmp_path / "root", "--json").json
    assert [len(one["classes"]) for one in card["folders"]] == [3]
    assert card["folders"][0]["noun"] == "road vehicle"
    assert json.dumps(card)
    answer = harness("data", "card", tmp_path / "root", "--svg", tmp_path / "card.doc")
    assert (answer.code, "neither PDF, PNG nor SVG" in answer.err) == (2, True)
    assert harness("data", "card", photos).code == 2
