"""``harness.features``: image features of a part of the data, from the cache where they are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.api import arguments
from harness.api.evaluate import reporter
from harness.device import require_torch
from harness.errors import DataError, UserError, unknown_name
from harness.runner.request import Request, checked_precision
from harness.types.feature_set import FeatureSet
from harness.types.split import PARTS, SIDES, Part, Side, nfc


def features(
    domain: str,
    side: Side = "oop",
    part: Part = "test",
    *,
    data: str | Path | None = None,
    backbone: str | None = None,
    pretrained: str | Path | None = None,
    preprocessing: str | Mapping[str, Any] | None = None,
    folders: str | Iterable[str] = (),
    device: str = "auto",
    precision: str = "fp32",
    cache: str | Path | None = None,
    workers: int | None = None,
    verbose: bool = False,
) -> FeatureSet:
    """Features, labels and names of one part of a domain, as numpy arrays in the order of the split file.

    Features are the test views, unit rows ``(n, d)`` float32, and come through the cache of ``harness evaluate``.
    Images that cannot be decoded are left out.

    Args:
        domain: e.g. ``Food``.
        side: ``oop`` or ``ip``.
        part: ``train``, ``val`` or ``test``.
        data: a LAION-Beyond folder; None is the miniature.
        backbone: an open_clip architecture; None as in ``harness.evaluate``.
        pretrained: a published tag or a weights file.
        preprocessing: settings or a published tag; None is the backbone's own.
        folders: which folders of the data to use where a domain and side has several.
        device: ``auto``, ``cpu``, ``cuda`` or, for example, ``cuda:1``.
        precision: ``fp32``, ``tf32``, ``bf16`` or ``fp16``.
        cache: the cache folder; None is the user's own.
        workers: threads that decode images; None is one for each core.
        verbose: show progress and notes on stderr.

    Raises:
        HarnessError: the data or the backbone cannot be used; its text says what to do.
    """
    if not isinstance(domain, str):
        raise UserError(f"domain={domain!r} is not a name", 'for example domain="Food"')
    if side not in SIDES:
        raise unknown_name("side", str(side), SIDES)
    if part not in PARTS:
        raise unknown_name("part", str(part), PARTS)
    require_torch()
    from harness.runner.feature_provider import provider_of  # here, because they import torch
    from harness.runner.plan import make_plan

    request = Request(
        methods=(),
        domains=(domain,),
        data=arguments.path_or_none("data", data),
        folders=arguments.texts("folders", folders),
        backbone=backbone,
        pretrained=None if pretrained is None else str(pretrained),
        preprocessing=preprocessing,
        precision=checked_precision(precision),
        device=device,
        cache=arguments.path_or_none("cache", cache),
        workers=arguments.worker_count(workers),
    )
    report = reporter(verbose)
    plan = make_plan(request, report)
    found = plan.domains[domain]
    parts = found.oop if side == "oop" else found.ip
    if parts is None or not parts[part].items:
        raise DataError(f"{domain} has no {side.upper()} {part} images", "choose another side or part")
    split = parts[part]
    encoded, readable = provider_of(plan, request.workers).in_order(domain, split, report)
    items = [split.items[i] for i in readable]
    return FeatureSet(
        domain,
        side,
        part,
        split.names,
        encoded.cpu().numpy(),
        [item.label for item in items],  # type: ignore[arg-type]  # becomes an array
        tuple(nfc(item.path) for item in items),
        tuple(item.caption for item in items),
    )
