"""``harness data``: generate the miniature, check, download, import and merge data; a command imports what it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import data_import
from harness.cli.options import CORES, Cache, Domains, Executor, Json, RayAddress, Workers, path

if TYPE_CHECKING:
    from harness.datasets.inspect_images import Inspect
    from harness.progress import Reporter

app = typer.Typer(help="Download, import, merge and check data, or generate the miniature.", no_args_is_help=True)

Root = Annotated[Path, typer.Argument(parser=path, help="LAION-Beyond root.")]


@app.command()
def miniature(
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder to create.")], workers: Workers = CORES
) -> int:
    """Generate the miniature data set beyond-mini; the output is identical on every run."""
    from harness.cli import console
    from harness.miniature.build import build
    from harness.progress import staged

    with staged(console.reporter(), "concepts") as progress:
        root = build(out, partial(progress, "drawing beyond-mini"), workers)
    console.lines(str(root))
    return 0


app.command("import")(data_import.import_)


@app.command()
def merge(
    roots: Annotated[list[Path], typer.Argument(parser=path, help="LAION-Beyond roots, two or more.")],
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Data root to create.")],
    link: Annotated[bool, typer.Option("--link", help="Write hard links to files, not copies.")] = False,
    workers: Workers = CORES,
    json: Json = False,
) -> int:
    """Merge data roots of different domains into a new one, and verify every file.

    Example: `harness data merge vehicles tools --out my-data`
    """
    from harness.cli import console
    from harness.cli.data_report import show_merge
    from harness.datasets.merging.merge_roots import merge_roots
    from harness.progress import staged

    with staged(console.reporter(), "files") as progress:
        report = merge_roots(roots, out, link, workers, progress)
    if json:
        console.document(report.model_dump(mode="json"))
    else:
        show_merge(report)
    return 0


@app.command()
def check(
    root: Root,
    context_length: Annotated[int, typer.Option(min=1, help="Context length of the text tower, in tokens.")] = 77,
    workers: Workers = CORES,
    against_hub: Annotated[
        bool, typer.Option("--against-hub", help="Compare each file with the checksums on the Hugging Face Hub.")
    ] = False,
    executor: Executor = "local",
    ray_address: RayAddress = None,
    json: Json = False,
) -> int:
    """Validate every file of a data folder; exit code 1 if there are errors."""
    from harness.cli import console
    from harness.cli.data_report import show_check
    from harness.datasets.check import check_root
    from harness.datasets.check_listing import add_differences
    from harness.datasets.hub import HuggingFace
    from harness.progress import staged

    with console.preparing("loading the tokenizer"):
        from harness.backbones import openclip

        reporter, tokenizer = console.reporter(), openclip.tokenizer("ViT-B-32")
    with _inspecting(root, executor, ray_address, workers, reporter) as inspect, staged(reporter, "images") as progress:
        report = check_root(root, progress, tokenizer.encode, context_length, workers, inspect)
        report = add_differences(report, root, HuggingFace() if against_hub else None, progress, workers)
    if json:
        console.document(report.model_dump(mode="json"))
    else:
        show_check(report)
    return 0 if report.ok else 1


@contextmanager
def _inspecting(
    root: Path, executor: str, ray_address: str | None, workers: int, reporter: Reporter
) -> Iterator[Inspect | None]:
    """How images are inspected elsewhere; None is in threads of this process."""
    if executor == "local":
        yield None
        return
    from harness.datasets.inspect_jobs import inspect_with, require_root, split_digest
    from harness.execution.executors import ExecutorSettings
    from harness.runner.resolve_plugins import resolve_executor

    prepare = partial(require_root, root.resolve(), split_digest(root))
    settings = ExecutorSettings(prepare, ray_address, workers, reporter.note)
    with resolve_executor(executor, ray_address, reporter)(settings) as run:
        yield lambda folder, images: inspect_with(run, workers, folder.resolve(), images)


@app.command()
def card(
    root: Root,
    svg: Annotated[Path | None, typer.Option("--svg", parser=path, help="Figure to write.")] = None,
    cache: Cache = None,
    workers: Workers = CORES,
    json: Json = False,
) -> int:
    """Describe a data folder: classes, images, captions, names, sizes and copies (Figures 1 and 2 of the paper)."""
    from harness.backbones import openclip
    from harness.cli import console
    from harness.cli.data_report import show_card
    from harness.datasets.card.describe import describe_root
    from harness.datasets.digests import open_index
    from harness.folders import cache_root
    from harness.plots.data_card import plot_card
    from harness.plots.style import kind_of
    from harness.plots.style import save as save_figure
    from harness.progress import staged

    if svg:
        kind_of(svg)  # before the images are read
    index, tokenizer = open_index(cache_root(cache)), openclip.tokenizer("ViT-B-16")
    with staged(console.reporter(), "images") as progress:
        found = describe_root(root, tokenizer.encode, index, workers, progress)
    if svg:
        save_figure(plot_card(found), svg)
    if json:
        console.document(found.model_dump(mode="json"))
    else:
        show_card(found)
    return 0


@app.command()
def download(
    dest: Annotated[Path, typer.Argument(parser=path, help="Destination folder.")],
    domain: Domains = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the data set.", show_default="pinned")] = None,
    mirror: Annotated[
        str | None, typer.Option(help="Folder or address of a mirror by `harness data pack`.", show_default="the Hub")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Parallel downloads.")] = 16,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not download; list missing and damaged files.")
    ] = False,
) -> int:
    """Download and verify LAION-Beyond (about 15 GB); resumes a stopped download, replaces damaged files."""
    from harness.cli import console
    from harness.cli.option_values import split
    from harness.datasets.digests import open_index
    from harness.datasets.download import REVISION
    from harness.datasets.download import download as run
    from harness.datasets.mirror import Mirror
    from harness.folders import cache_root
    from harness.progress import staged

    reporter = console.reporter()
    with staged(reporter, "files") as progress:
        root = run(
            dest,
            split(domain) or None,
            revision or REVISION,
            offline,
            progress,
            reporter.note,
            remote=Mirror(mirror) if mirror else None,
            workers=workers,
            index=open_index(cache_root()),
        )
    console.lines(str(root))
    return 0


@app.command()
def pack(
    root: Root,
    out: Annotated[Path, typer.Argument(parser=path, help="Folder of the mirror.")],
) -> int:
    """Write a data folder as a mirror: one tar archive for each class, with the checksum of each file."""
    from harness.cli import console
    from harness.datasets.mirror import pack as run
    from harness.progress import staged

    with staged(console.reporter(), "archives") as progress:
        run(root, out, progress)
    console.lines(str(out))
    return 0
