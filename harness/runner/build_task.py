"""Build the task of a cell: what the method may see, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch

from harness.errors import DataError, NotApplicable
from harness.prompts import Template
from harness.runner.feature_provider import FeatureProvider
from harness.runner.job import Job
from harness.runner.run_draws import parts_read
from harness.types.split import Part
from harness.types.task import Support, Task


def blank_task(
    drawn_by: str,
    names: tuple[str, ...] | None,
    hint: str,
    template: Template,
    provider: FeatureProvider,
    shots: int = 0,
) -> Task:
    """A task without any image, of these names or of none; ``drawn_by`` seeds its generator."""
    generator = torch.Generator()  # of the CPU: a seed draws the same on every device
    generator.manual_seed(int(hashlib.sha256(drawn_by.encode()).hexdigest()[:15], 16))
    return Task(
        hint=hint,
        text=provider.backbone.text,
        logit_scale=provider.backbone.logit_scale,
        generator=generator,
        device=provider.device,
        template=template,
        shots=shots,
        _names=names,
    )


def build_task(job: Job, template: Template, provider: FeatureProvider) -> tuple[Task, list[str]]:
    """The task of a job, and the drawn images that could not be read.

    Raises:
        NotApplicable: it asks for a pool of OOP images, but not for their names.
        DataError: the draw has no image of a part that the method needs.
    """
    spec, needs, data = job.spec, job.method.needs, provider.domains[job.spec.domain]
    if needs.unlabeled and job.train_on != "oop":
        raise NotApplicable(f"{spec.method.name} needs unlabeled OOP images; the protocol fits methods on other names")
    given_names = {train.side: train.names for train, _ in data.fitted(job.train_on)}
    names = tuple(name for own in given_names.values() for name in own) if needs.includes("vocabulary") else None
    task = blank_task(f"{spec.domain}/{spec.shots}/{spec.seed}", names, data.hint, template, provider, spec.shots)
    task = replace(task, _ip_names=len(given_names.get("ip", ())))
    task, lost = _with_pools(task, job, provider)
    if job.manifest is None:
        return task, lost
    given = {part: _drawn(part, views, job, provider) for part, views in parts_read(job.method).items()}
    support, validation = ((given[part][0] if part in given else None) for part in ("train", "val"))
    lost += [path for _, unreadable in given.values() for path in unreadable]
    return replace(task, _support=support, _validation=validation), lost


def _with_pools(task: Task, job: Job, provider: FeatureProvider) -> tuple[Task, list[str]]:
    """The task with the pools that the method needs, and their unreadable images; the method may write into them."""
    domain, needs, pool = job.spec.domain, job.method.needs, job.method.pool
    lost: list[str] = []
    if needs.unlabeled:
        features = provider.pool(domain, pool)
        task = replace(task, _unlabeled=features.image[:, 0].clone())
        lost += features.unreadable
    if needs.ip:
        known = provider.pool(domain, "ip")
        task = replace(task, _ip=Support(known.image.clone(), known.label.clone()))
        lost += known.unreadable
    if needs.clusters:
        data = provider.domains[domain]
        of_pool = data.oop["train"] if pool == "train-unlabeled" else data.scored["oop"]
        task = replace(task, _clusters=len({item.label for item in of_pool.items}))
    return task, lost


def _drawn(part: Part, views: int, job: Job, provider: FeatureProvider) -> tuple[Support, tuple[str, ...]]:
    """The drawn images of a part with v views, and the unreadable ones."""
    assert job.manifest is not None
    picks, domain = job.manifest.picks_of_part(part), job.spec.domain
    if not picks:
        raise DataError(f"the draw has no {part} image, and {job.spec.method.name} needs some")
    features, readable = provider.drawn(domain, picks, views, job.method.crop, job.train_on)
    captions = tuple(provider.domains[domain].item_of(picks[i], job.train_on)[1].caption for i in readable)
    texts = captions if job.method.needs.captions and part == "train" else None
    return Support(features.image, features.label, texts), features.unreadable
