"""``harness features push | pull``: options and request; the implementation is imported when called."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import (
    CORES,
    Backbone,
    Cache,
    Create,
    Data,
    Device,
    Domains,
    Folders,
    Precision,
    Preprocessing,
    Pretrained,
    PullRequest,
    Repo,
    Revision,
    Workers,
)

Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="features, preprojection, tokens or pixels.", show_default="features"),
]


def push(
    repository: Repo,
    domain: Domains = None,
    kind: Kinds = None,
    pr: PullRequest = False,
    revision: Revision = "main",
    create: Create = None,
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
    from harness.cli.image_request import image_request
    from harness.cli.option_values import split
    from harness.hub.repository import PushOptions

    place = (data, folder, backbone, pretrained, preprocessing, device, cache, workers)
    request = image_request(split(domain), *place, precision=precision)
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
    from harness.cli.image_request import image_request
    from harness.cli.option_values import split

    place = (data, folder, backbone, pretrained, preprocessing, device, cache, workers)
    request = image_request(split(domain), *place, precision=precision)
    return hub.pull_features(repository, request, split(kind), revision, sample)
