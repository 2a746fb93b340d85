"""``harness plot``: figures of leaderboard files and of image features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.cli import completion
from harness.cli.options import (
    CORES,
    Backbone,
    Cache,
    Data,
    Device,
    Files,
    Folders,
    OnlyShots,
    Precision,
    Preprocessing,
    Pretrained,
    Published,
    Workers,
    path,
)
from harness.cli.row_options import Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure as PlotFigure

    from harness.leaderboard.published import PublishedTable
    from harness.types.leaderboard import Row

app = typer.Typer(help="Draw figures (PDF, PNG or SVG).", no_args_is_help=True)


def _figure(out: Path) -> Path:
    """Reject an unsupported file type before anything is computed."""
    from harness.plots.style import kind_of

    kind_of(out)
    return out


Figure = Annotated[
    Path, typer.Option("--out", "-o", parser=path, callback=_figure, help="The figure: .pdf, .png or .svg.")
]
Size = Annotated[
    Literal["column", "page"], typer.Option("--size", help="Width: of a column or the full page of a paper.")
]
Title = Annotated[str | None, typer.Option("--title", help="Title above the figure.", show_default="none")]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "--methods",
        help="Only these methods, comma-separated; zero_shot is always drawn.",
        show_default="all",
        autocompletion=completion.methods,
    ),
]
Protocol = Annotated[str | None, typer.Option("--protocol", help="Only rows of this protocol.")]
Dataset = Annotated[str | None, typer.Option("--dataset", help="Only rows of this data set.")]
RowBackbone = Annotated[str | None, typer.Option("--backbone", help="Only rows of this backbone.")]


@app.command()
def shots(
    files: Files,
    out: Figure = Path("shots.svg"),
    metric: Metric = "oop_top1",
    protocol: Protocol = None,
    dataset: Dataset = None,
    backbone: RowBackbone = None,
    method: Methods = None,
    published: Published = False,
    size: Size = "page",
    title: Title = None,
) -> int:
    """Plot accuracy against shots: the average and one panel per domain (Figure 5 of the paper)."""
    from harness.cli.option_values import split
    from harness.leaderboard.view import read_sources
    from harness.plots.published_rows import comparable
    from harness.plots.select_rows import shots_rows, with_reference
    from harness.plots.shots import intervals_of, plot_shots

    sources = with_reference(read_sources(files), split(method))
    rows = shots_rows(sources.rows, metric, protocol, dataset, backbone)
    printed = comparable(_published(rows[:1]), rows[0]) if published else ()
    figure = plot_shots(rows, metric, intervals_of(sources, metric), printed, size, title)
    return _saved(figure, out)


@app.command()
def zero_shot(
    files: Files,
    out: Figure = Path("zero-shot.svg"),
    method: Annotated[str, typer.Option("--method", help="Method to plot.")] = "zero_shot",
    protocol: Protocol = None,
    published: Published = False,
    size: Size = "page",
    title: Title = None,
) -> int:
    """Plot zero-shot accuracy on IP and OOP concepts, bars per domain (Figure 4 of the paper)."""
    from harness.leaderboard.view import read_sources
    from harness.plots.select_rows import method_rows
    from harness.plots.zero_shot import plot_zero_shot

    rows = method_rows(read_sources(files).rows, method, protocol)
    return _saved(plot_zero_shot(rows, _published(rows) if published else (), size, title), out)


@app.command()
def frequency(
    files: Files,
    out: Figure = Path("frequency.svg"),
    protocol: Protocol = None,
    dataset: Dataset = None,
    backbone: RowBackbone = None,
    shots: OnlyShots = None,
    method: Methods = None,
    size: Size = "page",
    title: Title = None,
) -> int:
    """Plot accuracy per concept against its number of captions in the pre-training corpus, one panel per method."""
    from harness.cli.option_values import numbers, split
    from harness.leaderboard.view import read_sources
    from harness.plots.frequency import plot_frequency
    from harness.plots.select_rows import one_setting, with_reference

    sources = with_reference(read_sources(files), split(method), numbers("--shots", shots) if shots else ())
    return _saved(plot_frequency(one_setting(sources.rows, protocol, dataset, backbone), size, title), out)


@app.command()
def ranks(
    files: Files,
    out: Figure = Path("ranks.svg"),
    metric: Metric = "h_mean",
    test: Annotated[
        Literal["nemenyi", "wilcoxon"], typer.Option("--test", help="Test of each pair, after Friedman's.")
    ] = "nemenyi",
    protocol: Protocol = None,
    dataset: Dataset = None,
    backbone: RowBackbone = None,
    shots: OnlyShots = None,
    method: Methods = None,
    size: Size = "page",
    title: Title = None,
) -> int:
    """Plot mean ranks over domains and which methods differ: a critical-difference diagram (Demsar, JMLR 2006)."""
    from harness.cli import console
    from harness.cli.option_values import numbers, split
    from harness.leaderboard.series import row_labels
    from harness.leaderboard.statistics import rows_to_rank
    from harness.leaderboard.view import read_sources
    from harness.metrics.table import require_metric
    from harness.plots.ranks import plot_ranks
    from harness.plots.select_rows import one_setting, one_shots, with_reference

    require_metric(metric)
    sources = with_reference(read_sources(files), split(method), numbers("--shots", shots) if shots else ())
    rows = one_shots(one_setting(sources.rows, protocol, dataset, backbone))
    ranked = [rows[i] for i in rows_to_rank(rows, metric)]
    labels = row_labels(rows)
    if absent := sorted(labels[row.id] for row in rows if row not in ranked):
        console.err().print(f"not ranked, without {metric} on the same images: {', '.join(absent)}", markup=False)
    return _saved(plot_ranks(ranked, metric, test, size, title), out)


@app.command()
def tsne(
    domain: Annotated[str, typer.Option("--domain", "-d", help="Domain to plot.", autocompletion=completion.domains)],
    out: Figure = Path("tsne.svg"),
    data: Data = None,
    folder: Folders = None,
    backbone: Backbone = None,
    pretrained: Pretrained = None,
    preprocessing: Preprocessing = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    limit: Annotated[int, typer.Option("--limit", min=5, help="Maximum images per side.")] = 3000,
    cache: Cache = None,
    workers: Workers = CORES,
    size: Size = "page",
    title: Title = None,
) -> int:
    """Plot t-SNE of a domain's test features, IP and OOP (Figure 3 of the paper)."""
    from harness.cli import console
    from harness.cli.image_request import image_request
    from harness.plots.tsne import plot_tsne
    from harness.runner.feature_provider import provider_of
    from harness.runner.plan import make_plan

    place = (data, folder, backbone, pretrained, preprocessing, device, cache, workers)
    request = image_request([domain], *place, precision=precision, methods=["zero_shot"])
    report = console.reporter()
    plan = make_plan(request, report)
    provider = provider_of(plan, workers)
    provider.encode(plan.jobs, report)
    scored = provider.scored(domain)
    features = {}
    for side in sorted(scored):  # ip first, so that oop is drawn on top
        image, label = scored[side].image[:, 0].float().cpu().numpy(), scored[side].label.cpu().numpy()
        step = max(1, -(-len(label) // limit))  # images are ordered by hash, so every n-th is a random sample
        features[side] = (image[::step], label[::step])
    names = {side: split.names for side, split in plan.domains[domain].scored.items()}
    record = plan.resolved.record
    what = f"{domain}: image features of {record.architecture}/{record.pretrained} (t-SNE)"
    return _saved(plot_tsne(features, names, what, size, title), out)


def _published(rows: Sequence[Row]) -> tuple[PublishedTable, ...]:
    """The paper's tables; notes rows whose data and model have no published results."""
    from harness.cli import console
    from harness.leaderboard.published import published_tables
    from harness.plots.published_rows import comparable

    tables = tuple(published_tables())
    for dataset, backbone in dict.fromkeys((row.dataset, row.backbone) for row in rows if not comparable(tables, row)):
        console.err().print(f"no figure is published for {dataset} with {backbone}", markup=False)
    return tables


def _saved(made: PlotFigure, out: Path) -> int:
    from harness.cli import console
    from harness.plots import style

    style.save(made, out)
    console.lines(str(out))
    return 0
