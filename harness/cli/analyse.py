"""``harness analyse``: effective OOP gain of rows; names and modality gap of a backbone with data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion
from harness.cli.options import (
    CORES,
    Backbone,
    Cache,
    Data,
    Device,
    Domains,
    Files,
    Folders,
    Json,
    Preprocessing,
    Pretrained,
    Workers,
)
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.progress import Reporter
    from harness.runner.feature_provider import FeatureProvider
    from harness.runner.plan import Plan
    from harness.runner.request import Request

app = typer.Typer(help="Analyse rows, or a backbone with data, beyond the metrics of rows.", no_args_is_help=True)

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
    from harness.cli.image_request import image_request
    from harness.cli.option_values import split
    from harness.leaderboard.view import read_sources

    rows = read_sources(results).rows if results else ()
    place = (data, folder, backbone, pretrained, preprocessing, device, cache, workers)
    plan, provider, _ = _open(image_request(split(domain), *place, methods=["zero_shot"]))
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
    from harness.cli.image_request import image_request
    from harness.cli.option_values import split

    place = (data, folder, backbone, pretrained, preprocessing, device, cache, workers)
    methods = list(dict.fromkeys(("zero_shot", plugin or "zero_shot")))
    request = image_request(split(domain), *place, methods=methods, shots=shots, seed=seed)
    plan, provider, report = _open(request, fits=plugin is not None)
    found = list(spaces(plan, provider))
    before = {space.domain: report_gap(space) for space in found}
    if plugin is None:
        return show_gap(before, None, None, json)
    jobs = [job for job in plan.jobs if job.spec.method.name == plugin]
    if problem := next((job.not_applicable for job in jobs if job.not_applicable), None):
        raise UserError(problem, "choose another method or backbone")
    learned = class_vectors(plan, jobs, request, provider, report)
    after = {}
    for space in found:
        vectors = learned[space.domain]
        after[space.domain] = vectors if isinstance(vectors, str) else report_gap(space, vectors)
    return show_gap(before, after, plugin, json)


def _open(request: Request, fits: bool = False) -> tuple[Plan, FeatureProvider, Reporter]:
    """The plan of a request, a provider of encoded features, and the reporter; ``fits`` if processes fit methods."""
    from harness.backbones.no_text import no_text_reason
    from harness.cli import console
    from harness.runner.feature_provider import provider_of
    from harness.runner.method_processes import start_server
    from harness.runner.plan import make_plan

    report = console.reporter()
    if fits:
        start_server()
    plan = make_plan(request, report)
    if not plan.resolved.record.has_text:
        raise UserError(no_text_reason(plan.resolved.record.architecture), "choose an open_clip model")
    provider = provider_of(plan, request.workers)
    provider.encode(plan.jobs, report)
    return plan, provider, report
