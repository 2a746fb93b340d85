"""Papers and code of methods on the page: of what is installed, and only https addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import links

from ..plots.boards import grid, rows


def test_links_are_of_the_distribution_that_a_row_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "acme-1.0.dist-info"
    installed.mkdir()
    addresses = ("Homepage, https://example.org", "Source, https://example.org/code", "Repository, javascript:alert(1)")
    lines = ["Metadata-Version: 2.1", "Name: acme", "Version: 1.0", *(f"Project-URL: {one}" for one in addresses)]
    (installed / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    cells = [
        *grid("fsnl", 4, 0.3, method={"distribution": "laion-beyond-harness"}),
        *grid("coop", 4, 0.3, method={"distribution": "acme"}),  # another method of that name
        *grid("elsewhere", 4, 0.3, method={"distribution": "not-installed"}),
    ]
    found = links.methods(rows(cells))
    assert found.keys() == {"fsnl", "coop"}
    assert found["coop"] == {"code": "https://example.org/code"}
    assert found["fsnl"]["text"] == "Chen et al., CVPR 2025"
    assert found["fsnl"]["link"].startswith("https://openaccess.thecvf.com/")
