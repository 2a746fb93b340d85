"""Plan a run: load the data, choose backbone and methods, draw the support images, and list the jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness import device as devices
from harness.backbones.backbone import ResolvedBackbone
from harness.backbones.no_text import NO_TEXT_HINT
from harness.datasets.digests import DigestIndex, open_index
from harness.datasets.domain import DomainData, DomainReader
from harness.datasets.read_domains import Reader, domain_names, note_unmatched, read_domains
from harness.errors import DataError, UserError
from harness.folders import cache_root
from harness.progress import Reporter
from harness.protocols import Protocol
from harness.runner.choose_backbone import choose_backbone, fetch_backbone
from harness.runner.code_versions import versions
from harness.runner.data_source import DataSource, find_data
from harness.runner.given_features import FeatureReader, require_features_alone, without_encoder
from harness.runner.grid import Setting, grid, note_short_classes
from harness.runner.job import Job
from harness.runner.request import Request
from harness.runner.resolve_methods import require_installed, resolve_methods
from harness.runner.resolve_plugins import resolve_metrics, resolve_protocol
from harness.runner.run_draws import FewShotDraws
from harness.runner.second_encoders import with_encoders
from harness.runner.sentences import with_sentences
from harness.runner.shard_grid import domains_of_shard, jobs_of_shard
from harness.types.leaderboard import RowFailure


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to know before it computes.

    Attributes:
        jobs: all cells, in the store or not.
        lost: domains that could not be read.
        domains: the domains that were read.
        resolved: the backbone.
        protocol: the rule.
        devices: all that cells run on: ``cpu``, or for example ``cuda:0`` and ``cuda:1``.
        cache: the cache folder.
        root: the folder of the data; None for given features.
        encoders: second image encoders of methods, by name.
    """

    jobs: tuple[Job, ...]
    lost: tuple[RowFailure, ...]
    domains: dict[str, DomainData]
    resolved: ResolvedBackbone
    protocol: Protocol
    devices: tuple[str, ...]
    cache: Path
    root: Path | None = None
    encoders: dict[str, ResolvedBackbone] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """The first of the devices."""
        return self.devices[0]


def make_plan(request: Request, report: Reporter, on_checked: Callable[[], object] = lambda: None) -> Plan:
    """Read, draw and specify; computes no feature and loads no model.

    Names are checked before anything is downloaded or read, so that a wrong one is reported at once.

    Args:
        request: the run.
        report: shows progress.
        on_checked: is called when the names are checked, before a method is imported or data are prepared.

    Raises:
        HarnessError: nothing can be run: unknown names, missing data or weights, or no domain that can be read.
    """
    cache = cache_root(request.cache)
    index = open_index(cache)
    rule = resolve_protocol(request, report)
    draws = FewShotDraws(request.protocol, rule, request.manifests)
    protocol = draws.protocol
    require_installed(request)
    source = find_data(request, report)
    chosen = choose_backbone(request, source, report)
    chosen_devices = choose_devices(request)
    on_checked()
    methods = resolve_methods(request, protocol, report)
    metrics = resolve_metrics(methods, report)
    reader, names, root = open_data(request, source, index, protocol, report)
    resolved = fetch_backbone(chosen.found, request, index, report).with_rule(protocol.features)
    if request.features:
        require_features_alone(methods)
        resolved = without_encoder(resolved, request.features)
    methods, encoders = with_encoders(methods, request, index, protocol.features, report)
    domains, lost = read_domains(reader, domains_of_shard(names, request.shard), report)
    if request.shard is not None and lost:
        raise DataError(f"{lost[0].domain} cannot be read: {lost[0].reason}", "a shard leaves no domain out: repair it")
    note = report.note if request.all_plugins else None
    methods, texts = with_sentences(methods, domains.values(), request.texts, root, note)
    decided_by = versions(resolved, protocol=[rule], backbone=[chosen.plugin], metric=metrics)
    setting = Setting(protocol, source.name, resolved.record, devices.device_name(chosen_devices[0]), decided_by)
    jobs = jobs_of_shard(grid(request, setting, methods, domains, draws, texts), names, request.shard)
    if not jobs:
        report.note(f"shard {request.shard} has no cell: there are fewer cells than shards")
    if jobs and all(job.not_applicable for job in jobs):
        raise UserError(str(jobs[-1].not_applicable), NO_TEXT_HINT)
    if request.manifests is None:
        note_short_classes(jobs, domains, report)
    return Plan(jobs, tuple(lost), domains, resolved, protocol, chosen_devices, cache, root, encoders)


def open_data(
    request: Request, source: DataSource, index: DigestIndex, protocol: Protocol, report: Reporter
) -> tuple[Reader, list[str], Path | None]:
    """A reader of the data or of given features, the names of the domains to run, and the folder of the data.

    Raises:
        HarnessError: there is no such domain, or the data cannot be opened.
    """
    if request.features:
        given = FeatureReader(request.features, protocol)
        return given, given.names(request.domains), None
    dataset = source.open(request, report)
    names = domain_names(dataset, request.domains)
    note_unmatched(dataset, request.domains, report)
    return DomainReader(dataset, index, request.workers, protocol, request.leave_out_copies), names, dataset.root


def choose_devices(request: Request) -> tuple[str, ...]:
    """The devices to compute on.

    Raises:
        UserError: there is no such device, or it has no such precision.
    """
    chosen = devices.choose_devices(request.device)
    if request.precision == "tf32" and chosen[0] == "cpu":
        raise UserError("tf32 is a mode of CUDA devices", "use --precision fp32 on a CPU")
    return chosen
