"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Cache = Annotated[
    Path | None,
    typer.Option("--cache", help="Cache folder (also: HARNESS_CACHE).", show_default="the user's cache"),
]
Data = Annotated[Path | None, typer.Option("--data", help="LAION-Beyond root.", show_default="the miniature")]
Folders = Annotated[
    list[str] | None, typer.Option("--folder", help="Folder to take where a domain and side has several.")
]
Shots = Annotated[str, typer.Option("--shots", help="Images per class, e.g. 1,2,4,8,16.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Workers = Annotated[int, typer.Option("--workers", "-w", help="Processes that compute, and threads that read images.")]
Published = Annotated[bool, typer.Option("--published", help="Set the paper's own figures beside ours.")]
Files = Annotated[list[Path], typer.Argument(help="Leaderboard files.")]
