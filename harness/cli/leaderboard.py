"""``harness leaderboard ...`` and ``harness reproduce``: options; the implementation is imported when called."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import CORES, Cache, Data, Files, Json, Published, Workers, path

app = typer.Typer(help="Show, compare, verify and submit results.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(parser=path, help="Leaderboard file, results folder or submission.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")]
Latex = Annotated[bool, typer.Option("--latex", help="Print LaTeX tables (booktabs).")]
Address = Annotated[str, typer.Argument(help="FILE#ROW; ROW is a row id, a method, or method@shots: fsnl@4.")]

Pretrained = Annotated[
    Path | None,
    typer.Option(
        "--pretrained", parser=path, help="Weights file or model folder, if the row used one.", show_default=False
    ),
]
MethodFiles = Annotated[
    list[Path] | None, typer.Option("--file", parser=path, help="File that the method read; may be repeated.")
]


@app.command()
def show(
    files: Files,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", "-m", help="E.g. h_mean, oop_top1.", show_default="h_mean, or the protocol's main metric"
        ),
    ] = None,
    baseline: Annotated[str | None, typer.Option("--baseline", help="Method to test the others against.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Add seconds, memory and trainable parameters.")] = False,
    json: Json = False,
    markdown: Markdown = False,
    latex: Latex = False,
) -> int:
    """Show one metric: ranks, domains, mean with 95 % interval, tests against a baseline."""
    from harness.cli import show

    return show.show(files, metric, baseline, cost, show.form(json, markdown, latex))


@app.command()
def compare(
    a: File,
    b: Annotated[
        Path | None, typer.Argument(parser=path, help="The second leaderboard, unless --published.", show_default=False)
    ] = None,
    published: Published = False,
    json: Json = False,
    markdown: Markdown = False,
    latex: Latex = False,
) -> int:
    """Compare rows side by side, per domain; rows of different settings are shown without differences."""
    from harness.cli import compare, show

    return compare.compare(a, b, published, show.form(json, markdown, latex))


@app.command()
def diff(a: File, b: Annotated[Path, typer.Argument(parser=path, help="The second one.")], json: Json = False) -> int:
    """List all exact differences of two leaderboards; exit code 3 if there are any."""
    from harness.cli import compare

    return compare.diff(a, b, json)


@app.command()
def schema() -> int:
    """Print the JSON Schema of leaderboard files."""
    from harness.cli import show

    return show.schema()


@app.command()
def verify(
    board: File,
    data: Annotated[
        Path | None,
        typer.Option("--data", parser=path, help="LAION-Beyond root; also verifies labels, images and draws."),
    ] = None,
    features: Annotated[
        int,
        typer.Option("--features", min=0, help="Images per row to encode again, to compare with the feature cache."),
    ] = 0,
    features_seed: Annotated[
        str | None, typer.Option("--features-seed", help="Seed of the sample of images.", show_default="random")
    ] = None,
    pretrained: Pretrained = None,
    file: MethodFiles = None,
    mark: Annotated[bool, typer.Option("--mark/--no-mark", help="Write verified.json next to the file.")] = True,
    cache: Cache = None,
    workers: Workers = CORES,
    json: Json = False,
) -> int:
    """Recompute scores from stored predictions and list differences; exit code 3 if a row is not verified."""
    from harness.cli import verify

    sample = verify.SampleOptions(features, features_seed or secrets.token_hex(8), pretrained, tuple(file or ()))
    return verify.verify(board, data, sample, mark, cache, workers, json)


@app.command()
def submit(
    row: Address,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Zip file to write.")] = Path("submission.zip"),
) -> int:
    """Pack one row and everything that `verify` needs, without images, into a zip file."""
    from harness.cli import verify

    return verify.submit(row, out)


@app.command()
def build(
    files: Files,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder for index.html.")] = Path("site"),
    published: Published = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", parser=path, help="LAION-Beyond root, for thumbnails.", show_default="the miniature"),
    ] = None,
) -> int:
    """Build a static HTML page from leaderboard files; it needs no network."""
    from harness.cli import site

    return site.build(files, out, published, data)


def reproduce(
    row: Address,
    data: Data = None,
    pretrained: Pretrained = None,
    file: MethodFiles = None,
    device: Annotated[str | None, typer.Option("--device", help="Device to run on.", show_default="the row's")] = None,
    cache: Cache = None,
    workers: Workers = CORES,
    json: Json = False,
) -> int:
    """Rerun a row from its record and list all differences; exit code 3 if there are any."""
    from harness.cli import verify

    return verify.reproduce(row, data, pretrained, tuple(file or ()), device, cache, workers, json)
