"""The tables of methods are what the registry says."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="needs the source tree")


def test_tables_of_methods_match_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from scripts import methods_page

    groups = methods_page.grouped()
    assert "Other" not in groups
    stale = "run python scripts/methods_page.py"
    assert (ROOT / "docs" / "methods.md").read_text(encoding="utf-8") == methods_page.page(groups), stale
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert methods_page.OVERVIEW.findall(readme) == [methods_page.overview(groups)], stale
