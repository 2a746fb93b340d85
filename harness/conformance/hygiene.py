"""Checks of side effects and reproducibility."""

from __future__ import annotations

import gc
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from harness.conformance.backbone import tiny_text
from harness.conformance.subject import DOMAIN, Subject
from harness.errors import HarnessError, MethodError
from harness.execution.global_state import changes, listed, preserve_global_state, snapshot
from harness.types.task import Support, Task

REPEATS = 5
"""Number of fits in the memory check; the first two fill caches."""


def inputs_untouched(subject: Subject) -> None:
    """``fit`` and ``scores`` do not modify their inputs."""
    task, before = subject.task(DOMAIN), subject.task(DOMAIN)
    weights = tiny_text().fingerprint()
    method = subject.fit(DOMAIN, task=task)
    hint = "work on a copy: x = x.clone()"
    for part, now, then in zip(("support", "validation", "ip"), _parts(task), _parts(before), strict=True):
        if now is not None and then is not None:
            unchanged = torch.equal(now.image, then.image) and torch.equal(now.label, then.label)
            if not unchanged or now.image.requires_grad:
                raise MethodError(f"{subject.name}.fit changes task.{part}", hint)
    pool, untouched = task._unlabeled, before._unlabeled
    if pool is not None and untouched is not None and (pool.requires_grad or not torch.equal(pool, untouched)):
        raise MethodError(f"{subject.name}.fit changes task.unlabeled", hint)
    image = DOMAIN.scored.image[:, 0].clone()
    try:
        with torch.no_grad():  # called directly: subject.scores passes a copy
            method.scores(image, DOMAIN.vocabulary)
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        raise subject.raised("scores", error) from error
    if not torch.equal(image, DOMAIN.scored.image[:, 0]):
        raise MethodError(f"{subject.name}.scores changes the images it is given", hint)
    if tiny_text().fingerprint() != weights:
        hint = "the text tower is frozen; pass learned rows to task.text.encode as overrides"
        raise MethodError(f"{subject.name} changes the weights of the text tower", hint)


def global_state_untouched(subject: Subject) -> None:
    """Random states, threads, precision, working directory and other global state are unchanged."""
    before = snapshot()
    method = subject.fit(DOMAIN)
    subject.scores(method, DOMAIN.scored.image[:, 0], DOMAIN.vocabulary)
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
    image, found = DOMAIN.scored.image[:, 0], []
    with preserve_global_state():
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            method = subject.fit(DOMAIN, seed=7 if subject.method.seeded else 7 + seed)
            found += [subject.scores(method, image, DOMAIN.vocabulary) for _ in range(2)]
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
    subject.scores(method, DOMAIN.scored.image[:, 0], DOMAIN.vocabulary, "on the CPU")
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
            subject.scores(method, world.scored.image[:, 0], world.vocabulary)
            del method
            tiny_text().tower.clear_cache()
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


def _parts(task: Task) -> tuple[Support | None, Support | None, Support | None]:
    return task._support, task._validation, task._ip
