"""``harness evaluate``: options, request and exit code; the implementation is imported when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import completion, config
from harness.cli.options import (
    CORES,
    Backbone,
    Cache,
    Executor,
    Folders,
    Json,
    Precision,
    Preprocessing,
    Pretrained,
    RayAddress,
    Seeds,
    Shots,
    Workers,
    path,
)
from harness.errors import UserError


def evaluate(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config", parser=path, callback=config.use, is_eager=True, help="TOML file; keys are option names."
        ),
    ] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            "--plugin",
            "--method",
            "--methods",
            help="Methods to evaluate, comma-separated, or `all`; may be repeated.",
            show_default="fsnl, or the protocol's default",
            autocompletion=completion.methods,
        ),
    ] = None,
    domain: Annotated[
        list[str] | None,
        typer.Option(
            "--domain",
            "-d",
            help="Domains to evaluate on, comma-separated; may be repeated.",
            show_default="all",
            autocompletion=completion.domains,
        ),
    ] = None,
    all_domains: Annotated[
        bool, typer.Option("--all-domains", help="Evaluate on all domains of the data, as without --domain.")
    ] = False,
    shots: Shots = ["4"],  # noqa: B006 - typer hands out copies
    seeds: Seeds = ["1-3"],  # noqa: B006 - typer hands out copies
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            help="clean-v1 or paper-2025 (also with suffix -ip or -both), clustering, clustering-2025, discovery, "
            "superclass, or a plugin's.",
        ),
    ] = "clean-v1",
    manifests: Annotated[
        Path | None,
        typer.Option(
            "--manifests", parser=path, help="Folder of few-shot draws.", show_default="drawn by the protocol"
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts", parser=path, help="JSON file: name -> sentences about it.", show_default="the data set's own"
        ),
    ] = None,
    corpus_record: Annotated[
        list[Path] | None,
        typer.Option(
            "--corpus-record",
            parser=path,
            help="Record by `harness corpus count`, for accuracy on absent names and by frequency; may be repeated.",
            show_default="the data set's own",
        ),
    ] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="Parameter preset, e.g. paper.")] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="Parameter: lr=0.002, or fsnl.lr=0.002 for one method.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Baseline method to add, or `none`.", show_default="zero_shot, if it applies"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            parser=path,
            help="LAION-Beyond root (also: HARNESS_DATA), or an offered data set.",
            show_default="beyond-mini",
        ),
    ] = None,
    folder: Folders = None,
    leave_out_copies: Annotated[
        bool,
        typer.Option("--leave-out-copies", help="Exclude test images that are byte copies of train or val images."),
    ] = False,
    backbone: Backbone = None,
    pretrained: Pretrained = None,
    preprocessing: Preprocessing = None,
    device: Annotated[
        str, typer.Option("--device", "--devices", help="auto, cpu, cuda, or GPUs such as cuda:0,cuda:1.")
    ] = "auto",
    cells_per_device: Annotated[
        str, typer.Option("--cells-per-device", help="Cells at the same time on a GPU: auto (by memory) or a number.")
    ] = "auto",
    precision: Precision = "fp32",
    compiled: Annotated[bool, typer.Option("--compile", help="Compile prompt training with torch.compile.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Results folder.")] = Path("results"),
    cache: Cache = None,
    workers: Workers = CORES,
    executor: Executor = "local",
    ray_address: RayAddress = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            help="Only the i-th of n parts of the cells: i/n; see `leaderboard assemble`.",
            show_default="all",
        ),
    ] = None,
    isolate: Annotated[bool, typer.Option("--isolate", help="Run every cell in its own process.")] = False,
    cell_timeout: Annotated[
        float | None,
        typer.Option("--cell-timeout", help="Time limit per cell in seconds, with --isolate.", show_default="3600"),
    ] = None,
    cell_memory: Annotated[
        float | None,
        typer.Option(
            "--cell-memory", help="Memory limit per cell in GiB, with --isolate.", show_default="80 % of the machine's"
        ),
    ] = None,
    observer: Annotated[
        list[str] | None,
        typer.Option(
            "--observer",
            help="Loggers of the run, comma-separated: files, trackio, wandb, or a plugin's; may be repeated.",
            show_default="none",
        ),
    ] = None,
    logs: Annotated[Path, typer.Option("--logs", parser=path, help="Folder for what observers write.")] = Path("logs"),
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Count cells and missing features, estimate time and memory; run nothing."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="List every cell, with --dry-run.")] = False,
    per_domain: Annotated[
        bool, typer.Option("--per-domain", help="Print the figures of every domain, however narrow the terminal.")
    ] = False,
    json: Json = False,
) -> int:
    """Evaluate methods on domains and write a leaderboard.

    Example: `harness evaluate --plugin fsnl --all-domains`
    """
    from harness.cli import console, run_report
    from harness.cli.dry_run import planned
    from harness.cli.option_values import methods, number_or_auto, numbers, settings, split
    from harness.cli.stdout import only_results
    from harness.execution.shards import Shard
    from harness.folders import default_data
    from harness.runner.choose_methods import ALL
    from harness.runner.request import Request, checked_precision, require_limits

    domain, all_domains = config.explicit_values(context, "domain", "all_domains")
    domains = split(domain)
    if domain and not domains:
        raise UserError("--domain names no domain", "use --domain Animals, or leave it out for all")
    if all_domains and domains:
        raise UserError("--domain and --all-domains exclude each other", "give one of them")
    if verbose and not dry_run:
        raise UserError("--verbose lists the cells of --dry-run", "use both, or none")
    require_limits(isolate, cell_timeout, cell_memory)
    with only_results():  # of a plugin that offers the protocol
        chosen = methods(plugin, preset, param or (), baseline, protocol)
    request = Request(
        methods=chosen,
        domains=tuple(domains) or None,
        shots=numbers("--shots", shots),
        seeds=numbers("--seeds", seeds),
        protocol=protocol,
        manifests=manifests,
        texts=texts,
        corpus_records=tuple(corpus_record or ()),
        data=data or default_data(),
        folders=tuple(folder or ()),
        leave_out_copies=leave_out_copies,
        backbone=backbone,
        pretrained=pretrained,
        preprocessing=settings(preprocessing),
        precision=checked_precision(precision),
        compiled=compiled,
        device=device,
        cells_per_device=number_or_auto("--cells-per-device", cells_per_device),
        out=out,
        cache=cache,
        workers=workers,
        executor=executor,
        ray_address=ray_address,
        shard=Shard.parse(shard) if shard else None,
        isolate=isolate,
        cell_seconds=cell_timeout or Request.cell_seconds,
        cell_gib=cell_memory,
        all_plugins=ALL in split(plugin),
        observers=tuple(split(observer)),
        logs=logs,
    )
    report = console.reporter()
    if dry_run:
        return planned(request, report, json, verbose)
    from harness.runner.evaluate import evaluate as run

    with only_results():
        came = run(request, report)
    run_report.show(came, json, per_domain)
    if context.obj:  # --traceback
        run_report.show_logs(came)
    return 0 if came.succeeded else 1
