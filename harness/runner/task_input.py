"""Build the input of a task: what the method may see, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from harness.datasets.domain import DomainData
from harness.errors import DataError, NotApplicable
from harness.prompts import Template
from harness.runner.cell_input import SupportInput, TaskInput
from harness.runner.feature_provider import FeatureProvider
from harness.runner.hidden_order import HiddenOrder
from harness.runner.image_input import ImageInput
from harness.runner.job import Job
from harness.runner.pack_images import ImagePacker
from harness.types.features import Features
from harness.types.split import Part


def seed_of(drawn_by: str) -> int:
    """The seed of a task's generator."""
    return int(hashlib.sha256(drawn_by.encode()).hexdigest()[:15], 16)


def named_task(
    job: Job, template: Template, provider: FeatureProvider, packer: ImagePacker
) -> tuple[TaskInput, list[str]]:
    """The task of a cell that is scored by names, and the given images that could not be read.

    Raises:
        NotApplicable: it asks for a pool of OOP images, but not for their names.
        DataError: the draw has no image of a part that the method needs.
    """
    spec, needs, data = job.spec, job.method.needs, provider.domains[job.spec.domain]
    if needs.unlabeled and job.train_on != "oop":
        raise NotApplicable(f"{spec.method.name} needs unlabeled OOP images; the protocol fits methods on other names")
    given_names = {train.side: train.names for train, _ in data.fitted(job.train_on)}
    names = tuple(name for own in given_names.values() for name in own) if needs.includes("vocabulary") else None
    task = TaskInput(
        seed_of(f"{spec.domain}/{spec.shots}/{spec.seed}"),
        data.noun,
        template,
        spec.shots,
        names,
        ip_count=len(given_names.get("ip", ())),
        texts=sentences(job, data),
        model=needs.model,
        projection=needs.preprojection,
    )
    task, lost = _with_pools(task, job, provider, packer)
    if job.manifest is None:
        return task, lost
    given = {part: _drawn(part, views, job, provider, packer) for part, views in job.method.parts_read().items()}
    support, validation = ((given[part][0] if part in given else None) for part in ("train", "val"))
    lost += [path for _, unreadable in given.values() for path in unreadable]
    return replace(task, support=support, validation=validation), lost


def pool_order(job: Job, provider: FeatureProvider) -> HiddenOrder:
    """The order in which a cell's process gets the unlabeled pool."""
    return HiddenOrder.of(job.spec, provider.pool(job.spec.domain, job.method.pool).sha256, "pool")


def sentences(job: Job, data: DomainData) -> dict[str, tuple[str, ...]] | None:
    """The sentences of the domain's names, if the method needs them."""
    names = (name for split in data.scored.values() for name in split.names)
    return {name: job.texts[name] for name in names} if job.method.needs.texts else None


def known_images(features: Features, images: ImageInput) -> SupportInput:
    """Images of known classes, with their labels."""
    return SupportInput(images, features.label.cpu().numpy().copy())


def _with_pools(
    task: TaskInput, job: Job, provider: FeatureProvider, packer: ImagePacker
) -> tuple[TaskInput, list[str]]:
    """The task with the pools that the method needs, and their unreadable images."""
    domain, needs, pool = job.spec.domain, job.method.needs, job.method.pool
    lost: list[str] = []
    if needs.unlabeled:
        features = provider.pool(domain, pool)
        task = replace(task, unlabeled=packer.pool([features], pool_order(job, provider).position))
        lost += features.unreadable
    if needs.ip:
        known = provider.pool(domain, "ip")
        names = provider.domains[domain].ip_names
        task = replace(task, ip=known_images(known, packer.pool([known])), ip_names=names)
        lost += known.unreadable
    if needs.clusters:
        data = provider.domains[domain]
        of_pool = data.oop["train"] if pool == "train-unlabeled" else data.scored["oop"]
        task = replace(task, clusters=len({item.label for item in of_pool.items}))
    return task, lost


def _drawn(
    part: Part, views: int, job: Job, provider: FeatureProvider, packer: ImagePacker
) -> tuple[SupportInput, Sequence[str]]:
    """The drawn images of a part with v views, and the unreadable ones."""
    assert job.manifest is not None
    picks, domain = job.manifest.picks_of_part(part), job.spec.domain
    if not picks:
        raise DataError(f"the draw has no {part} image, and {job.spec.method.name} needs some")
    features, readable = provider.drawn(domain, picks, views, job.method.crop, job.train_on)
    captions = tuple(provider.domains[domain].item_of(picks[i], job.train_on)[1].caption for i in readable)
    texts = captions if job.method.needs.captions and part == "train" else None
    return replace(known_images(features, packer.drawn(features)), captions=texts), features.unreadable
