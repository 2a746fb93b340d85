"""``harness leaderboard ...``: options; the implementation is imported when called."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import completion
from harness.cli.assemble import assemble
from harness.cli.options import (
    CORES,
    Cache,
    Create,
    Files,
    Json,
    OnlyShots,
    Published,
    PullRequest,
    Repo,
    Revision,
    Workers,
    path,
)
from harness.cli.row_options import (
    Address,
    DifferencePoints,
    File,
    Latex,
    Layout,
    Margin,
    Markdown,
    MethodFiles,
    Metric,
    OnlyMethods,
    Pretrained,
    VerifiedData,
)
from harness.errors import UserError

app = typer.Typer(help="Show, compare, verify and submit results.", no_args_is_help=True)


@app.command()
def show(
    files: Files,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            "-m",
            help="E.g. h_mean, oop_top1; `metrics` lists all.",
            show_default="h_mean, or the protocol's main metric",
        ),
    ] = None,
    baseline: Annotated[str | None, typer.Option("--baseline", help="Method to test the others against.")] = None,
    margin: Margin = None,
    cost: Annotated[bool, typer.Option("--cost", help="Add seconds, memory and trainable parameters.")] = False,
    method: OnlyMethods = None,
    shots: OnlyShots = None,
    domain: Annotated[
        str | None,
        typer.Option(
            "--domain",
            "-d",
            help="Show, rank and test one domain.",
            show_default="all, and their mean",
            autocompletion=completion.domains,
        ),
    ] = None,
    by_frequency: Annotated[
        bool,
        typer.Option("--by-frequency", help="Show accuracy by how many captions of the corpus mention a concept."),
    ] = False,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for every row and domain.")] = False,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", parser=path, help="Write the same as a Parquet file.")
    ] = None,
    markdown: Markdown = False,
    latex: Layout = None,
) -> int:
    """Show one metric: ranks, domains, mean with 95 % interval, tests against a baseline."""
    from harness.cli import show
    from harness.cli.option_values import numbers, split
    from harness.cli.print_tables import form

    wanted = form({"json": json, "csv": csv, "markdown": markdown, "latex": latex})
    methods, chosen_shots = tuple(split(method)), numbers("--shots", shots) if shots else ()
    if by_frequency:
        from harness.cli.show_frequency import show_by_frequency

        others = {
            "--metric": metric, "--baseline": baseline, "--margin": margin, "--cost": cost, "--domain": domain,
            "--csv": csv, "--parquet": parquet, "--latex table2": latex == "table2",
        }  # fmt: skip
        for option, given in others.items():
            if given:
                raise UserError(f"--by-frequency and {option} exclude each other", "give one of them")
        return show_by_frequency(files, methods, chosen_shots, wanted)
    if margin is not None and baseline is None:
        raise UserError("--margin needs a baseline", "name the method to test against with --baseline")
    options = show.ShowOptions(metric, baseline, cost, methods, chosen_shots, domain, margin, latex or "ranks")
    if parquet is None:
        return show.show(files, options, wanted)
    if wanted != "text":
        raise UserError(f"--parquet and --{wanted} exclude each other", "give one of them")
    return show.write_parquet(files, options, parquet)


@app.command()
def metrics(json: Json = False, markdown: Markdown = False) -> int:
    """List the metrics of rows: what each is, whether higher is better, and whether it has intervals."""
    from harness.cli import metrics

    return metrics.metrics(json, markdown)


@app.command()
def power(
    files: Files,
    metric: Metric = "h_mean",
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Method to compare the others with.", show_default="the best of each table"),
    ] = None,
    difference: DifferencePoints = 1.0,
    method: OnlyMethods = None,
    shots: OnlyShots = None,
    json: Json = False,
    markdown: Markdown = False,
    latex: Latex = False,
) -> int:
    """Show how many seeds, images and domains distinguish two rows that differ by so many points."""
    from harness.cli.option_values import numbers, split
    from harness.cli.power import PowerOptions, show_power
    from harness.cli.print_tables import form

    chosen_shots = numbers("--shots", shots) if shots else ()
    options = PowerOptions(metric, baseline, difference, tuple(split(method)), chosen_shots)
    return show_power(files, options, form({"json": json, "markdown": markdown, "latex": latex}))


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
    from harness.cli import compare
    from harness.cli.print_tables import form

    return compare.compare(a, b, published, form({"json": json, "markdown": markdown, "latex": latex}))


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
    data: VerifiedData = None,
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
def pack(
    file: File,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder to write.")],
) -> int:
    """Write a leaderboard to publish: its files, and in `artifacts.zip` all that verifies them, without images."""
    from harness.cli import verify

    return verify.pack(file, out)


app.command()(assemble)


@app.command()
def push(
    repository: Repo,
    file: File,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the board.", show_default="the name of the folder")
    ] = None,
    pr: PullRequest = False,
    revision: Revision = "main",
    create: Create = None,
) -> int:
    """Push a verified board with its predictions to a data set repository on the Hugging Face Hub, in one commit."""
    from harness.cli import hub
    from harness.hub.repository import PushOptions

    return hub.push(repository, file, name, create, PushOptions(revision, pr))


@app.command()
def pull(
    repository: Repo,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder of the boards' folders.")],
    name: Annotated[
        list[str] | None, typer.Option("--name", help="Only these boards, comma-separated.", show_default="all")
    ] = None,
    revision: Revision = "main",
) -> int:
    """Fetch boards from a data set repository on the Hugging Face Hub."""
    from harness.cli import hub
    from harness.cli.option_values import split

    return hub.pull(repository, out, revision, split(name))


@app.command()
def review(
    repository: Repo,
    pr: Annotated[
        list[int] | None, typer.Option("--pr", min=1, help="Number; may be repeated.", show_default="all open ones")
    ] = None,
    data: VerifiedData = None,
    comment: Annotated[bool, typer.Option("--comment", help="Comment on each, once for every state of it.")] = False,
    cache: Cache = None,
    workers: Workers = CORES,
) -> int:
    """Verify the submissions in pull requests; exit code 3 if one may not be merged."""
    from harness.cli import hub

    return hub.review(repository, pr or (), data, comment, cache, workers)


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
