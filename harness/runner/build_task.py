"""Posing the task of a cell: what the method may see, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch

from harness.errors import DataError, NotApplicable
from harness.method import Method
from harness.prompts import Template
from harness.runner.draws import parts_read
from harness.runner.feature_provider import FeatureProvider
from harness.types.cell import Spec
from harness.types.manifest import Manifest
from harness.types.split import TrainOn
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


def build_task(
    spec: Spec,
    manifest: Manifest | None,
    method: Method,
    template: Template,
    provider: FeatureProvider,
    train_on: TrainOn = "oop",
) -> tuple[Task, list[str]]:
    """What the method may see, and the drawn images that could not be read.

    Raises:
        NotApplicable: it asks for a pool of OOP images, but not for their names.
    """
    data, needs = provider.domains[spec.domain], method.needs
    if needs.unlabeled and train_on != "oop":
        raise NotApplicable(f"{spec.method.name} needs unlabeled OOP images; the protocol fits methods on other names")
    given_names = {train.side: train.names for train, _ in data.fitted(train_on)}
    names = tuple(name for own in given_names.values() for name in own) if needs.includes("vocabulary") else None
    task = blank_task(f"{spec.domain}/{spec.shots}/{spec.seed}", names, data.hint, template, provider, spec.shots)
    task = replace(task, _ip_names=len(given_names.get("ip", ())))
    lost: list[str] = []
    if needs.unlabeled:
        pool = provider.pool(spec.domain, method.pool)
        task = replace(task, _unlabeled=pool.image[:, 0].clone())  # the method may write into it
        lost += pool.unreadable
    if needs.ip:
        known = provider.pool(spec.domain, "ip")
        task = replace(task, _ip=Support(known.image.clone(), known.label.clone()))
        lost += known.unreadable
    if needs.clusters:
        of_pool = data.oop["train"] if method.pool == "train-unlabeled" else data.scored["oop"]
        task = replace(task, _clusters=len({item.label for item in of_pool.items}))
    if manifest is None:
        return task, lost
    given: dict[str, Support] = {}
    for part, views in parts_read(method).items():
        picks = manifest.picks_of_part(part)
        if not picks:
            raise DataError(f"the draw has no {part} image, and {spec.method.name} needs some")
        features, readable = provider.drawn(spec.domain, picks, views, method.crop, train_on)
        lost += features.unreadable
        captions = tuple(data.item_of(picks[i], train_on)[1].caption for i in readable)
        texts = captions if needs.captions and part == "train" else None
        given[part] = Support(features.image, features.label, texts)
    return replace(task, _support=given.get("train"), _validation=given.get("val")), lost
