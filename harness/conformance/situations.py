"""Checks of special cases in real domains: one image, one class, several domains, missing captions."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import torch

from harness.conformance.subject import DOMAIN, Subject
from harness.conformance.world import Captions, SyntheticDomain, other_domain
from harness.errors import MethodError


def one_shot(subject: Subject) -> None:
    """Fitting works with one image of each class."""
    world = replace(DOMAIN, shots=1)
    subject.accuracy(subject.fit(world, "with one image of each class"), world, "after one shot")


def one_class(subject: Subject) -> None:
    """Fitting works for a domain with a single name."""
    world = replace(DOMAIN, names=DOMAIN.names[:1])
    subject.accuracy(subject.fit(world, "with one class"), world, "with one class")


def uneven_classes(subject: Subject) -> None:
    """Fitting works if classes have different numbers of images, for example because some are unreadable."""
    task = subject.task(replace(DOMAIN, shots=6))
    if task._support is None:
        return
    support = task._support[[i for i, y in enumerate(task._support.label.tolist()) if y != 1 or i % 6 == 0]]
    method = subject.fit(DOMAIN, "with fewer images of one class", task=replace(task, _support=support))
    subject.accuracy(method, DOMAIN)


def two_domains(subject: Subject) -> None:
    """Nothing that is learned in one domain affects the next, for a new object and for the same one."""
    images = subject.images(DOMAIN)
    alone = subject.scores(subject.fit(DOMAIN), images, DOMAIN.vocabulary)
    other = other_domain()
    used = subject.fit(other, "in a second domain")
    subject.accuracy(used, other, "in a second domain")
    shifted = subject.fit(replace(DOMAIN, shift=1), "with other images of the same names")
    same = torch.equal(alone, subject.scores(shifted, images, DOMAIN.vocabulary))
    if same and subject.method.needs.includes("support"):
        hint = "store learned values in attributes of self, not in module or class variables"
        raise MethodError(f"{subject.name}: other support images of the same names do not change the scores", hint)
    after = subject.scores(subject.fit(DOMAIN), images, DOMAIN.vocabulary)
    if not torch.equal(alone, after):
        hint = "store learned values in attributes of self, not in module or class variables"
        raise MethodError(f"{subject.name}: scores depend on which domains were fitted before", hint)
    again = subject.scores(subject.fit(DOMAIN, "for the second time", method=used), images, DOMAIN.vocabulary)
    if not torch.equal(alone, again):
        hint = "fit must set every learned attribute, and read none of an earlier fit"
        raise MethodError(f"{subject.name}: a second fit of the same object gives other scores than a first one", hint)


def missing_captions(subject: Subject) -> None:
    """Fitting works if captions are missing or do not contain their name, as is common in real data."""
    if not subject.method.needs.captions:
        return
    kinds: tuple[Captions, ...] = get_args(Captions)
    for kind in kinds[1:]:
        world = SyntheticDomain(captions=kind)
        method = subject.fit(
            world, {"partly": "with some", "nameless": "with no useful", "none": "with no"}[kind] + " captions"
        )
        subject.accuracy(method, world)


def beats_chance(subject: Subject) -> None:
    """Accuracy is far above chance if images are close to the prompts of their names.

    The bound is four standard deviations above chance: a random method passes with probability 1/30,000.
    """
    world = replace(DOMAIN, queries=20, shots=8)
    count, chance = len(world.scored.label), 1 / len(world.names)
    bound = chance + 4 * (chance * (1 - chance) / count) ** 0.5
    found = subject.accuracy(subject.fit(world), world)
    if found < bound:
        hint = "are labels and columns in the same order, and is a higher score a better one?"
        message = f"{subject.name} names {found:.0%} of a separable domain correctly; chance is {chance:.0%}"
        raise MethodError(message, hint)
