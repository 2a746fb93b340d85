"""``harness analyse``: effective OOP gain of rows; names and modality gap of a backbone with data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
    Json,
    Preprocessing,
    Pretrained,
    Workers,
)
from harness.errors import UserError

app = typer.Typer(help="Analyse rows, or a backbone with data, beyond the metrics of rows.", no_args_is_help=True)

Domains = Annotated[
    list[str] | None,
    typer.Option(
        "--domain", "-d", help="Only these, comma-separated.", show_default="all", autocompletion=completion.domains
    ),
]
Rows = Annotated[
    list[Path] | None,
    typer.Option("--results", help="Correlate with the accuracies of these rows, too.", show_default="zero-shot only"),
]


@app.command()
def gain(
    files: Files,
    plain: Annotated[str, typer.Option("--plain", help="Method of the plain rows, which draw the line.")] = "zero_shot",
    joint: Annotated[bool, typer.Option("--joint", help="Accuracy among the names of both sides.")] = False,
    json: Json = False,
) -> int:
    """Show the effective OOP gain: OOP accuracy beyond that of plain backbones with the same IP accuracy."""
    from harness.cli.analyse_report import show_gains
    from harness.leaderboard.view import read_sources

    return show_gains(read_sources(files).rows, plain, joint, json)


@app.command()
def names(
    domain: Domains = None,
    results: Rows = None,
    data: Data = None,
    folder: Folders = None,
    backbone: Backbone = None,
    pretrained: Pretrained = None,
    preprocessing: Preprocessing = None,
    device: Device = "auto",
    cache: Cache = None,
    workers: Workers = CORES,
    json: Json = False,
) -> int:
    """Show how names describe each domain among all names, and whether OOP names near IP names are found more often."""
    from harness.analysis.spaces import report_names, spaces
    from harness.cli.analyse_report import show_names
    from harness.leaderboard.view import read_sources

    rows = read_sources(results).rows if results else ()
    _, plan, provider, _ = _open(
        ["zero_shot"], domain, 1, 1, data, folder, backbone, pretrained, preprocessing, device, cache, workers
    )
    return show_names(report_names(list(spaces(plan, provider))), plan.domains, rows, json)


@app.command()
def gap(
    domain: Domains = None,
    plugin: Annotated[
        str | None,
        typer.Option("--plugin", "--method", help="Also after this method learned.", autocompletion=completion.methods),
    ] = None,
    shots: Annotated[int, typer.Option("--shots", min=1, help="Images per class that it learns from.")] = 4,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the draw.")] = 1,
    data: Data = None,
    folder: Folders = None,
    backbone: Backbone = None,
    pretrained: Pretrained = None,
    preprocessing: Preprocessing = None,
    device: Device = "auto",
    cache: Cache = None,
    workers: Workers = CORES,
    json: Json = False,
) -> int:
    """Show the modality gap between the images and the names of each side, before and after names are learned."""
    from harness.analysis.class_vectors import class_vectors
    from harness.analysis.spaces import report_gap, spaces
    from harness.cli.analyse_report import show_gap

    methods = ["zero_shot"] if plugin in (None, "zero_shot") else ["zero_shot", str(plugin)]
    request, plan, provider, report = _open(
        methods, domain, shots, seed, data, folder, backbone, pretrained, preprocessing, device, cache, workers
    )
    found = list(spaces(plan, provider))
    before = {space.domain: report_gap(space) for space in found}
    jobs = [job for job in plan.jobs if job.spec.method.name == plugin]
    if plugin is None:
        return show_gap(before, None, None, json)
    if problem := next((job.not_applicable for job in jobs if job.not_applicable), None):
        raise UserError(problem, "choose another method or backbone")
    learned = class_vectors(plan, jobs, request, provider, report)
    after = {}
    for space in found:
        vectors = learned[space.domain]
        after[space.domain] = vectors if isinstance(vectors, str) else report_gap(space, vectors)
    return show_gap(before, after, plugin, json)


def _open(
    methods: list[str], domain: Any, shots: int, seed: int, data: Any, folder: Any, backbone: Any, pretrained: Any,
    preprocessing: Any, device: str, cache: Any, workers: int,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """The request, its plan, a provider of encoded features, and the reporter."""
    from harness.cli import console
    from harness.cli.option_values import settings, split
    from harness.runner.feature_provider import provider_of
    from harness.runner.method_processes import start_server
    from harness.runner.plan import make_plan
    from harness.runner.request import MethodChoice, Request

    request = Request(
        methods=tuple(map(MethodChoice, methods)), domains=tuple(split(domain)), shots=(shots,), seeds=(seed,),
        data=data, folders=tuple(folder or ()), backbone=backbone, pretrained=pretrained,
        preprocessing=settings(preprocessing), device=device, cache=cache, workers=workers,
    )  # fmt: skip
    report = console.reporter()
    if len(methods) > 1:
        start_server()
    plan = make_plan(request, report)
    if not plan.resolved.record.has_text:
        raise UserError(f"{plan.resolved.record.architecture} has no text tower", "choose an open_clip model")
    provider = provider_of(plan, workers)
    provider.encode(plan.jobs, report)
    return request, plan, provider, report
