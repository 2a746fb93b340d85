"""Options of the commands on leaderboard files and their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.cli import completion
from harness.cli.options import path

File = Annotated[Path, typer.Argument(parser=path, help="Leaderboard file, results folder or submission.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")]
Latex = Annotated[bool, typer.Option("--latex", help="Print LaTeX tables (booktabs).")]
Layout = Annotated[
    Literal["ranks", "table2"] | None,
    typer.Option("--latex", help="Print LaTeX tables (booktabs): as on the screen, or as the paper's Table 2."),
]
Metric = Annotated[str, typer.Option("--metric", "-m", help="Metric, e.g. h_mean or oop_top1.")]
OnlyMethods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "--methods",
        help="Only these methods, comma-separated.",
        show_default="all",
        autocompletion=completion.methods,
    ),
]
Address = Annotated[str, typer.Argument(help="FILE#ROW; ROW is a row id, a method, or method@shots: fsnl@4.")]

Pretrained = Annotated[
    Path | None,
    typer.Option(
        "--pretrained", parser=path, help="Weights file or model folder, if the row used one.", show_default=False
    ),
]
VerifiedData = Annotated[
    Path | None,
    typer.Option("--data", parser=path, help="LAION-Beyond root; also verifies labels, images and draws."),
]
MethodFiles = Annotated[
    list[Path] | None, typer.Option("--file", parser=path, help="File that the method read; may be repeated.")
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        min=0.001,
        help="Test for equivalence with the baseline too: within these points.",
        show_default="none",
    ),
]
DifferencePoints = Annotated[
    float, typer.Option("--difference", min=0.001, help="Points to distinguish; also the margin of equivalence.")
]
