"""An import as a whole: what is written, what a second one does, and what bad input gets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.datasets.check import check_root
from harness.datasets.check_listing import add_differences
from harness.datasets.digests import DigestIndex
from harness.datasets.domain import DomainReader
from harness.datasets.importing.import_data import import_data
from harness.datasets.importing.request import ImportReport, ImportRequest
from harness.datasets.importing.sides import sides_by_lists
from harness.datasets.layout import open_dataset
from harness.datasets.nouns import NOUNS_FILE
from harness.errors import DataError, HarnessError, StorageError, UserError

from .sources import CLASSES, archive, content, image_folder, picture, split_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "photos")


@pytest.fixture
def request_(source: Path, tmp_path: Path) -> ImportRequest:
    return ImportRequest(
        (str(source),), tmp_path / "root", "Vehicles", noun="road vehicle", licence="CC BY 4.0", origin="my camera"
    )


def read_domain(root: Path, tmp_path: Path):
    return DomainReader(open_dataset(root), DigestIndex(tmp_path / "index"), 1).read("Vehicles")


def refuses(request: ImportRequest, message: str) -> HarnessError:
    """The import is one sentence, and nothing is left."""
    with pytest.raises(HarnessError, match=message) as error:
        import_data(request)
    assert "\n" not in error.value.message
    assert error.value.hint
    assert not request.out.is_dir() or not list(request.out.iterdir())
    assert not list(request.out.parent.glob("*.partial"))
    return error.value


def test_the_root_is_complete_and_without_errors(request_, source, tmp_path):
    before = content(source)
    report = import_data(request_)
    assert report.written
    assert content(source) == before
    checked = add_differences(check_root(request_.out), request_.out)
    assert checked.ok
    data = read_domain(request_.out, tmp_path)
    assert data.noun == "road vehicle"
    assert data.folders == ("Vehicles3_OOP",)
    assert data.scored["oop"].names == ("Père's cart", "fire engine", "pickup truck")
    assert sum(report.folders[0].images.values()) == 12
    assert report.folders[0].images == {part: len(items) for part, items in split_of(request_.out).items()}
    readme = (request_.out / "README.md").read_text(encoding="utf-8")
    assert all(text in readme for text in ("my camera", "CC BY 4.0", "road vehicle", "Vehicles3_OOP | 3 |"))
    assert str(tmp_path) not in readme


def test_a_second_import_changes_nothing(request_):
    import_data(request_)
    before = {path: path.stat().st_mtime_ns for path in request_.out.rglob("*")}
    assert not import_data(request_).written
    assert {path: path.stat().st_mtime_ns for path in request_.out.rglob("*")} == before


@pytest.mark.parametrize("change", [{"noun": "car"}, {"seed": 1}, {"licence": None}, {"domain": "Wheels"}])
def test_another_import_into_the_same_folder_is_refused(request_, change):
    import_data(request_)
    before = content(request_.out)
    with pytest.raises(StorageError, match=r"exists with other content: .* differs") as error:
        import_data(replace(request_, **change))
    assert ("`harness data merge`" in str(error.value.hint)) == ("domain" in change)
    assert content(request_.out) == before


def test_a_second_import_finds_images_that_changed(request_):
    import_data(request_)
    image = next(request_.out.rglob("*.png"))
    image.write_bytes(picture(999))
    with pytest.raises(DataError, match=r"1 file of .* changed since it was written, first Vehicles3_OOP/images"):
        import_data(request_)
    assert not add_differences(check_root(request_.out), request_.out).ok


def test_a_folder_with_other_content_is_refused(request_):
    request_.out.mkdir()
    (request_.out / "thesis.txt").write_text("x")
    with pytest.raises(StorageError, match=r"exists and has no dataset.json"):
        import_data(request_)
    assert [path.name for path in request_.out.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_may_become_the_root(request_):
    request_.out.mkdir()
    assert import_data(request_).written


def test_a_root_inside_of_its_source_is_refused(request_, source):
    before = content(source)
    refuses(replace(request_, out=source / "root"), "are inside of each other")
    assert content(source) == before


@pytest.mark.usefixtures("ordinary")
def test_a_root_that_cannot_be_written_is_refused(request_, tmp_path):
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(StorageError, match=r"the data cannot be written to .*shut: permission denied"):
        import_data(replace(request_, out=tmp_path / "shut" / "root"))


def test_the_noun_decides_the_fingerprint_of_the_data(request_, tmp_path):
    import_data(request_)
    one = read_domain(request_.out, tmp_path)
    (request_.out / NOUNS_FILE).write_text('{"Vehicles": "car"}')
    two = read_domain(request_.out, tmp_path)
    (request_.out / NOUNS_FILE).unlink()
    three = read_domain(request_.out, tmp_path)
    assert [one.noun, two.noun, three.noun] == ["road vehicle", "car", "vehicles"]
    assert len({one.fingerprint, two.fingerprint, three.fingerprint}) == 3


@pytest.mark.parametrize(
    "text", ["[]", '{"Vehicles": ""}', '{"Vehicles": 3}', '{"Vehicles": "a", "Vehicles": "b"}', "{"]
)
def test_a_damaged_file_of_nouns_is_an_error(request_, tmp_path, text):
    import_data(request_)
    (request_.out / NOUNS_FILE).write_text(text)
    with pytest.raises(DataError, match=NOUNS_FILE):
        read_domain(request_.out, tmp_path)


def test_both_sides_are_written(request_, tmp_path):
    request = replace(request_, choose_sides=lambda classes: sides_by_lists(classes, ["fire engine"], None))
    assert [folder.folder for folder in import_data(request).folders] == ["Vehicles2_IP", "Vehicles1_OOP"]
    assert set(read_domain(request.out, tmp_path).scored) == {"oop", "ip"}


def test_links_share_the_files_of_the_source(request_, source):
    import_data(replace(request_, link=True))
    assert {path.stat().st_ino for path in request_.out.rglob("*.png")} == {
        path.stat().st_ino for path in source.rglob("*.png")
    }
    assert check_root(request_.out).ok
    assert not import_data(replace(request_, link=True)).written


def test_images_of_an_archive_cannot_be_links(request_, tmp_path):
    path = archive(tmp_path / "t.tar", {"cat/1.png": picture(1)})
    refuses(replace(request_, sources=(str(path),), link=True), "--link needs image files")


def test_copies_are_in_one_part_and_noted(request_, source):
    for i in range(5):
        (source / CLASSES[0] / f"copy {i}.png").write_bytes(picture(0))
    (source / CLASSES[1] / "other label.png").write_bytes(picture(0))
    report = import_data(request_)
    parts = {part for part, items in split_of(request_.out).items() for item in items.values() if "copy" in str(item)}
    assert len(parts) == 1
    assert report.notes[0] == "6 images with the bytes of another one; copies are in the same part"
    assert "1 image in more than one class" in report.notes[1]


def test_classes_without_a_test_image_are_noted(request_, tmp_path):
    source = image_folder(tmp_path / "parts" / "train", images=3)
    (source.parent / "test").mkdir()
    (source / CLASSES[1]).rename(source.parent / "test" / CLASSES[1])
    notes = import_data(replace(request_, sources=(str(source.parent),))).notes
    assert notes == (f"2 names without a test image, never scored: {CLASSES[2]}, {CLASSES[0]}",)


def damage(source: Path) -> None:
    (source / CLASSES[0] / "0.png").write_bytes(b"")
    (source / CLASSES[0] / "1.png").write_bytes(picture(1)[:-30])
    (source / CLASSES[1] / "2.png").write_bytes(b"<!DOCTYPE html><html>not found</html>")


def test_damaged_images_are_named_and_refused(request_, source):
    damage(source)
    error = refuses(request_, r"3 of 12 images cannot be used: .*0.png: the file is empty; .*1.png.*decoded.*web page")
    assert error.hint.startswith("--skip-damaged leaves them out")


def test_damaged_images_can_be_left_out(request_, source):
    damage(source)
    report = import_data(replace(request_, skip_damaged=True))
    assert len(report.damaged) == 3
    assert sum(report.folders[0].images.values()) == 9
    assert check_root(request_.out).ok
    assert "left out: 3." in (request_.out / "README.md").read_text(encoding="utf-8")
    for file in (source / CLASSES[2]).iterdir():
        file.write_bytes(b"")
    refuses(
        replace(request_, out=request_.out.with_name("two"), skip_damaged=True), "no image of Père's cart is intact"
    )


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            ("St. Bernard", "St Bernard"),
            "classes have the same name after clean-up and without case: 'St Bernard', 'St. Bernard'",
        ),
        (("turkey", "Turkey"), "classes have the same name"),
        (("why?", "Type: Null"), "2 names cannot name a folder on every system: 'Type: Null' contains ':', 'why.' con"),
        (("car", "_"), "class '_' has no name after clean-up"),
    ],
)
def test_names_that_cannot_be_used_are_refused(request_, classes, message, tmp_path):
    source = image_folder(tmp_path / "bad", classes)
    refuses(replace(request_, sources=(str(source),)), message)


def test_other_names_make_them_usable(request_, tmp_path):
    source = image_folder(tmp_path / "bad", ("why?",))
    (tmp_path / "names.json").write_text('{"why?": "why"}')
    import_data(replace(request_, sources=(str(source),), names=tmp_path / "names.json"))
    assert (request_.out / "Vehicles1_OOP" / "images" / "why").is_dir()


def test_other_names_never_merge_classes(request_, tmp_path):
    source = image_folder(tmp_path / "birds and machines", ("n02012849", "n03126707"))
    (tmp_path / "names.json").write_text('{"n02012849": "crane", "n03126707": "crane"}')
    request = replace(request_, sources=(str(source),), names=tmp_path / "names.json")
    refuses(request, "classes have the same name .*: 'n02012849', 'n03126707'")


@pytest.mark.parametrize("domain", ["", "Cars196", "a/b", "..", "Why?", "con"])
def test_a_domain_that_cannot_name_a_folder_is_refused(request_, domain):
    refuses(replace(request_, domain=domain), "domain")


def test_without_an_oop_class_there_is_no_benchmark(request_):
    refuses(replace(request_, choose_sides=lambda classes: dict.fromkeys(classes, "ip")), "no class is out of")


def test_the_number_of_workers_changes_no_byte(request_, tmp_path):
    import_data(replace(request_, workers=1))
    import_data(replace(request_, workers=4, out=tmp_path / "other" / "root"))
    assert content(request_.out) == content(tmp_path / "other" / "root")


PROGRAM = """
import sys
from pathlib import Path
from harness.datasets.importing.import_data import import_data
from harness.datasets.importing.request import ImportRequest
print("ready", flush=True)
import_data(ImportRequest((sys.argv[1],), Path(sys.argv[2]), "Vehicles", workers=1))
"""


def test_a_killed_import_leaves_nothing_that_looks_whole(tmp_path):
    source, out = image_folder(tmp_path / "photos", images=300), tmp_path / "root"
    for delay in (0.02, 0.1, 0.2):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(source), str(out)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            os.kill(process.pid, signal.SIGKILL)
        assert not out.exists() or len(list(out.rglob("*.png"))) == 900  # unless it was done by then
    request = ImportRequest((str(source),), out, "Vehicles")
    report: ImportReport = import_data(request)
    assert sum(report.folders[0].images.values()) == 900
    assert not list(tmp_path.glob(".root.partial"))


def test_an_unknown_share_is_refused_before_anything_is_read(request_, monkeypatch):
    monkeypatch.setattr("harness.datasets.importing.import_data.read_source", None)
    with pytest.raises(UserError, match="do not add up"):
        import_data(replace(request_, shares={"train": 1.0, "val": 1.0, "test": 1.0}))
