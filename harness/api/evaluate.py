"""``harness.evaluate``: the options of ``harness evaluate`` as arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from harness.api import arguments
from harness.api.results import Results
from harness.device import require_torch
from harness.errors import UserError
from harness.execution.shards import Shard
from harness.folders import cache_root, default_data
from harness.method import Method
from harness.method import parameters as parameters_of
from harness.progress import NullReporter, Reporter
from harness.registry.local import plugin_of
from harness.results.artifacts import open_file
from harness.runner.choose_methods import ALL, choose_methods
from harness.runner.request import MethodChoice, Request, checked_precision, require_limits
from harness.types.feature_set import FeatureSet

AnyMethod: TypeAlias = str | type[Method] | Method
"""A method: its name, its class, or an object, whose parameter values count."""

OUT = Path("results")


def evaluate(
    methods: AnyMethod | Iterable[AnyMethod] | None = None,
    domains: str | Iterable[str] | None = None,
    shots: int | Iterable[int] = 4,
    seeds: int | Iterable[int] = (1, 2, 3),
    *,
    protocol: str = "clean-v1",
    data: str | Path | None = None,
    features: FeatureSet | Iterable[FeatureSet] = (),
    backbone: str | None = None,
    pretrained: str | Path | None = None,
    preset: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    baseline: str | None = None,
    manifests: str | Path | None = None,
    texts: str | Path | None = None,
    corpus_records: str | Path | Iterable[str | Path] = (),
    folders: str | Iterable[str] = (),
    leave_out_copies: bool = False,
    preprocessing: str | Mapping[str, Any] | None = None,
    device: str = "auto",
    cells_per_device: int | None = None,
    precision: str = "fp32",
    compiled: bool = False,
    out: str | Path = OUT,
    cache: str | Path | None = None,
    workers: int | None = None,
    executor: str = "local",
    ray_address: str | None = None,
    shard: str | None = None,
    isolate: bool = False,
    cell_timeout: float | None = None,
    cell_memory: float | None = None,
    observers: str | Iterable[str] = (),
    logs: str | Path = Request.logs,
    verbose: bool = False,
) -> Results:
    """Evaluate methods on domains, as ``harness evaluate`` does, and return their rows.

    ``harness.evaluate("fsnl", domains="Food", shots=4)``. Results are stored in the folder ``out``, so that the same
    call again computes nothing. A method that fails raises nothing: its rows say why they are incomplete.

    Args:
        methods: names (``all`` is all that are installed), subclasses of ``harness.Method``, objects of these, or a
            list of such; None is what the protocol runs by default. A class of a script or notebook is identified by
            its source code, and its rows say that no package holds it.
        domains: one or more names, or ``all``.
        shots: images per class of the few-shot draws, one number or more.
        seeds: of the draws, one number or more.
        protocol: ``clean-v1``, ``paper-2025``, ``clustering``, ..., or a plugin's.
        data: a LAION-Beyond folder; None is that of the variable HARNESS_DATA, or else the miniature ``beyond-mini``,
            which comes with the package.
        features: evaluate on these in place of the images of a folder: a set for every part that the methods use, at
            least the OOP test part. They go with the text tower of ``backbone``, whose image encoder (or one aligned
            with it) they must be of. Methods that ask for more than one view are refused; rows say that features were
            given and cannot be reproduced. All domains of the sets are run if ``domains`` is None.
        backbone: an open_clip architecture, or ``timm:`` and a name; None is ``beyond-mini`` for the miniature,
            otherwise ViT-B-16.
        pretrained: a published tag or a weights file.
        preset: of the methods' parameters.
        parameters: values by name, for all methods (``lr``) or for one (``fsnl.lr``).
        baseline: a method to run with the others; None is the protocol's (mostly ``zero_shot``), ``none`` is none.
        manifests: a folder of few-shot draws to use; None draws by the protocol.
        texts: a JSON file of sentences about every name, for methods that need them; None is the data set's own.
        corpus_records: files of ``harness corpus count`` to add to the rows: verdicts and counts of the names, and the
            accuracy on those that are absent from the backbone's corpus; the data set's own are always added.
        folders: which folders of the data to use where a domain and side has several.
        leave_out_copies: do not score byte copies of train and val images.
        preprocessing: settings such as ``{"mean": 0.5}``, or a published tag; None is the backbone's own.
        device: ``auto``, ``cpu``, ``cuda`` or, for example, ``cuda:1``; or several GPUs, ``cuda:0,cuda:1``.
        cells_per_device: cells that run at the same time on a GPU; None is as many as fit by their measured memory.
        precision: ``fp32``, ``tf32``, ``bf16`` or ``fp16``.
        compiled: learn names through torch.compile.
        out: the results folder.
        cache: the cache folder; None is the user's own.
        workers: processes on the CPU; None is one for each core. Results do not depend on it.
        executor: where cells run: ``local``, ``ray``, or a plugin's. Results do not depend on it.
        ray_address: HOST:PORT of a Ray cluster; None is that of this machine, or a new one.
        shard: ``i/n``, the i-th of n parts of the cells; None is all. ``harness leaderboard assemble`` adds parts up.
        isolate: run every cell in its own process, with limits.
        cell_timeout: seconds that a cell may take, with ``isolate``; None is 3600.
        cell_memory: GiB that a cell may use, with ``isolate``; None is 80 % of the machine's memory for all together.
        observers: one or more names of loggers, such as ``files``, ``trackio`` or ``wandb``.
        logs: the folder of what observers write.
        verbose: show progress and notes on stderr.

    Raises:
        HarnessError: nothing can be run: unknown names, missing data or weights; its text says what to do.
    """
    given = arguments.feature_sets(features)
    named = None if domains is None else arguments.texts("domains", domains)
    if given and data is not None:
        raise UserError("data and features exclude each other", "give one of them")
    if named == () or (named is None and not given):
        raise UserError("no domain is given", 'use domains="Food", a list of names, or domains="all"')
    require_limits(isolate, cell_timeout, cell_memory)
    require_torch()
    asked = None if methods is None else [method_choice(one) for one in arguments.listed(methods)]
    request = Request(
        methods=choose_methods(asked, preset, arguments.parameter_values(parameters), baseline, protocol),
        domains=None if named == (ALL,) else named,
        shots=arguments.numbers("shots", shots),
        seeds=arguments.numbers("seeds", seeds),
        protocol=protocol,
        manifests=arguments.path_or_none("manifests", manifests),
        texts=arguments.path_or_none("texts", texts),
        corpus_records=arguments.paths("corpus_records", corpus_records),
        data=None if given else arguments.path_or_none("data", data) or default_data(),
        folders=arguments.texts("folders", folders),
        features=given,
        leave_out_copies=leave_out_copies,
        backbone=backbone,
        pretrained=None if pretrained is None else str(pretrained),
        preprocessing=preprocessing,
        precision=checked_precision(precision),
        compiled=compiled,
        device=device,
        cells_per_device=cells_per_device,
        out=arguments.path("out", out),
        cache=arguments.path_or_none("cache", cache),
        workers=arguments.worker_count(workers),
        executor=executor,
        ray_address=ray_address,
        shard=Shard.parse(shard) if shard else None,
        isolate=isolate,
        cell_seconds=cell_timeout or Request.cell_seconds,
        cell_gib=cell_memory,
        all_plugins=asked is not None and any(choice.name == ALL for choice in asked),
        observers=arguments.texts("observers", observers),
        logs=arguments.path("logs", logs),
    )
    from harness.runner.evaluate import evaluate as run  # here, because it imports torch
    from harness.runner.given_features import store_features

    store_features(given, cache_root(request.cache))
    outcome = run(request, reporter(verbose))
    return Results(outcome.leaderboard, open_file(outcome.file)[1], outcome.file)


def method_choice(method: AnyMethod) -> MethodChoice:
    """The choice of a method by name, class or object.

    Raises:
        HarnessError: it is none of these, or a class that cannot be used.
    """
    if isinstance(method, str):
        return MethodChoice(method)
    cls = method if isinstance(method, type) else type(method)
    if not issubclass(cls, Method):
        hint = "give a name, a subclass of harness.Method, or an object of one"
        raise UserError(f"{method!r} is not a method", hint)
    plugin = plugin_of(cls)
    values = parameters_of(method) if isinstance(method, Method) else {}
    return MethodChoice(plugin.name, parameters=values, plugin=plugin)


def reporter(verbose: bool) -> Reporter:
    """Bars or lines on stderr, or nothing."""
    if not verbose:
        return NullReporter()
    from harness.cli import console  # here, because it imports rich

    return console.reporter()
