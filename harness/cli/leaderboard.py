"""``harness leaderboard ...`` and ``harness reproduce``: the options; the work is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import CORES, Cache, Data, Files, Json, Published, Workers, path

app = typer.Typer(help="Look at results, compare, verify and submit them.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(parser=path, help="Leaderboard file, results folder or submission.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Tables for a README.")]
Latex = Annotated[bool, typer.Option("--latex", help="Tables for a paper (booktabs).")]
Address = Annotated[str, typer.Argument(help="FILE#ROW; ROW is an id, a method, or a method with shots: fsnl@4.")]


@app.command()
def show(
    files: Files,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", "-m", help="E.g. h_mean, oop_top1, joint_h_mean.", show_default="h_mean, or what the rows have"
        ),
    ] = None,
    baseline: Annotated[str | None, typer.Option("--baseline", help="Method to test the others against.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Seconds, memory and trainable parameters too.")] = False,
    json: Json = False,
    markdown: Markdown = False,
    latex: Latex = False,
) -> int:
    """Tables of one metric: ranks, domains, mean with its 95 % interval, tests against a baseline, holes."""
    from harness.cli import show

    return show.show(files, metric, baseline, cost, show.form(json, markdown, latex))


@app.command()
def compare(
    a: File,
    b: Annotated[
        Path | None, typer.Argument(parser=path, help="The other one, unless --published.", show_default=False)
    ] = None,
    published: Published = False,
    json: Json = False,
    markdown: Markdown = False,
    latex: Latex = False,
) -> int:
    """Set rows beside each other, per domain; rows of another setting say why they cannot be subtracted."""
    from harness.cli import compare, show

    return compare.compare(a, b, published, show.form(json, markdown, latex))


@app.command()
def diff(a: File, b: Annotated[Path, typer.Argument(parser=path, help="The other one.")], json: Json = False) -> int:
    """List every difference of two leaderboards, to the last digit; exit code 3 if there is one."""
    from harness.cli import compare

    return compare.diff(a, b, json)


@app.command()
def schema() -> int:
    """Print the JSON Schema of leaderboard files."""
    from harness.cli import show

    return show.schema()


@app.command()
def verify(
    file: File,
    data: Annotated[
        Path | None,
        typer.Option("--data", parser=path, help="LAION-Beyond root to check the labels, images and draws against."),
    ] = None,
    mark: Annotated[bool, typer.Option("--mark/--no-mark", help="Write verified.json beside the file.")] = True,
    cache: Cache = None,
    workers: Workers = CORES,
    json: Json = False,
) -> int:
    """Score the kept predictions again and name what differs; exit code 3 if a row is not verified."""
    from harness.cli import verify

    return verify.verify(file, data, mark, cache, workers, json)


@app.command()
def submit(
    row: Address,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="The file to write.")] = Path("submission.zip"),
) -> int:
    """Write one row with all that `verify` needs, without images, into one file."""
    from harness.cli import verify

    return verify.submit(row, out)


@app.command()
def build(
    files: Files,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder to write index.html into.")] = Path(
        "site"
    ),
    published: Published = False,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", parser=path, help="LAION-Beyond root to take thumbnails from.", show_default="the miniature's"
        ),
    ] = None,
) -> int:
    """Make a page of leaderboard files: one file that opens from disk and needs no network."""
    from harness.cli import site

    return site.build(files, out, published, data)


def reproduce(
    row: Address,
    data: Data = None,
    pretrained: Annotated[
        Path | None,
        typer.Option(
            "--pretrained", parser=path, help="Weights file or model folder, if the row's were one.", show_default=False
        ),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", parser=path, help="File that the row's method read; may be repeated."),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Another device than the row's.", show_default="the row's")
    ] = None,
    cache: Cache = None,
    workers: Workers = CORES,
    json: Json = False,
) -> int:
    """Run a row again from its own record and list every difference; exit code 3 if there is one."""
    from harness.cli import verify

    return verify.reproduce(row, data, pretrained, tuple(file or ()), device, cache, workers, json)
