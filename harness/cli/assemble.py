"""``harness leaderboard assemble``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import path


def assemble(
    folders: Annotated[list[Path], typer.Argument(parser=path, help="Results folders, such as those of shards.")],
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Results folder to write.")] = Path("results"),
) -> int:
    """Copy the results of several folders into one, with the leaderboard that one run would have written."""
    from harness.cli import console
    from harness.leaderboard.merge_results import merge_results
    from harness.progress import pluralize
    from harness.results.leaderboard_file import BOARD

    cells = merge_results(folders, out, console.reporter())
    console.lines(f"{pluralize(cells, 'cells')} in {out / BOARD}")
    return 0
