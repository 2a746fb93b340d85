"""The grid of a run: one job for every domain, method, number of shots and seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.datasets.domain import DomainData
from harness.progress import Reporter
from harness.protocols import Protocol
from harness.runner.chosen_method import ChosenMethod
from harness.runner.job import Job
from harness.runner.request import Request
from harness.runner.run_draws import FewShotDraws
from harness.types.cell import NO_SEED, BackboneRecord, DatasetRecord, Spec


@dataclass(frozen=True)
class Setting:
    """What all cells of a run share.

    Attributes:
        protocol: the rule.
        dataset: name of the data set.
        backbone: its record.
        device: name of the device.
        versions: of the harness, its libraries and the plugins behind protocol, backbone and metrics.
    """

    protocol: Protocol
    dataset: str
    backbone: BackboneRecord
    device: str
    versions: Mapping[str, str]


def grid(
    request: Request,
    setting: Setting,
    methods: Sequence[ChosenMethod],
    domains: Mapping[str, DomainData],
    draws: FewShotDraws,
    texts: Mapping[str, tuple[str, ...]],
) -> Iterator[Job]:
    """All jobs of a run, by domain, method, shots and seed.

    Args:
        request: gives shots and seeds.
        setting: what all cells share.
        methods: what to run.
        domains: the data.
        draws: of few-shot images.
        texts: sentences about names, for methods that need them.
    """
    protocol = setting.protocol
    for data in domains.values():
        for method in methods:
            drawn = protocol.scoring == "names" and method.drawn
            sentences = texts if method.needs.texts else {}
            shared = Spec(  # whose values all specs share, so that those of 100,000 cells fit into memory
                protocol=protocol.id,
                decoding=protocol.decoding,
                dataset=_dataset_record(setting, data, request.leave_out_copies),
                domain=data.name,
                backbone=setting.backbone,
                method=method.record,
                shots=0,
                seed=NO_SEED,
                manifest=None,
                device=setting.device,
                versions={**setting.versions, **method.requirements},
            )
            for shots in request.shots if drawn else (0,):
                for seed in (NO_SEED,) if method.record.runs_once(shots) else request.seeds:
                    draw = draws.of(data, shots, seed) if drawn else None
                    varied = {"shots": shots, "seed": seed, "manifest": draw.sha256 if draw else None}
                    spec = Spec.model_construct(shared.model_fields_set, **{**dict(shared), **varied})
                    manifest = draw.manifest if draw else None
                    yield Job(spec, manifest, method, protocol.scoring, protocol.train_on, sentences)


def _dataset_record(setting: Setting, data: DomainData, copies_left_out: bool) -> DatasetRecord:
    return DatasetRecord(
        name=setting.dataset,
        folders=data.folders,
        fingerprint=data.fingerprint,
        copies_left_out=copies_left_out,
    )


def note_short_classes(jobs: tuple[Job, ...], domains: Mapping[str, DomainData], report: Reporter) -> None:
    """Note the domains that have classes with fewer training images than the draws ask for."""
    drawn = {(job.spec.domain, job.spec.shots, job.train_on) for job in jobs if job.manifest is not None}
    for domain, shots, train_on in sorted(drawn):
        for train, _ in domains[domain].fitted(train_on):
            counts, known = Counter(item.label for item in train.items), len(train.names)
            if short := sum(counts[label] < shots for label in range(known)):
                side = train.side.upper()
                report.note(f"{domain}: {short} of {known} {side} classes have fewer than {shots} training images")
