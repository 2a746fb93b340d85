"""``harness leaderboard build``: build the HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def build(files: Sequence[Path], out: Path, published: bool, data: Path | None) -> int:
    """Write the page and print its path."""
    from harness.cli import console
    from harness.leaderboard.published import published_tables
    from harness.site.build import build as make

    file = make(files, out, published_tables() if published else (), data)
    console.lines(f"{file} ({file.stat().st_size / 1e3:,.0f} kB); open it in a browser, it needs no network")
    return 0
