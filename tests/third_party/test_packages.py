"""Packages that somebody else would publish: really built, pip-installed into a fresh environment, and evaluated."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parent / "example_method"


class Environment:
    """A virtual environment that sees the packages of this one, so that nothing is downloaded."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.folder = folder
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        site = self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
        outer = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        lines = [f"import site; site.addsitedir({path!r})" for path in sorted(outer)]
        (Path(site) / "outer.pth").write_text("\n".join(lines) + "\n")

    def run(self, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        words = [str(self.python), *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def pip_install(self, *arguments: object) -> None:
        words = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check", "install"]
        words += ["--no-deps", "--no-build-isolation", *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def harness(self, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "harness.cli.main", *arguments, **options)


@dataclass(frozen=True)
class Published:
    """Two packages, installed as their authors and users would, and evaluated side by side.

    Attributes:
        example: the sources of the example, which is installed from a wheel.
        new: what ``harness plugins new`` wrote, with no edit since; installed in place.
        rows: method -> its row.
        log: what the example's hooks wrote during the evaluation.
    """

    environment: Environment
    example: Path
    new: Path
    rows: dict[str, dict[str, Any]]
    log: str


@pytest.fixture(scope="module")
def published(tmp_path_factory, world, cache) -> Published:
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("published")
    environment = Environment(folder / "environment")
    example = shutil.copytree(EXAMPLE, folder / "example")  # building writes next to the sources
    environment.harness("plugins", "new", "my_method", cwd=folder)
    environment.pip_install(example, "-e", folder / "my_method")
    where = ("--data", world, "--backbone", "beyond-mini", "--out", folder / "results", "--cache", cache)
    setting = ("--all-domains", "--seeds", "1", "--shots", "2", "--workers", "1", "--json")
    logged = ("--observer", "cell_log", "--logs", folder / "logs")
    done = environment.harness("evaluate", "--plugin", "nearest_shot,my_method", *setting, *where, *logged)
    rows = {row["method"]: row for row in json.loads(done.stdout)["rows"]}
    return Published(environment, example, folder / "my_method", rows, (folder / "logs" / "cells.tsv").read_text())


@pytest.mark.slow
def test_the_example_is_built_installed_and_evaluated(published):
    row = published.rows["nearest_shot"]
    assert row["complete"]
    assert (row["method_record"]["distribution"], row["method_record"]["version"]) == ("example-method", "0.2.0")
    assert len([line for line in published.log.splitlines() if line.startswith("nearest_shot\t")]) == 3
    listed = json.loads(published.environment.harness("plugins", "--strict", "--json").stdout)
    assert listed["broken"] == []
    (line,) = (line for line in listed["plugins"] if line["name"] == "nearest_shot")
    assert (line["kind"], line["distribution"], line["version"]) == ("method", "example-method", "0.2.0")
    (shown,) = json.loads(published.environment.harness("plugins", "show", "nearest_shot", "--json").stdout)["plugins"]
    assert (shown["needs"], shown["paper"]) == (["support"], "")
    assert [one["meaning"] for one in shown["parameters"]] == [
        "Of the most similar support image; the prompt has weight 1."
    ]
    checks = json.loads(published.environment.harness("plugins", "check", "nearest_shot", "--json").stdout)["checks"]
    assert {check["state"] for check in checks} == {"passed"}


@pytest.mark.slow
def test_a_new_plugin_works_with_no_edit_in_between(published):
    files = {path.relative_to(published.new).as_posix() for path in published.new.rglob("*.*")}
    files = {name for name in files if "egg-info" not in name and "__pycache__" not in name}
    assert files == {"pyproject.toml", "README.md", "src/my_method.py", "tests/test_my_method.py"}
    row = published.rows["my_method"]
    assert row["complete"]
    assert row["method_record"]["distribution"] == "my-method"
    published.environment.run(
        "-m", "ruff", "check", "--isolated", "--select", "E,F,W", "--line-length", "120", published.new
    )


@pytest.mark.slow
def test_their_authors_tests_pass(published):
    files = ("tests/test_my_method.py", published.example / "tests" / "contract.py")
    done = published.environment.run("-m", "pytest", "-rA", "-p", "no:cacheprovider", *files, cwd=published.new)
    for name in ("MyMethod", "NearestShot"):
        assert f"[{name}" in done.stdout


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("My-Method", "'My-Method' cannot be the name of a method"),
        ("9lives", "cannot be the name of a method"),
        ("a__b", "cannot be the name of a method"),
        ("../up", "cannot be the name of a method"),
        ("lambda", "cannot be the name of a method"),
        ("numpy", "'numpy' is the name of a Python module that is installed"),
        ("harness", "'harness' is the name of a Python module that is installed"),
        ("fsnl", "plugin 'fsnl' (laion-beyond-harness"),
    ],
)
def test_a_name_that_cannot_be_used_is_a_sentence(harness, tmp_path, name, sentence):
    answer = harness("plugins", "new", name, "--into", tmp_path)
    assert answer.code == 2
    assert sentence in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_or_cannot_be_made_is_a_sentence(harness, tmp_path):
    (tmp_path / "my_method").mkdir()
    answer = harness("plugins", "new", "my_method", "--into", tmp_path)
    assert answer.code == 2
    assert f"{tmp_path / 'my_method'} exists already" in answer.err
    assert "harness plugins new my_method --into FOLDER" in answer.err
    (tmp_path / "file").write_text("in the way")
    answer = harness("plugins", "new", "my_method", "--into", tmp_path / "file")
    assert answer.code == 2
    assert "cannot be written" in answer.err


def test_half_a_package_is_not_left_in_the_way(harness, tmp_path, monkeypatch):
    def full(self, *arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        answer = harness("plugins", "new", "my_method", "--into", tmp_path)
    assert (answer.code, list(tmp_path.iterdir())) == (2, [])
    assert "no space left on device\nhint: free some space, or choose another place" in answer.err


def test_checking_says_what_to_change_and_fails(zoo, harness):
    answer = harness("plugins", "check", "returns_nan", "--json")
    assert answer.code == 1
    failed = {check["check"]: check for check in answer.json["checks"] if check["state"] == "failed"}
    assert "returned NaN or infinity" in failed["finite_scores"]["message"]
    assert failed["finite_scores"]["hint"]
    assert answer.json["plugin"]["distribution"] == "zoo"
    table = harness("plugins", "check", "returns_nan")
    assert table.code == 1
    assert "finite scores" in table.out
    assert "checks passed" in table.err


def test_checking_a_method_that_is_not_there_is_a_sentence(harness):
    answer = harness("plugins", "check", "fsln")
    assert answer.code == 2
    assert "did you mean fsnl?" in answer.err
