"""The code of a plugin by its content: every file of its distribution, however that is laid out and installed."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import PluginError
from harness.registry import plugin_code
from harness.registry.plugin_code import code_digest, requirements

Layout = dict[str, str]

PLAIN = {"acme_plain/__init__.py": "1 / 0", "acme_plain/a.py": "a", "acme_plain/inner/words.json": "{}"}
SINGLE = {"acme_single.py": "1 / 0"}
PAIR = {"acme_pair/__init__.py": "", "acme_pair_utils.py": "1 / 0"}
NAMESPACE = {"acme_lab/methods/own.py": "1 / 0", "acme_lab/words.txt": "a"}
LAYOUTS = {"acme_plain": PLAIN, "acme_single": SINGLE, "acme_pair": PAIR, "acme_lab": NAMESPACE}
"""Top-level module of the plugin -> files of its distribution."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, for distributions."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    forget()
    yield folder
    assert not {name for name in set(sys.modules) - before if name.startswith("acme")}, "nothing is imported"
    forget()


def forget() -> None:
    """As in a new process."""
    importlib.invalidate_caches()
    code_digest.cache_clear()
    plugin_code.versions.cache_clear()


def digest(top: str, distribution: str = "acme") -> str:
    forget()
    return code_digest(top, distribution)


def write(folder: Path, files: Layout) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def record(site: Path, name: str, files: list[str], metadata: str = "", **more: str) -> None:
    """The record of a distribution, as an installer leaves it."""
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    texts = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}", **more}
    write(site, {f"{info}/{file}": text for file, text in texts.items()})
    lines = [*files, *(f"{info}/{file}" for file in (*texts, "RECORD"))]
    (site / info / "RECORD").write_text("".join(f"{line},,\n" for line in lines))


def regular(site: Path, files: Layout, setuptools: bool) -> Path:
    write(site, files)
    tops = {name.partition("/")[0].removesuffix(".py") for name in files}
    record(site, "acme", [*files], **({"top_level.txt": "\n".join(tops)} if setuptools else {}))
    return site


def editable(site: Path, files: Layout, setuptools: bool) -> Path:
    source = site.parent / "source"
    write(source, files)
    (site / "acme.pth").write_text(f"{source}\n")
    tops = {name.partition("/")[0].removesuffix(".py") for name in files}
    record(site, "acme", ["acme.pth"], **({"top_level.txt": "\n".join(tops)} if setuptools else {}))
    sys.path.append(str(source))  # what Python does with the .pth file of a site folder; syspath_prepend takes it back
    return source


Install = Callable[[Path, Layout, bool], Path]


@pytest.mark.parametrize("setuptools", [True, False], ids=["listed", "not listed"])
@pytest.mark.parametrize("install", [regular, editable])
@pytest.mark.parametrize("top", LAYOUTS)
def test_every_file_of_a_distribution_counts(site: Path, top: str, install: Install, setuptools: bool) -> None:
    folder = install(site, LAYOUTS[top], setuptools)
    seen = {digest(top)}
    for name in LAYOUTS[top]:
        (folder / name).write_text("another")
        found = digest(top)
        assert found not in seen, name
        seen.add(found)


@pytest.mark.parametrize("top", LAYOUTS)
def test_the_same_code_has_the_same_digest_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top: str
) -> None:
    found = set()
    for install in (regular, editable):
        for setuptools in (True, False):
            place = tmp_path / f"{install.__name__}{setuptools}" / "site"
            place.mkdir(parents=True)
            with monkeypatch.context() as context:
                context.syspath_prepend(str(place))
                install(place, LAYOUTS[top], setuptools)
                found.add(digest(top))
    forget()
    assert len(found) == 1


def test_caches_hidden_files_and_neighbours_do_not_count(site: Path) -> None:
    regular(site, NAMESPACE, True)
    before = digest("acme_lab")
    write(site, {"acme_lab/other/methods.py": "of another distribution", "acme_other.py": "too"})
    write(site, {"acme_lab/methods/__pycache__/own.pyc": "", "acme_lab/methods/.notes/a.py": ""})
    assert digest("acme_lab") == before
    write(site, {"acme_one.py": "a"})
    before = digest("acme_one", "no record")
    write(site, {"acme_two.py": "a"})
    assert digest("acme_one", "no record") == before


def test_a_file_that_moves_is_another_file(site: Path) -> None:
    regular(site, PLAIN, True)
    before = digest("acme_plain")
    (site / "acme_plain" / "a.py").rename(site / "acme_plain" / "b.py")
    assert digest("acme_plain") != before


@pytest.mark.parametrize("top", ["acme_not_there", "sys"])
def test_unreadable_code_is_an_error(site: Path, top: str) -> None:
    with pytest.raises(PluginError, match=f"has code that cannot be read, .*: no file of '{top}'"):
        digest(top, "no record")


@pytest.mark.parametrize(("top", "file"), [("acme_lab", "words.txt"), ("acme_plain", "a.py")])
def test_a_file_that_is_gone_is_no_part_of_the_code(site: Path, top: str, file: str) -> None:
    regular(site, LAYOUTS[top], True)
    whole = digest(top)
    (site / top / file).unlink()
    assert digest(top) != whole


NEEDS = """Requires-Dist: zoo-index>=0.1
Requires-Dist: Zoo_Folder[more] @ file://somewhere
Requires-Dist: zoo-old; python_version < "3"
Requires-Dist: zoo-extra; extra == "test"
"""


def test_requirements_of_a_distribution_have_versions(site: Path) -> None:
    local = json.dumps({"url": "file:///elsewhere", "dir_info": {}})
    record(site, "acme", [], NEEDS)
    record(site, "zoo-index", ["acme_index.py"])
    record(site, "zoo-extra", [])
    record(site, "zoo-folder", ["acme_folder.py"], **{"direct_url.json": local})
    write(site, {"acme_index.py": "a", "acme_folder.py": "a"})
    forget()
    first = requirements("acme")
    assert {name: version.partition("+")[0] for name, version in first.items()} == {
        "zoo-index": "1.0",
        "zoo-folder": "1.0",
    }
    assert first["zoo-index"] == "1.0", "a version of an index is always the same"
    write(site, {"acme_folder.py": "edited without another version"})
    forget()
    assert requirements("acme")["zoo-folder"] not in ("1.0", first["zoo-folder"])
    (site / "acme_folder.py").unlink()
    forget()
    assert requirements("acme")["zoo-folder"] == "1.0+unread"
    assert requirements("no record") == {}
