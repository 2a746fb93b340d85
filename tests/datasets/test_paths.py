"""No path leaves the data folder, and names are found under any Unicode spelling."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.datasets.disk import ImageTree, UnusableName, unsafe_reason
from harness.datasets.folder_reader import read_splits
from harness.errors import StorageError

from .damage import OOP, change, fails
from .roots import edit_split

ESCAPES = ["..", ".", "", " ", ".. ", "../x", "/etc", "a/b", "a\\b", "..\\x", "C:", "C:x", "c:\\x", "a\0b", "\ud800"]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("field", ["classname", "image_name"])
def test_escaping_paths_are_errors(folder, name, field):
    path = folder / f"split_Xin_{OOP}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["test"]["17"][field] = name
    path.write_text(json.dumps(content))
    fails(folder, f"{OOP}/split_Xin_{OOP}.json: test item 17 {name!r}")


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="files are named in UTF-8 whatever the locale")
@pytest.mark.parametrize(("utf8", "said"), [("0", r"this locale \(ascii\) cannot name the file .*\\x"), ("1", None)])
def test_a_locale_without_utf8_is_a_storage_error(folder, utf8, said):
    locale = {"LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"}
    code = "import pathlib, sys\n"
    code += "from harness.datasets.folder_reader import read_splits; read_splits(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, folder], env=os.environ | locale, capture_output=True, text=True, check=False
    )
    if said is None:
        assert done.returncode == 0, done.stderr
    else:
        assert re.search(f"StorageError: {said}", done.stderr), done.stderr
        assert "PYTHONUTF8=1" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_require_exact_encoding(monkeypatch, encoding):
    monkeypatch.setattr("os.fsencode", lambda name: name.encode(encoding))
    assert unsafe_reason("great auk") is None
    for name in ("Café", "白鶴") if encoding == "ascii" else ("Café",):
        with pytest.raises(StorageError, match="cannot name the file"):
            unsafe_reason(name)
    assert unsafe_reason("\ud800") == "is not Unicode text"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("./\\:C a\0é"), max_size=6), st.text(st.sampled_from("./\\:C b\0~"), max_size=6))
def test_no_path_ever_leaves_the_folder(tmp_path, classname, image_name):
    images = tmp_path / "X1_OOP" / "images"
    images.mkdir(parents=True, exist_ok=True)
    if not unsafe_reason(classname):
        (images / classname).mkdir(exist_ok=True)
    try:
        path = ImageTree(images.parent).path_of(classname, image_name)
    except UnusableName:
        return
    assert Path(os.path.normpath(images.parent / path)).parent.parent == images
    assert path.count("/") == 2
    assert "\\" not in path


@pytest.mark.parametrize("what", ["file", "hidden file", "class", "images"])
def test_links_that_point_outside_are_errors(folder, tmp_path, what):
    outside = tmp_path / "outside"
    (outside / "白鶴").mkdir(parents=True)
    (outside / "secret.jpg").write_text("")
    if what == "images":
        shutil.rmtree(folder / "images")
        (folder / "images").symlink_to(outside)
        fails(folder, "images is a link that points outside")
        return
    if what == "class":
        shutil.rmtree(folder / "images" / "白鶴")
        (folder / "images" / "白鶴").symlink_to(outside / "白鶴")
    else:
        name = "link.jpg" if what == "file" else ".link.jpg"
        edit_split(folder, change("image_name", name))
        (folder / "images" / "白鶴" / name).symlink_to(outside / "secret.jpg")
    error = fails(folder, "a link that points outside the data folder")
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


def test_two_folders_with_the_same_nfc_form_are_an_error(folder):
    spellings = ["s\u0323\u0307", "s\u0307\u0323", "\u1e63\u0307"]  # one letter with two dots, all the same after NFC
    for spelling in spellings[:2]:
        (folder / "images" / spelling).mkdir()
    tree = ImageTree(folder)
    assert tree.path_of(spellings[0], "x.jpg") == f"images/{spellings[0]}/x.jpg"
    with pytest.raises(UnusableName, match="exists twice on disk"):
        tree.path_of(spellings[2], "x.jpg")
