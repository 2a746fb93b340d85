from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from harness.backbones import openclip
from harness.datasets import check as module
from harness.datasets.check import check_root
from harness.datasets.check_report import CheckReport, FolderReport
from harness.errors import DataError

from .roots import FOLDERS, PER_PART, edit_split, make_root, write_json

OOP = "Animals6_OOP"
CURLY = "lion\N{RIGHT SINGLE QUOTATION MARK}s tail"


def of(report: CheckReport, folder: str = OOP) -> FolderReport:
    return next(found for found in report.folders if found.folder == folder)


def kinds(report: CheckReport, folder: str = OOP) -> dict[str, str]:
    return {problem.path: problem.kind for problem in of(report, folder).problems}


@pytest.fixture
def ibex(root) -> list[Path]:
    """The nine images of one class, train first."""
    return sorted((root / OOP / "images" / "ibex").iterdir())


def test_an_intact_root_has_no_problems(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    report = check_root(root)
    assert report.ok
    assert not report.notes
    assert not report.duplicates
    assert [found.folder for found in report.folders] == sorted(FOLDERS)
    found = of(report)
    assert (found.domain, found.side, found.concepts, found.classes) == ("Animals", "oop", 6, 6)
    assert found.images == {part: 6 * count for part, count in PER_PART.items()}
    assert found.captions == 6 * 7
    assert 0 < found.captions_with_name < found.captions
    assert not found.unlisted
    assert CheckReport.model_validate_json(report.model_dump_json()) == report
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before, "nothing is written"


def test_rows_are_counts_for_a_table(root, ibex):
    shutil.copy(ibex[0], ibex[8])
    (ibex[0].parent / "more.jpg").write_text("")
    report = check_root(root)
    rows = report.rows()
    counts = {
        "classes": 6,
        "train": 24,
        "val": 12,
        "test": 18,
        "captions": 42,
        "problems": 0,
        "unlisted": 1,
        "copies": 2,
    }
    assert rows[1] == {"folder": OOP, "with name": of(report).captions_with_name, **counts}
    assert all(list(row) == list(rows[0]) for row in rows)


def test_unusable_images_are_listed_with_their_reason(root, ibex, tmp_path):
    ibex[0].write_bytes(b"")
    ibex[1].unlink()
    ibex[2].write_bytes(b"no image")
    ibex[3].unlink()
    ibex[3].symlink_to(tmp_path)
    ibex[5].unlink()
    ibex[5].mkdir()
    ibex[6].unlink()
    ibex[6].symlink_to(ibex[6])
    (tmp_path / "secret.jpg").write_bytes(b"")
    ibex[4].unlink()
    ibex[4].symlink_to(tmp_path / "secret.jpg")
    report = check_root(root)
    assert not report.ok
    assert kinds(report) == {
        f"images/ibex/{ibex[0].name}": "empty",
        f"images/ibex/{ibex[1].name}": "missing",
        f"images/ibex/{ibex[2].name}": "corrupt",
        f"images/ibex/{ibex[3].name}": "outside",
        f"images/ibex/{ibex[4].name}": "outside",
        f"images/ibex/{ibex[5].name}": "unreadable",
        f"images/ibex/{ibex[6].name}": "missing",
    }
    assert {problem.reason for problem in of(report).problems} >= {"the file is empty", "the file does not exist"}


def test_placeholders_of_images_are_reported(root, ibex):
    os.mkfifo(ibex[0].with_suffix(".pipe"))
    ibex[0].with_suffix(".pipe").rename(ibex[0])
    ibex[1].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    ibex[2].write_text("<!DOCTYPE html><title>404</title>")
    report = check_root(root)
    reasons = {problem.path.rpartition("/")[2]: (problem.kind, problem.reason) for problem in of(report).problems}
    assert reasons == {
        ibex[0].name: ("unreadable", "the file cannot be read (it is a named pipe, not a file)"),
        ibex[1].name: ("corrupt", "the file is a Git LFS pointer and not the file itself: run `git lfs pull`"),
        ibex[2].name: ("corrupt", "the file is a web page: get the file again"),
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        ("<!DOCTYPE html>", "is a web page"),
        (None, "cannot be read: it is a named pipe, not a file"),
    ],
)
@pytest.mark.parametrize("file", [f"split_Xin_{OOP}.json", "label2name.json"])
def test_placeholders_of_split_and_label_files_are_reported(root, file, content, reason):
    path = root / OOP / file
    path.unlink()
    if content is None:
        os.mkfifo(path)
    else:
        path.write_text(content)
    (problem,) = of(check_root(root)).problems
    assert problem.kind == ("label file" if "label" in file else "split file")
    assert problem.reason.startswith(f"{OOP}/{file} {reason}")


def test_images_cropped_to_their_middle_are_noted(root, ibex):
    Image.new("L", (400_000, 1)).save(ibex[3], "PNG")
    report = check_root(root)
    assert report.ok
    what = "contains 1 images more than 48 times as long as wide, of which only the middle is used, first images/ibex/"
    assert of(report).notes == (f"{OOP} {what}{ibex[3].name}",)


def test_every_bad_item_is_listed_not_only_the_first(root):
    def damage(split):
        split["train"]["0"]["label"] = "x"
        split["val"]["1"] = []
        split["test"]["2"]["classname"] = "../.."
        split["test"]["again"] = split["test"]["3"]
        for item in [*split["train"].values()][8:12]:
            item["classname"] = "unicorn"

    edit_split(root / OOP, damage)
    problems = of(check_root(root)).problems
    assert [problem.kind for problem in problems].count("class folder") == 1, "one problem for the whole class"
    assert sorted(problem.kind for problem in problems) == ["class folder", "outside", *["split file"] * 3]
    assert sum(of(check_root(root)).images.values()) == 54 - 3 - 4


def test_an_unreadable_folder_does_not_stop_the_check(root):
    (root / OOP / f"split_Xin_{OOP}.json").write_text("{")
    shutil.rmtree(root / "Animals3_IP" / "images")
    report = check_root(root)
    assert [len(found.problems) for found in report.folders] == [1, 1, 0, 0, 0, 0]
    assert "damaged or truncated" in of(report).problems[0].reason
    assert of(report, "Insects_Spiders2_IP").classes == 2


def test_unlisted_files_are_reported(root, ibex):
    (ibex[0].parent / "extra.jpg").write_text("")
    (ibex[0].parent / ".DS_Store").write_text("")
    (ibex[0].parent / "Thumbs.db").write_text("")
    (root / OOP / "images" / "unicorn").mkdir()
    (root / OOP / "images" / "unicorn" / "1.jpg").write_text("")
    report = check_root(root)
    assert of(report).unlisted == ("images/ibex/extra.jpg", "images/unicorn/1.jpg")
    assert report.ok


def test_non_unicode_names_are_escaped(root, ibex):
    try:
        (ibex[0].parent / "bad\udcff.jpg").write_text("")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes Unicode names only")
    report = check_root(root)
    assert of(report).unlisted == (r"images/ibex/bad\udcff.jpg",)
    assert CheckReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(
    ("target", "across", "ok"),
    [
        (f"{OOP}/images/ibex/001", ["images of a part"], True),
        (f"{OOP}/images/ibex/008", ["parts"], False),
        ("Animals3_IP/images/cat/000", ["sides"], False),
        ("Insects_Spiders4_OOP/images/ant/000", ["domains"], False),
        ("Insects_Spiders2_IP/images/bee/008", ["sides", "domains"], False),
    ],
)
def test_copies_are_found_across_parts_sides_and_domains(root, ibex, target, across, ok):
    (copy,) = (root / target).parent.glob(f"{Path(target).name} *")
    shutil.copy(ibex[0], copy)
    report = check_root(root)
    (found,) = report.duplicates
    assert list(found.across) == across
    assert set(found.paths) == {path.relative_to(root).as_posix() for path in (ibex[0], copy)}
    assert report.ok is ok


def test_label_files_are_compared(root):
    folder = root / OOP
    write_json(folder / "label2name.json", {"0": "great auk", "1": "ibis", "2": "Père David's deer", "77": "dodo"})
    write_json(folder / "name2label.json", ["ibex"])
    write_json(root / "Animals3_IP" / "name2label.json", {"cat": "zero"})
    (root / "Insects_Spiders2_IP" / "label2name.json").write_text("{")
    (root / "Insects_Spiders4_OOP" / "label2name.json").unlink()
    report = check_root(root)
    reasons = [problem.reason for problem in of(report).problems]
    assert f"{OOP}/label2name.json: label 1 is 'ibis'; the split file says 'ibex'" in reasons
    assert f"{OOP}/label2name.json: label 5 is missing; the split file says '白鶴'" in reasons
    assert f"{OOP}/name2label.json is not an object of labels and names" in reasons
    assert len(reasons) == 5
    assert of(report).notes == (f"{OOP}/label2name.json: 1 labels are in no part of the split file, first 77 (dodo)",)
    assert "is not an object of labels" in of(report, "Animals3_IP").problems[0].reason
    assert "damaged or truncated" in of(report, "Insects_Spiders2_IP").problems[0].reason
    assert not of(report, "Insects_Spiders4_OOP").problems


def test_the_merged_mapping_is_compared_with_the_split_file(root):
    path = root / OOP / "merged_mapping.json"
    merged = json.loads(path.read_text(encoding="utf-8"))
    gone = merged["ibex"].pop(0)
    write_json(path, {**merged, "dodo": ["a.jpg", "b.jpg"]})
    write_json(root / "Animals3_IP" / "merged_mapping.json", {"cat": 0, "dog": 1})  # labels, not files
    write_json(root / "Insects_Spiders2_IP" / "merged_mapping.json", {"bee": ["a.jpg", "a.jpg"]})
    (root / "Insects_Spiders4_OOP" / "merged_mapping.json").unlink()
    report = check_root(root)
    assert of(report).notes == (
        f"{OOP}/merged_mapping.json lists 2 images that are in no part of the split file, first images/dodo/a.jpg",
        f"{OOP}/merged_mapping.json lacks 1 images of the split file, first images/ibex/{gone}",
    )
    assert not of(report).problems
    (problem,) = of(report, "Animals3_IP").problems
    assert problem.reason == "Animals3_IP/merged_mapping.json is not an object of classes and lists of file names"
    assert "lists images/bee/a.jpg twice" in of(report, "Insects_Spiders2_IP").problems[0].reason
    assert not of(report, "Insects_Spiders4_OOP").problems


def test_name_collisions_after_clean_up_are_reported(tmp_path):
    root = make_root(tmp_path, {"Food3_OOP": ("rose hip", "rose_hip", "rose")})
    report = check_root(root)
    (found,) = report.name_collisions
    assert (found.folder, found.name, found.classes) == ("Food3_OOP", "rose hip", ("rose hip", "rose_hip"))
    assert not report.ok


def test_truncated_names_are_reported(root):
    texts = []

    def ids(text):
        texts.append(text)
        return text.split()

    report = check_root(root, token_ids=ids, context_length=7)
    assert [(found.name, found.tokens) for found in report.truncated] == [
        ("Père David's deer", 8),
        ('the "old" horse', 8),
    ]
    assert not report.ok
    assert "a photo of rose hip" in texts
    assert check_root(root, token_ids=ids).ok


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        ({"Food2_OOP": ("Turkey", "turkey")}, ("Food2_OOP: Turkey", "Food2_OOP: turkey")),
        ({"Food2_OOP": ("lion's tail", CURLY)}, ("Food2_OOP: lion's tail", f"Food2_OOP: {CURLY}")),
        ({"Food2_OOP": ("M&M", "M&amp;M")}, ("Food2_OOP: M&M", "Food2_OOP: M&amp;M")),
        ({"Food2_OOP": ("ham", "Rose_Hip"), "Food1_IP": ("rose hip",)}, ("Food1_IP: rose hip", "Food2_OOP: Rose Hip")),
        ({"Food1_OOP": ("ham",), "Food1_IP": ("ham",)}, ("Food1_IP: ham", "Food1_OOP: ham")),
        ({"Food1_OOP": ("ham",), "Food2_OOP": ("ham", "rose"), "Food1_IP": ("ham",)}, None),  # a run takes one of two
        ({"Food1_OOP": ("ham",), "Attire1_OOP": ("ham",)}, None),
    ],
)
def test_names_with_the_same_tokens_are_reported(tmp_path, folders, found):
    report = check_root(make_root(tmp_path, folders), token_ids=openclip.tokenizer("ViT-B-32").encode)
    assert [group.names for group in report.token_collisions] == ([found] if found else [])
    assert report.ok == (found is None)


def test_folders_without_a_partner_are_noted(tmp_path):
    root = make_root(tmp_path, {"Vehicle1_IP": ("car",), "Vehicles1_OOP": ("tram",)}, {"test": 2})
    assert check_root(root).notes == ("'Vehicle1_IP' has no OOP folder; did you mean Vehicles, as in Vehicles1_OOP?",)


def test_wrong_counts_and_ambiguous_folders_are_noted(tmp_path):
    root = make_root(tmp_path, {"Food3_OOP": ("rose", "rose hip"), "Food2_OOP": ("a", "b")}, {"test": 2})
    report = check_root(root)
    assert of(report, "Food3_OOP").notes == ("Food3_OOP contains 2 classes; its name says 3",)
    alone = "'Food2_OOP' has no IP folder: only its OOP images are scored"
    assert report.notes == (
        alone,
        "domain Food, side oop has 2 folders; a run has to choose: Food2_OOP, Food3_OOP",
    )
    assert report.ok


def test_differences_from_the_release_are_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RELEASED", ("Food2_OOP", "Food1_IP"))
    root = make_root(tmp_path, {"Food2_OOP": ("rose", "rose hip"), "Food1_IP": ("a",)}, {"test": 2})
    assert check_root(root).notes == (
        "IP contains 2 images; the data card says 51,330",
        "IP contains 1 concepts; the data card says 324",
        "OOP contains 4 images; the data card says 106,052",
        "OOP contains 2 concepts; the data card says 674",
    )


def test_progress_counts_the_images_of_each_folder(root):
    calls = []
    check_root(root, progress=lambda *call: calls.append(call), workers=4)
    assert (OOP, 54, 54) in calls
    assert len(calls) == sum(len(classes) * 9 for classes in FOLDERS.values())


def test_a_root_without_folders_is_an_error(tmp_path):
    with pytest.raises(DataError, match="contains no folder named"):
        check_root(tmp_path)


def test_the_report_is_plain_json(root):
    content = json.loads(check_root(root).model_dump_json())
    assert set(content) == set(CheckReport.model_fields)
