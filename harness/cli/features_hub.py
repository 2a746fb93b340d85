"""``harness features push | pull``: options and request; the implementation is imported when called."""

from __future__ import annotations

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
    Folders,
    Preprocessing,
    Pretrained,
    Repo,
    Revision,
    Workers,
)

if TYPE_CHECKING:
    from harness.runner.request import Request

Domains = Annotated[
    list[str] | None,
    typer.Option(
        "--domain", "-d", help="Domains, comma-separated.", show_default="all", autocompletion=completion.domains
    ),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="features, preprojection, tokens or pixels.", show_default="features"),
]
Precision = Annotated[str, typer.Option("--precision", help="fp32, tf32, bf16 or fp16.")]


def push(
    repository: Repo,
    domain: Domains = None,
    kind: Kinds = None,
    pr: Annotated[bool, typer.Option("--pr", help="Open a pull request.")] = False,
    revision: Revision = "main",
    create: Annotated[
        Literal["public", "private"] | None,
        typer.Option("--create", help="Create the repository if there is none.", show_default=False),
    ] = None,
    data: Data = None,
    folder: Folders = None,
    backbone: Backbone = None,
    pretrained: Pretrained = None,
    preprocessing: Preprocessing = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    cache: Cache = None,
    workers: Workers = CORES,
) -> int:
    """Push the cached features that you encoded to a data set repository on the Hugging Face Hub, in one commit."""
    from harness.cli import hub
    from harness.cli.option_values import split
    from harness.hub.repository import PushOptions

    model = backbone, pretrained, preprocessing, precision, device
    request = _request(domain, data, folder, model, cache, workers)
    return hub.push_features(repository, request, split(kind), create, PushOptions(revision, pr))


def pull(
    repository: Repo,
    domain: Domains = None,
    kind: Kinds = None,
    sample: Annotated[
        int, typer.Option("--sample", min=1, help="Images of every file to encode again, to compare.")
    ] = 16,
    revision: Revision = "main",
    data: Data = None,
    folder: Folders = None,
    backbone: Backbone = None,
    pretrained: Pretrained = None,
    preprocessing: Preprocessing = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    cache: Cache = None,
    workers: Workers = CORES,
) -> int:
    """Fetch features that others encoded, and check a random sample of every file before it is used."""
    from harness.cli import hub
    from harness.cli.option_values import split

    model = backbone, pretrained, preprocessing, precision, device
    request = _request(domain, data, folder, model, cache, workers)
    return hub.pull_features(repository, request, split(kind), revision, sample)


def _request(
    domain: list[str] | None,
    data: Path | None,
    folder: list[str] | None,
    model: tuple[str | None, str | None, str | None, str, str],
    cache: Path | None,
    workers: int,
) -> Request:
    """The images of some domains, and a backbone; no method."""
    from harness.cli.option_values import settings, split
    from harness.runner.request import Request, checked_precision

    backbone, pretrained, preprocessing, precision, device = model
    return Request(
        methods=(),
        domains=tuple(split(domain)) or None,
        data=data,
        folders=tuple(folder or ()),
        backbone=backbone,
        pretrained=pretrained,
        preprocessing=settings(preprocessing),
        precision=checked_precision(precision),
        device=device,
        cache=cache,
        workers=workers,
    )
