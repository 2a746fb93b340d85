"""From a request to cells: read the domains, draw the support, and write down what decides every number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import harness
from harness import device as devices
from harness import protocols
from harness.backbones import backbone as backbones
from harness.backbones.corpora import oop_exact
from harness.backbones.find import Found, find
from harness.datasets.digests import DigestIndex
from harness.datasets.domain import DomainData
from harness.datasets.layout import MINIATURE, open_dataset
from harness.datasets.load_data import domain_names, miniature_data, note_unmatched, read_domains
from harness.errors import DataError, UserError
from harness.files import cache_root, content_digest, walk_files
from harness.method import Method
from harness.miniature import model as miniature
from harness.progress import Reporter
from harness.registry import entry_points, fingerprint
from harness.runner.draws import FewShotDraws, parts_read
from harness.runner.plugins import offered_versions, plugins_of, resolve_methods
from harness.runner.request import Request
from harness.types.cell import NO_SEED, Cell, DatasetRecord, Spec
from harness.types.leaderboard import RowFailure
from harness.types.manifest import Manifest
from harness.types.split import Part, TrainOn
from harness.types.task import Pool

DEFAULT_BACKBONE = ("ViT-B-16", "laion400m_e32")
"""The paper's."""

DECIDING = (
    *("prompts.py", "protocols", "metrics.py", "method.py", "parameters.py", "file_parameter.py", "inner.py"),
    *("device.py", "types", "datasets", "backbones", "features", "matching", "execution", "runner"),
)
"""The harness's own code that numbers depend on; its digest is part of the version in every cell, so that a changed
harness is never answered from results of its former self, released or not."""

LIBRARIES = ("torch", "torchvision", "open_clip_torch", "numpy", "scipy", "scikit-learn", "pillow")
"""What the harness and its own methods compute with; their versions stand in every cell."""


@dataclass(frozen=True)
class Job:
    """A cell to run: its spec, its draw, and the method to fit."""

    spec: Spec
    manifest: Manifest | None
    method: Method
    scoring: protocols.Scoring = "names"
    train_on: TrainOn = "oop"

    @property
    def draws(self) -> tuple[tuple[Part, int], ...]:
        """Parts of the draw that will be asked for, with the number of views of each."""
        return tuple(parts_read(self.method).items()) if self.manifest is not None else ()

    @property
    def pools(self) -> tuple[Pool | Literal["ip"], ...]:
        """Pools of images that will be asked for; clusters are made of the scored images."""
        needs, scoring = self.method.needs, self.scoring
        pools: tuple[Pool | Literal["ip"], ...] = (self.method.pool,) if needs.unlabeled and scoring == "names" else ()
        return (*pools, "ip") if needs.ip and scoring != "clusters" else pools


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to know before it computes.

    Attributes:
        jobs: all cells, known or not.
        lost: domains that could not be read.
        domains: the domains that were read.
        resolved: the backbone.
        protocol: the rule.
        device: ``cpu``, or for example ``cuda:0``.
        cache: the cache folder.
        observers: functions of a finished cell, each with the plugin that it comes from.
    """

    jobs: tuple[Job, ...]
    lost: tuple[RowFailure, ...]
    domains: dict[str, DomainData]
    resolved: backbones.ResolvedBackbone
    protocol: protocols.Protocol
    device: str
    cache: Path
    observers: tuple[tuple[entry_points.Origin, Callable[[Cell], None]], ...] = ()


def make_plan(request: Request, report: Reporter) -> Plan:
    """Read, draw and specify; computes no feature and loads no model.

    Raises:
        HarnessError: nothing can be run: unknown names, missing data or weights, or no domain that can be read.
    """
    require_valid(request)
    found = plugins_of(request, report)
    draws = FewShotDraws(request.protocol, {name: p for name, (p, _) in found.protocols.items()}, request.manifests)
    protocol = draws.protocol
    methods = resolve_methods(request.methods, protocol, found)
    device = devices.choose_device(request.device)
    if request.precision == "tf32" and device == "cpu":
        raise UserError("tf32 is a mode of CUDA devices", "use --precision fp32 on a CPU")
    cache = cache_root(request.cache)
    index = DigestIndex(cache / "digests.sqlite")
    given = None if request.data is None else open_dataset(request.data.expanduser(), request.folders)
    backbone = _backbone(request, MINIATURE if given is None else given.name, found)  # before anything is drawn or read
    dataset = given or open_dataset(miniature_data(cache, report, request.workers), request.folders)
    names = domain_names(dataset, request.domains)
    note_unmatched(dataset, request.domains, report)
    resolved = _resolved(backbone, request, index, report).with_rule(protocol.features)
    versions = _versions() | offered_versions(found, protocol.id, resolved.record.architecture)
    versions |= fingerprint.versions(resolved.libraries)
    domains, lost = read_domains(dataset, names, request.workers, index, report, protocol, request.leave_out_copies)
    jobs = []
    for name, data_ in domains.items():
        for record, method, required in methods:
            drawn = protocol.scoring == "names" and (method.needs.includes("support") or method.needs.validation)
            for shots in request.shots if drawn else (0,):
                for seed in request.seeds if drawn or method.seeded else (NO_SEED,):
                    manifest = draws.of(data_, shots, seed) if drawn else None
                    spec = Spec(
                        protocol=protocol.id,
                        decoding=protocol.decoding,
                        dataset=DatasetRecord(
                            name=dataset.name,
                            folders=data_.folders,
                            fingerprint=data_.fingerprint,
                            oop_exact=oop_exact(resolved.record.corpus, dataset.name),
                            copies_left_out=request.leave_out_copies,
                        ),
                        domain=name,
                        backbone=resolved.record,
                        method=record,
                        shots=shots,
                        seed=seed,
                        manifest=manifest.sha256 if manifest else None,
                        device=devices.device_name(device),
                        versions=versions | required,
                    )
                    jobs.append(Job(spec, manifest, method, protocol.scoring, protocol.train_on))
    if request.manifests is None:
        _note_short_classes(jobs, domains, report)
    return Plan(tuple(jobs), tuple(lost), domains, resolved, protocol, device, cache, tuple(found.observers))


def _note_short_classes(jobs: list[Job], domains: dict[str, DomainData], report: Reporter) -> None:
    drawn = {(job.spec.domain, job.spec.shots, job.train_on) for job in jobs if job.manifest is not None}
    for domain, shots, train_on in sorted(drawn):
        for train, _ in domains[domain].fitted(train_on):
            counts, known = Counter(item.label for item in train.items), len(train.names)
            if short := sum(counts[label] < shots for label in range(known)):
                side = train.side.upper()
                report.note(f"{domain}: {short} of {known} {side} classes have fewer than {shots} training images")


def require_valid(request: Request) -> None:
    """See that numbers make sense.

    Raises:
        UserError: shots, seeds or workers do not.
    """
    for what, numbers, least in (("--shots", request.shots, 1), ("--seeds", request.seeds, 0)):
        if not numbers or min(numbers) < least:
            raise UserError(f"{what} needs numbers from {least} on", f"for example {what} 1,2,4")
    if request.workers < 1:
        raise UserError(f"--workers is {request.workers}; it must be 1 or more")


def _backbone(request: Request, dataset: str, found: entry_points.Registry) -> Found:
    name, pretrained = request.backbone, request.pretrained
    if name is None:
        if dataset == MINIATURE:
            name = miniature.NAME
        else:
            name = DEFAULT_BACKBONE[0]
            pretrained = pretrained or DEFAULT_BACKBONE[1]
    offer, _ = found.backbones.get(name, (None, None))
    return find(name, pretrained, request.preprocessing, offer)


def _resolved(backbone: Found, request: Request, index: DigestIndex, report: Reporter) -> backbones.ResolvedBackbone:
    def digest(path: Path) -> str:
        found = index.digests([path], workers=1)[0]
        if isinstance(found, DataError):
            raise found
        return found

    resolved = backbones.resolve(backbone, request.precision, digest, request.compiled)
    if backbone.source == "unchecked":
        taken = backbone.preprocessing.summary
        report.note(
            f"{resolved.weights.name} does not say how images are prepared: taken as {taken} (see --preprocessing)"
        )
    return resolved


@cache
def _versions() -> dict[str, str]:
    folder = Path(harness.__file__).parent
    parts = [folder / part for part in DECIDING]
    files = [(part.name, part) for part in parts if part.is_file()]
    files += [(f"{part.name}/{name}", path) for part in parts if part.is_dir() for name, path in walk_files(part)]
    code = content_digest(pair for pair in files if pair[1].suffix == ".py")
    return {"harness": f"{harness.__version__}+{code[:12]}", **fingerprint.versions(LIBRARIES)}
