"""Checks of side effects and reproducibility."""

from __future__ import annotations

import gc
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from harness.conformance.backbone import tiny_model
from harness.conformance.subject import DOMAIN, Subject
from harness.errors import HarnessError, MethodError
from harness.execution.global_state import changes, listed, preserve_global_state, snapshot
from harness.types.images import Images, Support
from harness.types.task import Task

REPEATS = 5
"""Number of fits in the memory check; the first two fill caches."""


def inputs_untouched(subject: Subject) -> None:
    """``fit`` and ``scores`` do not modify their inputs."""
    task, before = subject.task(DOMAIN), subject.task(DOMAIN)
    weights = tiny_model().fingerprint()
    method = subject.fit(DOMAIN, task=task)
    hint = "work on a copy: x = x.clone()"
    for part, now, then in zip(("support", "validation", "ip"), _parts(task), _parts(before), strict=True):
        if now is not None and then is not None:
            unchanged = _equal(now, then) and torch.equal(now.label, then.label)
            if not unchanged or now.features.requires_grad:
                raise MethodError(f"{subject.name}.fit changes task.{part}", hint)
    pool, untouched = task._unlabeled, before._unlabeled
    if pool is not None and untouched is not None and (pool.features.requires_grad or not _equal(pool, untouched)):
        raise MethodError(f"{subject.name}.fit changes task.unlabeled", hint)
    images, same = subject.images(DOMAIN), subject.images(DOMAIN)
    images = replace(images, features=images.features.clone())
    try:
        with torch.no_grad():  # called directly: subject.scores passes a copy
            method.scores(method.encode(images), DOMAIN.vocabulary)
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        raise subject.raised("scores", error) from error
    if not _equal(images, same):
        raise MethodError(f"{subject.name}.scores changes the images it is given", hint)
    if tiny_model().fingerprint() != weights:
        hint = "the model is frozen; learn rows (task.text.encode) or weights of a copy: task.model(train)"
        raise MethodError(f"{subject.name} changes the weights of the frozen model", hint)


def global_state_untouched(subject: Subject) -> None:
    """Random states, threads, precision, working directory and other global state are unchanged."""
    before = snapshot()
    method = subject.fit(DOMAIN)
    subject.scores(method, subject.images(DOMAIN), DOMAIN.vocabulary)
    changed = [name for name in changes(before) if name != "torch's num threads"]
    if changed:
        random_ = [name for name in changed if "random" in name]
        hint = (
            "draw random numbers from task.generator only: torch.randn(n, generator=task.generator).to(task.device)"
            if random_
            else "restore global settings that fit or scores change"
        )
        raise MethodError(f"{subject.name} changes {listed(random_ or changed)}", hint)


def same_seed_same_scores(subject: Subject) -> None:
    """The same task and seed give bit-identical scores, whatever happened before.

    A method that declares ``seeded = False`` gives them for any seed.
    """
    images, found = subject.images(DOMAIN), list[Tensor]()
    with preserve_global_state():
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            method = subject.fit(DOMAIN, seed=7 if subject.method.seeded else 7 + seed)
            found += [subject.scores(method, images, DOMAIN.vocabulary) for _ in range(2)]
    if not torch.equal(found[0], found[1]):
        raise MethodError(
            f"{subject.name}.scores differs between two calls", "scores must neither learn nor draw random numbers"
        )
    if not torch.equal(found[0], found[2]) and not subject.method.seeded:
        message = f"{subject.name} declares seeded = False, but two fits with different seeds differ"
        raise MethodError(message, "remove the declaration, or draw no random numbers in fit")
    if not torch.equal(found[0], found[2]):
        hint = "draw random numbers from task.generator only, and do not iterate over sets"
        raise MethodError(f"{subject.name}: two fits of the same task with the same seed differ", hint)


def runs_on_cpu(subject: Subject) -> None:
    """``fit`` and ``scores`` stay on the CPU if that is the task's device."""
    method = subject.fitted()
    subject.scores(method, subject.images(DOMAIN), DOMAIN.vocabulary, "on the CPU")
    elsewhere = [
        name for name, value in vars(method).items() if isinstance(value, Tensor) and value.device.type != "cpu"
    ]
    if elsewhere:
        hint = "create tensors with device=task.device"
        raise MethodError(f"{subject.name}.{elsewhere[0]} is not on the task's device", hint)


def memory_returned(subject: Subject) -> None:
    """Repeated fits do not leak memory.

    A leak is growth in each of the last three of five equal fits; a cache that is filled once is allowed. Tensors are
    counted by their bytes, other objects by their number.
    """
    world = replace(DOMAIN, shots=1)
    tensors, objects = [], []
    gc.collect()
    gc.freeze()  # ignore existing objects
    try:
        for _ in range(REPEATS):
            method = subject.fit(world)
            subject.scores(method, subject.images(world), world.vocabulary)
            del method
            tiny_model().tower.clear_cache()
            gc.collect()
            tensors.append(_tensor_bytes())
            objects.append(len(gc.get_objects()))
    finally:
        gc.unfreeze()
    grown = [later - earlier for earlier, later in pairwise(tensors[1:])]
    steps = [later - earlier for earlier, later in pairwise(objects[1:])]
    if min(grown) > 0 or min(steps) > 0:
        hint = "store learned values in attributes of self, not in module or class variables"
        leaked = f"{grown[-1]:,} bytes of tensors" if min(grown) > 0 else f"{steps[-1]:,} objects"
        raise MethodError(f"{subject.name}: every fit leaves {leaked} that are never freed", hint)


def _tensor_bytes() -> int:
    alive = [value for value in gc.get_objects() if issubclass(type(value), Tensor)]
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in alive}.values())


def _equal(one: Images, other: Images) -> bool:
    """Whether features and all other kinds are equal."""
    kinds = all(torch.equal(kind, other._kinds[name]) for name, kind in one._kinds.items())
    return kinds and torch.equal(one.features, other.features)


def _parts(task: Task) -> tuple[Support | None, Support | None, Support | None]:
    return task._support, task._validation, task._ip
