"""Run a row again from its record alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.backbones.backbone import Precision
from harness.errors import PluginError, UserError
from harness.file_parameter import File, attach_paths
from harness.leaderboard.differences import Difference, differences
from harness.metrics.built_in import BUILT_IN
from harness.metrics.table import VERSION
from harness.progress import Reporter
from harness.protocols import PROTOCOLS
from harness.registry import offers
from harness.registry.entry_points import canonical, installed
from harness.registry.local import NOT_INSTALLED
from harness.results.store import ResultStore
from harness.runner.evaluate import evaluate
from harness.runner.plan import Plan, make_plan
from harness.runner.request import MethodChoice, Request
from harness.runner.second_encoders import with_local_folders
from harness.types.cell import LOCAL
from harness.types.leaderboard import Row
from harness.types.manifest import Manifest

RESULTS = {"domains", "mean", "complete", "failures", "per_class", "not_applicable"}
"""Fields of a row that are results."""

OF_DATA = {"predictions", "images", "unreadable"}
"""Fields of a row's data that are results."""


@dataclass(frozen=True)
class Reproduction:
    """The outcome of running a row again.

    Attributes:
        row: the new row.
        settings: everything that the numbers depend on and that differs.
        results: every result that differs.
    """

    row: Row
    settings: tuple[Difference, ...]
    results: tuple[Difference, ...]


@dataclass(frozen=True)
class LocalPaths:
    """Where the data, weights and files of a row are on this machine, and how to run it.

    Attributes:
        data: the folder of the data; None is the data set of a plugin that the row names.
        pretrained: the weights file, if the row used one, or the folder of a ``local-dir:`` backbone.
        cache: the cache folder; None is the user's own.
        workers: processes that compute.
        draws: the row's few-shot draws; needed if no installed protocol can draw them.
        files: files that the row's method read, and the weights of its second encoders in folders, in any order: each
            is identified by its sha256.
        device: to run on; None is the row's kind. Another kind sums in another order, so the last digits may
            differ.
    """

    data: Path | None = None
    pretrained: Path | None = None
    cache: Path | None = None
    workers: int = 2
    draws: tuple[Manifest, ...] = ()
    files: tuple[Path, ...] = ()
    device: str | None = None


def _request(row: Row, out: Path, here: LocalPaths) -> Request:
    """The run that a row's record describes.

    Raises:
        UserError: no plugin offers the row's data set, and no folder is given; or a given file cannot be read.
    """
    if here.data is None and not offers("dataset", row.dataset):
        raise UserError(f"the row was run on {row.dataset}", "give its folder with --data")
    backbone = row.backbone_record
    precision: Precision = backbone.precision
    kind, in_folder, _ = backbone.architecture.partition(LOCAL)  # the row does not record its path
    files = {File(path).sha256: path for path in here.files}
    parameters = with_local_folders(row.method_record, files)
    return Request(
        methods=(MethodChoice(row.method, parameters=attach_paths(parameters, files)),),
        domains=tuple(sorted({*row.data, *(f.domain for f in row.failures)})),
        shots=(max(1, row.shots),),  # a method without few-shot images ignores it
        seeds=row.seeds,
        protocol=row.protocol,
        manifests=out / "manifests" if here.draws and row.protocol not in PROTOCOLS else None,
        texts=files.get(row.method_record.texts or ""),
        data=here.data or row.dataset,
        folders=() if here.data is None else tuple(folder for d in row.data.values() for folder in d.folders),
        leave_out_copies=row.copies_left_out,
        backbone=f"{kind}{LOCAL}{here.pretrained}" if here.pretrained and in_folder else backbone.architecture,
        pretrained=str(here.pretrained) if here.pretrained and not in_folder else row.given_weights,
        preprocessing=row.stated_preprocessing,
        precision=precision,
        compiled=backbone.compiled,
        device=here.device or row.device.partition(" ")[0],
        out=out,
        cache=here.cache,
        workers=here.workers,
    )


@contextmanager
def request_of_row(row: Row, here: LocalPaths) -> Iterator[Request]:
    """The run that a row's record describes, in a temporary results folder with its draws.

    Raises:
        HarnessError: it cannot be run; for example, its plugin is not installed.
    """
    _require_plugins(row)
    with TemporaryDirectory(prefix="harness-reproduce-") as folder:
        for draw in here.draws:
            ResultStore(Path(folder)).put_manifest(draw)
        yield _request(row, Path(folder), here)


def reproduce(
    row: Row, here: LocalPaths, report: Reporter, before: Callable[[tuple[Difference, ...]], None]
) -> Reproduction:
    """Run a row again, in a temporary results folder.

    Args:
        row: the record.
        here: where its data and weights are.
        report: shows progress.
        before: called with the settings that differ, before anything is computed.

    Raises:
        HarnessError: it cannot be run; for example, its plugin is not installed.
    """
    with request_of_row(row, here) as request:
        plan = make_plan(request, report)
        settings = _settings(row, plan)
        before(settings)
        outcome = evaluate(request, report, plan)
    (made,) = outcome.leaderboard.rows
    of_row = {m for m in made.metrics if m in BUILT_IN or VERSION.format(m) in row.versions}
    return Reproduction(made, settings, tuple(differences(_results(row), _results(made.only(of_row)))))


def _require_plugins(row: Row) -> None:
    """Check that the plugins of a row are installed, in any version.

    Raises:
        PluginError: the distribution of its method, protocol, backbone or a metric is not installed, or its method
                has none.
        UserError: it was computed from given features.
    """
    if row.backbone_record.images != "encoded":
        raise UserError("the row was computed from given features, which its record does not hold")
    if row.method_record.distribution == NOT_INSTALLED:
        raise PluginError(
            f"the row's method {row.method} is a class of a script or notebook, and no package holds its code",
            "make it a plugin (`harness plugins new`) and evaluate that",
        )
    there = {canonical(entry.origin.distribution) for entry in installed()}
    record = row.method_record
    makers = {
        f"method {row.method}": [record.distribution, record.version],
        f"protocol {row.protocol}": row.edition("protocol").split(),
        f"backbone {row.backbone_record.architecture}": row.edition("backbone").split(),
        **{which: row.versions.get(which, "").split() for which in map(VERSION.format, sorted(row.metrics))},
    }
    for what, (distribution, version, *_) in ((what, edition) for what, edition in makers.items() if edition):
        if canonical(distribution) not in there:
            raise PluginError(
                f"the row's {what} is of {distribution} {version}, which is not installed",
                f"pip install {distribution}=={version}, from where its authors offer it",
            )


def _settings(row: Row, plan: Plan) -> tuple[Difference, ...]:
    """The differences of the cells' specs; one that all cells share is listed once."""
    now = {(job.spec.domain, job.spec.seed): job.spec for job in plan.jobs}
    found: dict[str, Difference] = {}
    for spec in row.specs():
        again = now.get((spec.domain, spec.seed))
        if again is None:
            where = f"{spec.domain}, seed {spec.seed}"
            found[where] = Difference(where, "run", "cannot be run with these data")
            continue
        for one in differences(spec.model_dump(mode="json"), again.model_dump(mode="json")):
            of_domain = f"{spec.domain}: " if one.where.startswith("dataset.f") or one.where == "manifest" else ""
            seed = f"seed {spec.seed}: " if one.where == "manifest" else ""
            where = f"{of_domain}{seed}{one.where}"
            found.setdefault(where, one._replace(where=where))
    return tuple(found.values())


def _results(row: Row) -> dict[str, object]:
    data = {domain: found.model_dump(mode="json", include=OF_DATA) for domain, found in row.data.items()}
    return {**row.model_dump(mode="json", include=RESULTS), "data": data}
