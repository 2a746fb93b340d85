"""Request and outcome of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, cast, get_args

from harness.backbones.backbone import Precision
from harness.errors import UserError
from harness.execution.shards import Shard
from harness.method import Method
from harness.registry import Plugin
from harness.types.cell import SEED_LIMIT
from harness.types.feature_set import FeatureSet
from harness.types.leaderboard import Leaderboard


@dataclass(frozen=True)
class MethodChoice:
    """A method by name, with a preset (None: the protocol's or the defaults) and single parameters.

    ``plugin`` is that of a class that the caller gives; None loads the installed plugin of the name.
    """

    name: str
    preset: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    plugin: Plugin[type[Method]] | None = None


@dataclass(frozen=True)
class Request:
    """What one ``harness evaluate`` runs.

    Attributes:
        methods: what to run.
        domains: names, or None for all that the data have.
        shots: images per class of the few-shot draws.
        seeds: numbers of the draws.
        protocol: ``clean-v1`` or ``paper-2025``.
        manifests: a folder of draws to use; None draws by the protocol.
        texts: a file of sentences about names; None is the data set's own, if it has one.
        data: a LAION-Beyond root, or the name of a plugin's data set; None is the default data set.
        folders: which folder to take where a domain and side has several.
        features: given features to evaluate on in place of data; () for none.
        corpus_records: files of ``harness corpus count`` to add to the rows, with those of the data's own folder.
        leave_out_copies: do not score images whose bytes are also in a train or val part of the domain.
        backbone: an open_clip architecture, a plugin's, or ``timm:`` and a name; None is the default of the data.
        pretrained: a published tag or a weights file; None is the default of the backbone.
        preprocessing: how images are prepared, if not as the backbone says: settings such as ``mean``, or a published
            tag of the backbone whose settings to use.
        precision: of both encoders.
        compiled: learn names and contexts through torch.compile.
        device: ``auto``, ``cpu``, ``cuda`` or, for example, ``cuda:1``, or several: ``cuda:0,cuda:1``.
        cells_per_device: that run at the same time on a GPU; None is as many as fit by their measured memory.
        out: the results folder.
        cache: the cache folder; None is the user's own.
        workers: processes that run cells on the CPU, and threads that decode images.
        executor: what runs cells: ``local``, ``ray``, or a plugin's.
        ray_address: of the Ray cluster; None is the one that this machine is part of, or else a new one.
        shard: compute only this part of the cells; None is all of them.
        isolate: run every cell in a separate process, with limits.
        cell_seconds: how long a cell may take; only with ``isolate``.
        cell_gib: GiB of resident memory that a cell may use; only with ``isolate``. None shares 80 % of the machine's
            memory among the cells that run at the same time.
        all_plugins: load every installed plugin, so that the run names the broken ones.
        observers: names of plugins that follow the run, such as loggers.
        logs: a folder where they write files.

    Raises:
        UserError: shots, seeds or workers are out of range.
    """

    methods: tuple[MethodChoice, ...]
    domains: tuple[str, ...] | None = None
    shots: tuple[int, ...] = (4,)
    seeds: tuple[int, ...] = (1, 2, 3)
    protocol: str = "clean-v1"
    manifests: Path | None = None
    texts: Path | None = None
    data: Path | str | None = None
    folders: tuple[str, ...] = ()
    features: tuple[FeatureSet, ...] = ()
    corpus_records: tuple[Path, ...] = ()
    leave_out_copies: bool = False
    backbone: str | None = None
    pretrained: str | None = None
    preprocessing: str | Mapping[str, Any] | None = None
    precision: Precision = "fp32"
    compiled: bool = False
    device: str = "auto"
    cells_per_device: int | None = None
    out: Path = Path("results")
    cache: Path | None = None
    workers: int = 2
    executor: str = "local"
    ray_address: str | None = None
    shard: Shard | None = None
    isolate: bool = False
    cell_seconds: float = 3600.0
    cell_gib: float | None = None
    all_plugins: bool = False
    observers: tuple[str, ...] = ()
    logs: Path = Path("logs")

    def __post_init__(self) -> None:
        for name, numbers, least in (("shots", self.shots, 1), ("seeds", self.seeds, 0)):
            if not numbers or min(numbers) < least or max(numbers) >= SEED_LIMIT:
                raise UserError(f"{name} must be whole numbers from {least} on, below 10**18", "for example 1, 2 and 4")
        if self.workers < 1:
            raise UserError(f"workers must be 1 or more, not {self.workers}", "for example 2")


def checked_precision(name: str) -> Precision:
    """A precision by name.

    Raises:
        UserError: there is none of that name.
    """
    if name not in get_args(Precision):
        raise UserError(f"no precision named {name!r}", f"use one of {', '.join(get_args(Precision))}")
    return cast(Precision, name)


def require_limits(isolate: bool, seconds: float | None, gib: float | None) -> None:
    """Check that limits of a cell are given with ``isolate`` only, and are more than 0.

    Raises:
        UserError: they are not.
    """
    for name, value, unit in (("timeout", seconds, "seconds"), ("memory", gib, "GiB")):
        if value is not None and not isolate:
            fault = f"the cell {name} is a limit for cells in separate processes"
            raise UserError(fault, "isolate the cells: --isolate, or isolate=True in Python")
        if value is not None and not (isinstance(value, Real) and value > 0):
            raise UserError(f"the cell {name} is {value}", f"give {unit}, more than 0")


@dataclass(frozen=True)
class Outcome:
    """What a run returns.

    Attributes:
        leaderboard: the rows of this run.
        file: the leaderboard file over everything in the results folder.
        computed: number of cells that were run.
        reused: number of cells that were already in the store.
        unreadable: image -> reason, for images that could not be decoded.
        logs: files with the output and traceback of failed cells.
    """

    leaderboard: Leaderboard
    file: Path
    computed: int
    reused: int
    unreadable: Mapping[str, str]
    logs: tuple[Path, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether no cell failed; those of other shards are missing, not failed."""
        return not any(failure.kind == "error" for row in self.leaderboard.rows for failure in row.failures)
