"""The processes that run plugins: each holds code of one distribution, and touches nothing that decides a score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.execution import fork_server
from harness.execution.sandbox import Sandbox
from harness.folders import cache_root, private_folders

if TYPE_CHECKING:
    from harness.datasets.domain import DomainData
    from harness.runner.request import Request

PRELOADED = ("harness.runner.preloaded",)
"""Modules that are imported once for all processes."""

ANSWER_SECONDS = 600.0
"""A method says what it declares within this time, its import included; an observer takes a cell within it."""


def start_server() -> None:
    """Start what processes are forked from, if it is not running; it imports modules while this process continues.

    Raises:
        StorageError: it cannot be started.
    """
    fork_server.start_server(PRELOADED)


def sandbox(
    request: Request,
    domains: Mapping[str, DomainData] | None = None,
    readable: Iterable[Path] = (),
) -> Sandbox:
    """What these processes may touch: no stored result or label, no cached feature, no key of the user, and no image.

    Args:
        request: names the results folder and the cache, and the data, if they are a folder.
        domains: the domains, once they are read.
        readable: files that methods need all the same: weights, and parameters that are files.
    """
    hidden = {request.out, *private_folders(cache_root(request.cache))}
    if isinstance(request.data, Path):
        hidden.add(request.data)
    for data in (domains or {}).values():
        hidden |= {split.folder for split in data.scored.values()}
    there = (path.expanduser().resolve() for path in hidden)
    found = tuple(sorted(path for path in there if path.exists()))
    return Sandbox(found, tuple(path.resolve() for path in readable), strict=request.isolate)
