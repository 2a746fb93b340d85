"""IP concepts posed as OOP: tasks whose true names are known, with other names and other images."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from harness.miniature.names import LEVELS as MINIATURE
from harness.miniature.names import Name, names, random_stem
from harness.prompts import Template, clean_name
from harness.types.images import Images, Support
from harness.types.task import Task
from harness.types.vocabulary import Vocabulary

LEVELS = ("known", "descriptive", "one word", "opaque", "misleading")
"""Names as in pre-training (the benchmark with its sides swapped); the words around a new stem; one of them; a new stem
alone; and the words of another concept around a new stem. Outside of the miniature the stem is the last word."""

STYLES = 12
"""Directions in feature space, one of which every image is moved along: what clusters find instead of concepts."""


@dataclass(frozen=True)
class World:
    """One domain: the IP test images are the pool, IP train and val images are scored, OOP train images are known.

    Attributes:
        names: of the posed concepts.
        pool: images of the pool.
        pool_label: their classes.
        scored: images to score.
        label: their classes.
        known: labelled images of the other side.
    """

    names: tuple[str, ...]
    pool: torch.Tensor
    pool_label: torch.Tensor
    scored: torch.Tensor
    label: torch.Tensor
    known: Support


def pose(provider, domain: str, level: str, style: float = 0.0, noise: float = 0.0, seed: int = 0) -> World:
    """The world of a domain.

    Args:
        provider: serves the features.
        domain: name of a domain.
        level: one of ``LEVELS``.
        style: length of the move along a random one of ``STYLES`` directions, added to every unit row.
        noise: length of a random vector, added too.
        seed: of names, order, styles and noise.
    """
    data, generator = provider.domains[domain], torch.Generator().manual_seed(seed)
    test, train, val = (provider.features(domain, data.ip[part]) for part in ("test", "train", "val"))
    other = provider.features(domain, data.oop["train"])
    moves = F.normalize(torch.randn(STYLES, test.image.shape[-1], generator=generator), dim=1)

    def seen(image):
        away = moves[torch.randint(STYLES, (len(image),), generator=generator)]
        random_rows = F.normalize(torch.randn(image.shape, generator=generator), dim=1)
        return F.normalize(image + style * away + noise * random_rows, dim=1)

    scored, label = torch.cat([train.image, val.image])[:, 0], torch.cat([train.label, val.label])
    own = _parsed(domain, data.ip["test"].names)
    posed = tuple(clean_name(each.text) for each in _renamed(own, level, random.Random(f"{domain}/{level}/{seed}")))
    known = Support(seen(other.image[:, 0])[:, None], other.label)
    return World(posed, seen(test.image[:, 0]), test.label, seen(scored), label, known)


def task(world: World, backbone, noun: str, shots: int = 0, seed: int = 0) -> Task:
    """The task of a world, with the first ``shots`` pool images of every class as the support."""
    backbone.text.clear_cache()
    order = torch.randperm(len(world.pool), generator=torch.Generator().manual_seed(seed))
    own = [order[world.pool_label[order] == y][:shots] for y in range(len(world.names))]
    drawn = torch.cat(own)
    return Task(
        noun=noun,
        text=backbone.text,
        logit_scale=backbone.logit_scale,
        generator=torch.Generator().manual_seed(seed),
        device=torch.device("cpu"),
        template=Template(),
        shots=shots,
        _support=Support(world.pool[drawn][:, None], world.pool_label[drawn]) if shots else None,
        _unlabeled=Images.of(world.pool[order]),
        _ip=world.known,
        _clusters=len(world.names),
        _names=world.names,
    )


def right(method, world: World, noun: str) -> torch.Tensor:
    """``(m,)`` whether each scored image gets its name."""
    scores = method.scores(Images.of(world.scored), Vocabulary.of(noun, oop=world.names))
    return scores.argmax(dim=1) == world.label


def _parsed(domain: str, texts: tuple[str, ...]) -> list[Name]:
    stated = {clean_name(name.text): name for name in names(domain)} if domain in MINIATURE else {}
    split = {text: text.split() for text in texts}
    return [stated.get(text) or Name(tuple(words[:-1]), words[-1], ()) for text, words in split.items()]


def _renamed(own: list[Name], level: str, rng: random.Random) -> list[Name]:
    if level == "known":
        return own
    if level == "misleading":
        own = own[len(own) // 2 :] + own[: len(own) // 2]
    if level in ("one word", "opaque"):
        count = 1 if level == "one word" else 0
        own = [Name(tuple(rng.sample([*name.before, *name.after], count)), name.stem, ()) for name in map(_worded, own)]
    return [replace(name, stem=random_stem(rng)) for name in own]


def _worded(name: Name) -> Name:
    """The name, with an empty word if it has none."""
    return name if name.before or name.after else replace(name, before=("",))
