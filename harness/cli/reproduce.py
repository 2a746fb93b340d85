"""``harness reproduce``: options; the implementation is imported when called."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import CORES, Cache, Data, Json, Workers
from harness.cli.row_options import Address, MethodFiles, Pretrained


def reproduce(
    row: Address,
    data: Data = None,
    pretrained: Pretrained = None,
    file: MethodFiles = None,
    device: Annotated[str | None, typer.Option("--device", help="Device to run on.", show_default="the row's")] = None,
    cache: Cache = None,
    workers: Workers = CORES,
    json: Json = False,
) -> int:
    """Rerun a row from its record and list all differences; exit code 3 if there are any."""
    from harness.cli import verify

    return verify.reproduce(row, data, pretrained, tuple(file or ()), device, cache, workers, json)
