"""Running a row again from nothing but its own record."""

from __future__ import annotations

from collections.abc import Callable
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
from harness.registry.entry_points import UNKNOWN, canonical, installed
from harness.registry.local import NOT_INSTALLED
from harness.results.store import ResultStore
from harness.runner.evaluate import evaluate
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request
from harness.types.leaderboard import Row
from harness.types.manifest import Manifest

RESULTS = {"domains", "mean", "complete", "failures", "per_class", "not_applicable"}
"""What of a row is a result; and of its data the scored images and the predictions."""

OF_DATA = {"predictions", "images", "unreadable"}


@dataclass(frozen=True)
class Reproduction:
    """How a row came out when it was run again.

    Attributes:
        row: the new row.
        settings: what decides the numbers and is not as it was.
        results: every result that is not as it was.
    """

    row: Row
    settings: tuple[Difference, ...]
    results: tuple[Difference, ...]


@dataclass(frozen=True)
class LocalPaths:
    """What a row's record names without telling it, and where things are on this machine.

    Attributes:
        data: the folder of the data; None is the offered data set that the row names.
        pretrained: the weights file, if the row's were one, or the folder of a ``local-dir:`` backbone.
        cache: the cache folder; None is the user's own.
        workers: processes that compute.
        draws: the row's few-shot draws; they are needed where their rule is not known.
        files: files that the row's method read, in any order: each is known by its sha256.
        device: to run on; None is the row's kind. On another one sums are taken in another order, and differences in
            the last digits are no fault.
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
    in_folder = backbone.architecture.startswith("local-dir:")  # its place is not in the row
    files = {File(path).sha256: path for path in here.files}
    return Request(
        methods=(MethodChoice(row.method, parameters=attach_paths(row.method_record.parameters, files)),),
        domains=tuple(sorted({*row.data, *(f.domain for f in row.failures)})),
        shots=(max(1, row.shots),),  # a method without few-shot images takes no notice of it
        seeds=row.seeds,
        protocol=row.protocol,
        manifests=out / "manifests" if here.draws and row.protocol not in PROTOCOLS else None,
        data=here.data or row.dataset,
        folders=() if here.data is None else tuple(folder for d in row.data.values() for folder in d.folders),
        leave_out_copies=row.copies_left_out,
        backbone=f"local-dir:{here.pretrained}" if here.pretrained and in_folder else backbone.architecture,
        pretrained=str(here.pretrained) if here.pretrained and not in_folder else row.given_weights,
        preprocessing=row.stated_preprocessing,
        precision=precision,
        compiled=backbone.compiled,
        device=here.device or row.device.partition(" ")[0],
        out=out,
        cache=here.cache,
        workers=here.workers,
    )


def reproduce(
    row: Row, here: LocalPaths, report: Reporter, before: Callable[[tuple[Difference, ...]], None]
) -> Reproduction:
    """Run a row again in a results folder of its own, which is removed afterwards.

    Args:
        row: the record.
        here: where its data and weights are.
        report: shows the work.
        before: is given what decides the numbers and differs, before anything is computed.

    Raises:
        HarnessError: it cannot be run; a plugin that it came from is not installed, for one.
    """
    _require_plugins(row)
    with TemporaryDirectory(prefix="harness-reproduce-") as folder:
        for draw in here.draws:
            ResultStore(Path(folder)).put_manifest(draw)
        request = _request(row, Path(folder), here)
        settings = _settings(row, request, report)
        before(settings)
        outcome = evaluate(request, report)
    (made,) = outcome.leaderboard.rows
    of_row = {m for m in made.metrics if m in BUILT_IN or VERSION.format(m) in row.versions}
    return Reproduction(made, settings, tuple(differences(_results(row), _results(made.only(of_row)))))


def _require_plugins(row: Row) -> None:
    """See that what a row was made with is installed, in whatever version.

    Raises:
        PluginError: the distribution of its method, protocol, backbone or a metric is not, or its method is of none.
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
        if canonical(distribution) not in there | {UNKNOWN}:
            raise PluginError(
                f"the row's {what} is of {distribution} {version}, which is not installed",
                f"pip install {distribution}=={version}, from where its authors offer it",
            )


def _settings(row: Row, request: Request, report: Reporter) -> tuple[Difference, ...]:
    """What of every cell's spec differs; what is the same in all cells stands once."""
    now = {(job.spec.domain, job.spec.seed): job.spec for job in make_plan(request, report).jobs}
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
