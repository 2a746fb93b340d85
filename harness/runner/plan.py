"""From a request to cells: read the domains, draw the support, and write down what decides every number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import harness
from harness import device as devices
from harness import plugin_code, protocols, registry
from harness.backbones import backbone as backbones
from harness.backbones.corpora import oop_exact
from harness.backbones.find import Found, find, known
from harness.datasets.digests import DigestIndex
from harness.datasets.layout import MINIATURE, open_dataset
from harness.errors import DataError, UserError
from harness.files import cache_root, content_digest, tree
from harness.method import Method, build, parameters
from harness.miniature import model as miniature
from harness.parameters import require_located
from harness.plugin_memory import remember
from harness.progress import Reporter
from harness.runner.domain import DomainData
from harness.runner.draws import Draws, parts_read
from harness.runner.reading import domain_names, miniature_data, note_unmatched, read_domains
from harness.runner.request import MethodChoice, Request
from harness.types.cell import ONCE, Cell, DatasetRecord, MethodRecord, Spec
from harness.types.leaderboard import RowFailure
from harness.types.manifest import Manifest
from harness.types.split import Part, TrainOn
from harness.types.task import Pool

DEFAULT_BACKBONE = ("ViT-B-16", "laion400m_e32")
"""The paper's."""

DECIDING = (
    *("prompts.py", "protocols.py", "metrics.py", "method.py", "parameters.py", "file_parameter.py", "inner.py"),
    *("scores.py", "device.py", "shared_state.py", "global_settings.py", "types", "datasets", "backbones"),
    *("features", "matching", "runner"),
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
    resolved: backbones.Resolved
    protocol: protocols.Protocol
    device: str
    cache: Path
    observers: tuple[tuple[registry.Source, Callable[[Cell], None]], ...] = ()


def make_plan(request: Request, report: Reporter) -> Plan:
    """Read, draw and specify; computes no feature and loads no model.

    Raises:
        HarnessError: nothing can be run: unknown names, missing data or weights, or no domain that can be read.
    """
    require_valid(request)
    found = plugins_of(request, report)
    draws = Draws(request.protocol, {name: p for name, (p, _) in found.protocols.items()}, request.manifests)
    protocol = draws.protocol
    methods = _methods(request.methods, protocol, found)
    device = devices.choose(request.device)
    if request.precision == "tf32" and device == "cpu":
        raise UserError("tf32 is a mode of CUDA devices", "use --precision fp32 on a CPU")
    cache = cache_root(request.cache)
    index = DigestIndex(cache / "digests.sqlite")
    given = None if request.data is None else open_dataset(request.data.expanduser(), request.folders)
    backbone = _backbone(request, MINIATURE if given is None else given.name, found)  # before anything is drawn or read
    dataset = given or open_dataset(miniature_data(cache, report, request.workers), request.folders)
    names = domain_names(dataset, request.domains)
    note_unmatched(dataset, request.domains, report)
    resolved = _resolved(backbone, request, index, report).by(protocol.features)
    versions = _versions() | _offered(found, protocol.id, resolved.record.architecture)
    versions |= plugin_code.versions(resolved.libraries)
    domains, lost = read_domains(dataset, names, request.workers, index, report, protocol, request.leave_out_copies)
    jobs = []
    for name, data_ in domains.items():
        for record, method, required in methods:
            drawn = protocol.scoring == "names" and (method.needs.includes("support") or method.needs.validation)
            for shots in request.shots if drawn else (0,):
                for seed in request.seeds if drawn or method.seeded else (ONCE,):
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
                        manifest=manifest.hash if manifest else None,
                        device=devices.name(device),
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


def plugins_of(request: Request, report: Reporter) -> registry.Registry:
    """The plugins that a run needs: no other is imported."""
    hooks = {"harness_cell_finished"}
    if request.protocol not in protocols.PROTOCOLS:
        hooks.add("harness_register_protocols")
    if request.backbone not in (None, miniature.NAME):
        hooks.add("harness_register_backbones")
    found = registry.load(None if request.all_plugins else [choice.name for choice in request.methods], hooks)
    if not _offers(found, request):
        found = registry.load()
    remember(found, request.cache)
    for name in (request.protocol, request.backbone or ""):
        if name not in {**protocols.PROTOCOLS, **found.protocols, **found.backbones}:
            found.blame(name)
    for culprit in found.broken:
        report.note(f"left out: {culprit}")
    for intrusion in found.intrusions:
        report.note(str(intrusion))
    return found


def _offers(found: registry.Registry, request: Request) -> bool:
    """Whether somebody offers the protocol and the backbone, so that no other plugin needs to be asked."""
    protocol = request.manifests is not None or request.protocol in {**protocols.PROTOCOLS, **found.protocols}
    backbone = request.backbone is None or request.backbone in found.backbones or known(request.backbone)
    return protocol and backbone


def _methods(
    choices: tuple[MethodChoice, ...], protocol: protocols.Protocol, found: registry.Registry
) -> list[tuple[MethodRecord, Method, dict[str, str]]]:
    """Each method with its record, and the versions of what its distribution requires."""
    made = []
    for choice in choices:
        entry = found.get(choice.name)
        preset = choice.preset or (protocol.preset if protocol.preset in entry.method.presets else None)
        method = build(choice.name, entry.method, preset, choice.parameters)
        if protocol.scoring != "names" and "pool" in parameters(method):
            method = replace(method, pool="test-unlabeled")  # type: ignore[type-var]  # what the protocol gives
        require_located(choice.name, parameters(method))
        record = MethodRecord(
            name=choice.name,
            distribution=entry.source.distribution,
            version=entry.source.version,
            code=registry.code_digest(entry.source),
            parameters=parameters(method),
            needs=method.needs.labels(),
            seeded=method.seeded,
            pool=method.pool if method.needs.unlabeled else None,
        )
        made.append((record, method, registry.requirements(entry.source)))
    return made


def _backbone(request: Request, dataset: str, found: registry.Registry) -> Found:
    name, pretrained = request.backbone, request.pretrained
    if name is None:
        if dataset == MINIATURE:
            name = miniature.NAME
        else:
            name = DEFAULT_BACKBONE[0]
            pretrained = pretrained or DEFAULT_BACKBONE[1]
    offer, _ = found.backbones.get(name, (None, None))
    return find(name, pretrained, request.preprocessing, offer)


def _resolved(backbone: Found, request: Request, index: DigestIndex, report: Reporter) -> backbones.Resolved:
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
    files += [(f"{part.name}/{name}", path) for part in parts if part.is_dir() for name, path in tree(part)]
    code = content_digest(pair for pair in files if pair[1].suffix == ".py")
    return {"harness": f"{harness.__version__}+{code[:12]}", **plugin_code.versions(LIBRARIES)}


def _offered(found: registry.Registry, protocol: str, backbone: str) -> dict[str, str]:
    """The plugins behind a protocol or a backbone, with their code and what they require: numbers depend on it."""
    sources = {
        f"protocol {protocol}": found.protocols.get(protocol, (None, None))[1],
        f"backbone {backbone}": found.backbones.get(backbone, (None, None))[1],
    }
    offered: dict[str, str] = {}
    for what, source in sources.items():
        if source is not None:
            offered[what] = source.edition
            offered |= registry.requirements(source)
    return offered
