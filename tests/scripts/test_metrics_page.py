"""The page of metrics is what the table and the docstrings say."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="needs the source tree")


def test_the_page_of_metrics_matches_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from scripts import metrics_page

    found = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert found == metrics_page.page(), "run python scripts/metrics_page.py"
