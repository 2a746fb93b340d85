"""Packages that somebody else would publish: really built, pip-installed into a fresh environment, and evaluated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent / "example_method"


class Environment:
    """A virtual environment of its own that sees the packages of this one, so that nothing is downloaded."""

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


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    pytest.importorskip("pip")
    return Environment(tmp_path_factory.mktemp("environment"))


def evaluated(environment: Environment, world: Path, cache: Path, out: Path, method: str, **options: object) -> dict:
    where = ("--data", world, "--backbone", "beyond-mini", "--out", out, "--cache", cache, "--workers", "1")
    setting = ("--all-domains", "--seeds", "1", "--shots", "2", "--json")
    document = json.loads(environment.harness("evaluate", "--plugin", method, *setting, *where, **options).stdout)
    (row,) = (row for row in document["rows"] if row["method"] == method)
    return row


@pytest.mark.slow
def test_the_example_is_built_installed_and_evaluated(environment, world, cache, tmp_path):
    source = shutil.copytree(EXAMPLE, tmp_path / "source")  # building writes beside the sources
    environment.pip_install(source)
    log = tmp_path / "log"
    row = evaluated(
        environment, world, cache, tmp_path / "r", "nearest_shot", env={**os.environ, "EXAMPLE_LOG": str(log)}
    )
    assert row["complete"]
    assert (row["method_record"]["distribution"], row["method_record"]["version"]) == ("example-method", "0.2.0")
    assert len([line for line in log.read_text().splitlines() if line.startswith("nearest_shot\t")]) == 3
    listed = json.loads(environment.harness("plugins", "--strict", "--json").stdout)
    assert listed["broken"] == []
    (line,) = (line for line in listed["plugins"] if line["name"] == "nearest_shot")
    assert (line["kind"], line["needs"], line["paper"]) == ("method", "support", "none: an example")
    checks = json.loads(environment.harness("plugins", "check", "nearest_shot", "--json").stdout)["checks"]
    assert {check["state"] for check in checks} == {"passed"}
    environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract.py", cwd=source)


@pytest.mark.slow
def test_a_new_plugin_works_with_no_edit_in_between(environment, world, cache, tmp_path):
    environment.harness("plugins", "new", "my_method", cwd=tmp_path)
    folder = tmp_path / "my_method"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    assert files == {"pyproject.toml", "README.md", "src/my_method.py", "tests/test_my_method.py"}
    environment.pip_install("-e", folder)
    row = evaluated(environment, world, cache, tmp_path / "r", "my_method", cwd=tmp_path)
    assert row["complete"]
    assert row["method_record"]["distribution"] == "my-method"
    environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    environment.run("-m", "ruff", "check", "--isolated", "--select", "E,F,W", "--line-length", "120", folder)


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
    assert "exists already" in answer.err
    (tmp_path / "file").write_text("in the way")
    answer = harness("plugins", "new", "my_method", "--into", tmp_path / "file")
    assert answer.code == 2
    assert "cannot be written" in answer.err


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
