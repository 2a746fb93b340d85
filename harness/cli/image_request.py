"""The request of a command that needs a backbone and the images of some domains, and no run of cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli.option_values import settings
from harness.runner.request import MethodChoice, Request, checked_precision


def image_request(
    domains: Sequence[str],
    data: Path | None,
    folder: Sequence[str] | None,
    backbone: str | None,
    pretrained: str | None,
    preprocessing: str | None,
    device: str,
    cache: Path | None,
    workers: int,
    *,
    precision: str = "fp32",
    methods: Sequence[str] = (),
    shots: int = 1,
    seed: int = 1,
) -> Request:
    """From the values of options; ``domains`` is empty for all.

    Raises:
        UserError: an option has no such value.
    """
    return Request(
        methods=tuple(map(MethodChoice, methods)),
        domains=tuple(domains) or None,
        shots=(shots,),
        seeds=(seed,),
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
