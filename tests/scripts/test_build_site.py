"""The web site builds from the documents without a warning."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="needs the source tree")


@pytest.fixture
def build_site(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    from scripts import build_site

    return build_site


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that the site is made of, in a folder of their own."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "zensical.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_site_has_the_readme_the_commands_and_the_docstrings(build_site: ModuleType, copy: Path) -> None:
    pytest.importorskip("zensical")
    assert build_site.main(copy) == 0
    pages = {name: (copy / "site" / name / "index.html").read_text("utf-8") for name in ("", "cli", "reference")}
    assert "Quick start" in pages[""]
    assert "harness leaderboard verify" in pages["cli"]
    assert 'id="harness.method.Method.fit"' in pages["reference"]
    for page in (copy / "docs").glob("*.md"):
        assert (copy / "site" / ("" if page.stem == "index" else page.stem) / "index.html").is_file()
    nav = (copy / "zensical.toml").read_text("utf-8")
    assert {page.name for page in (copy / "docs").glob("*.md")} == set(re.findall(r'= "(\S+\.md)"', nav))


def test_a_link_to_a_missing_page_fails(build_site: ModuleType, copy: Path) -> None:
    pytest.importorskip("zensical")
    (copy / "docs" / "reference.md").write_text("# Nothing\n")
    with (copy / "docs" / "run.md").open("a") as page:
        page.write("\n[nowhere](no-such-page.md)\n")
    assert build_site.main(copy) != 0


def test_links_of_the_readme_fit_the_site(build_site: ModuleType) -> None:
    text = (
        "[a](docs/data.md#b) [c](CONTRIBUTING.md) [d](CITATION.cff) [e](https://e.org/f.html) ![g](docs/images/g.png)"
    )
    fitted = "[a](data.md#b) [c](contributing.md) d [e](https://e.org/f.html) ![g](images/g.png)"
    assert build_site.of_repository(text) == fitted
