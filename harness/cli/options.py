"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.cli import completion
from harness.errors import UserError
from harness.files import expand_user

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def path(text: str) -> Path:
    """Parse a path and expand ``~``, which a shell does not expand in ``--out=~/results``.

    Raises:
        UserError: the path is empty, as in ``--out "$UNSET"``.
        StorageError: the home folder does not exist.
    """
    if not text:
        raise UserError("a path is empty", "check the variable it comes from, or write . for this folder")
    return expand_user(Path(text))


Cache = Annotated[
    Path | None,
    typer.Option("--cache", parser=path, help="Cache folder (also: HARNESS_CACHE).", show_default="the user's cache"),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", parser=path, help="LAION-Beyond root, or an offered data set.", show_default="beyond-mini"),
]
Folders = Annotated[list[str] | None, typer.Option("--folder", help="Folder to use if a domain and side has several.")]
Backbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="open_clip model, local-dir:FOLDER, hf-hub:NAME or timm:NAME.",
        show_default="beyond-mini, or ViT-B-16 with --data",
    ),
]
Pretrained = Annotated[
    str | None,
    typer.Option("--pretrained", help="Pretrained tag or weights file.", show_default="laion400m_e32 for ViT-B-16"),
]
Preprocessing = Annotated[
    str | None,
    typer.Option(
        "--preprocessing",
        help="Image preprocessing: mean=0.5,std=0.5,resize_mode=squash, or a pretrained tag.",
        show_default="that of the weights",
    ),
]
Domains = Annotated[
    list[str] | None,
    typer.Option(
        "--domain", "-d", help="Domains, comma-separated.", show_default="all", autocompletion=completion.domains
    ),
]
Precision = Annotated[str, typer.Option("--precision", help="fp32, tf32, bf16 or fp16.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:1.")]
Shots = Annotated[list[str], typer.Option("--shots", help="Images per class, e.g. 1,2,4,8,16.")]
OnlyShots = Annotated[
    list[str] | None, typer.Option("--shots", help="Only rows with these shots, e.g. 1,4.", show_default="all")
]
Seeds = Annotated[list[str], typer.Option("--seeds", help="Seeds of the few-shot draws, e.g. 1,2,3 or 1-3.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Workers = Annotated[int, typer.Option("--workers", "-w", min=1, help="Worker processes, and threads that read images.")]
Executor = Annotated[
    str,
    typer.Option("--executor", help="Where work runs: local, ray, or a plugin's.", autocompletion=completion.executors),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address", help="HOST:PORT of a Ray cluster.", show_default="that of this machine, or a new one"
    ),
]
Repo = Annotated[str, typer.Argument(help="Data set repository on the Hugging Face Hub: OWNER/NAME.")]
Revision = Annotated[str, typer.Option("--revision", help="Branch, tag, or refs/pr/3 for a pull request.")]
PullRequest = Annotated[bool, typer.Option("--pr", help="Open a pull request.")]
Create = Annotated[
    Literal["public", "private"] | None,
    typer.Option("--create", help="Create the repository if there is none.", show_default=False),
]
Published = Annotated[bool, typer.Option("--published", help="Include the paper's published results.")]
Files = Annotated[
    list[Path],
    typer.Argument(
        parser=path,
        help="Leaderboard files, results folders, submissions, or rows of them: results#fsnl@4.",
        default_factory=lambda: [Path("results")],
        show_default="results",
    ),
]
