from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.datasets.check import check_root
from harness.datasets.check_listing import add_differences
from harness.datasets.download import download
from harness.datasets.identity import DOWNLOAD_RECORD

from .roots import make_root

FOLDERS = {"Animals2_OOP": ("ibex", "great auk"), "Animals1_IP": ("cat",)}


@pytest.fixture
def dest(hub, tmp_path: Path) -> Path:
    return download(tmp_path / "dest", remote=hub)


def exchange_images(root: Path) -> list[str]:
    """Exchange the bytes of all images of a class: each is a valid image, and two are of the same class."""
    paths = sorted((root / "Animals2_OOP" / "images" / "ibex").iterdir())
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
        path.write_bytes(content)
    return [f"images/ibex/{path.name}" for path in paths]


def altered(report) -> list[str]:
    problems = [(folder.folder, problem) for folder in report.folders for problem in folder.problems]
    assert {(folder, problem.kind) for folder, problem in problems} <= {("Animals2_OOP", "altered")}
    return sorted(problem.path for _, problem in problems)


def test_valid_images_that_differ_from_the_stored_listing_are_found(dest):
    assert add_differences(check_root(dest), dest).ok
    changed = exchange_images(dest)
    assert check_root(dest).ok, "the images alone show nothing"
    report = add_differences(check_root(dest), dest)
    assert altered(report) == changed
    assert not report.ok


def test_valid_images_that_differ_from_the_hub_are_found(server, hub, dest):
    (dest / DOWNLOAD_RECORD).unlink()
    for path in (dest / ".laion_beyond").iterdir():
        path.unlink()
    assert add_differences(check_root(dest), dest).ok
    changed = exchange_images(dest)
    assert add_differences(check_root(dest), dest).ok, "nothing to compare with"
    calls: list[tuple[str, int, int]] = []
    report = add_differences(check_root(dest), dest, hub, progress=lambda *call: calls.append(call))
    assert altered(report) == changed
    assert calls[-1][0] == "comparing Animals2_OOP"
    assert not [path for path in server.requests if "/resolve/" in path and "HEAD" in path]


def test_the_hub_is_asked_for_the_commit_of_the_download(server, hub, dest):
    server.requests.clear()
    assert add_differences(check_root(dest), dest, hub).ok
    assert not [path for path in server.requests if "/revision/" in path]
    (dest / DOWNLOAD_RECORD).write_text(json.dumps({"commit": "of my own"}))
    assert add_differences(check_root(dest), dest, hub).ok
    assert [path for path in server.requests if "/revision/main" in path]


def test_a_folder_that_the_hub_does_not_have_is_a_note(hub, dest):
    make_root(dest, {"Mine1_IP": ("oak",), "Mine2_OOP": ("elm", "yew")}, seed=7)
    report = add_differences(check_root(dest), dest, hub)
    assert report.ok
    assert [note for note in report.notes if note.startswith("Mine1_IP is not in MHuangX/LAION-Beyond")]


def test_a_missing_file_is_one_problem(dest):
    path = next((dest / "Animals2_OOP" / "images" / "ibex").iterdir())
    path.unlink()
    report = add_differences(check_root(dest), dest)
    assert [problem.kind for folder in report.folders for problem in folder.problems] == ["missing"]
