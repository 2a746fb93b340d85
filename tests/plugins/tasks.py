"""A separable made-up domain around a tiny random text tower, and every method of the package."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from harness.method import Method
from harness.prompts import Template
from harness.types.images import Images, Support
from harness.types.task import Task
from harness.types.vocabulary import Vocabulary

from ..makers import unit_rows
from ..towers import make_tower

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
SIZE = 24
NOUN = "animal"
NAMES = ("ibex", "rose hip", "great auk", "long red sea cow", "moth")
IP = ("cat", "rose", "ibex goat", "tall old oak")
OOP_VOCABULARY = Vocabulary.of(NOUN, oop=NAMES)
IP_VOCABULARY = Vocabulary.of(NOUN, ip=IP)
JOINT = Vocabulary.of(NOUN, oop=NAMES, ip=IP)
CAPTIONS = ("an {} in a garden", "the small {}, seen from above", None)
QUICK = {"fsnl": {"epochs": 30}, "coop": {"epochs": 60}, "zsnl": {"epochs": 30}}
"""Shorter training for tests."""


@cache
def classes() -> dict[str, type[Method]]:
    """Every method by name, without its entry point."""
    found: dict[str, type[Method]] = {}
    for file in sorted(PLUGINS.glob("[!_]*.py")):
        module = importlib.import_module(f"harness_plugins.{file.stem}")
        found[file.stem] = module.harness_method()
    return found


def quick(name: str, **parameters: Any) -> Method:
    return classes()[name](**(QUICK.get(name, {}) | parameters))


PROJECTION = unit_rows(SIZE, SIZE, 31)
"""Weight of the image projection, which has no bias."""

PATCHES = 6
"""Patch tokens of an image."""


def kinds(features: torch.Tensor) -> dict[str, torch.Tensor]:
    """What else methods read of images with features ``(n, v, d)``."""
    tokens = F.normalize(features[:, :, None] + 0.3 * unit_rows(PATCHES, SIZE, 32), dim=3)
    return {"preprojection": torch.linalg.solve(PROJECTION.T, features[..., None])[..., 0], "tokens": tokens}


def seen(image: torch.Tensor) -> Images:
    """Images to score, with features ``(m, d)``."""
    return Images(image[:, None], _kinds=kinds(image[:, None]))


def labelled(image: torch.Tensor, label: torch.Tensor, captions: tuple[str | None, ...] | None = None) -> Support:
    """Images with features ``(n, v, d)`` and labels."""
    return Support(image, label, captions, _kinds=kinds(image))


@cache
def tower() -> Any:
    return make_tower("unit-clip")


@cache
def centres() -> torch.Tensor:
    """The centre of each class: between its prompts (an untrained tower has no common sense of them) and a random
    direction."""
    directions = [unit_rows(len(NAMES), SIZE, 5)]
    for template in (Template(), Template("a photo of a {name}.")):
        text = tower().encode([template.fill(name, NOUN) for name in NAMES])
        directions.append(F.normalize(text - text.mean(dim=0), dim=1))
    return F.normalize(sum(directions), dim=1)


def images(count: int, seed: int, views: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` images of each class, and labels."""
    label = torch.arange(len(NAMES)).repeat_interleave(count)
    noise = unit_rows(len(label) * views, SIZE, seed).reshape(len(label), views, SIZE)
    return F.normalize(centres()[label][:, None] + 0.5 * noise, dim=2), label


def make_task(
    shots: int = 4, views: int = 1, order: tuple[int, ...] | None = None, seed: int = 0, **change: Any
) -> Task:
    """A task; ``order`` is another order of the names (new position -> old position)."""
    tower().clear_cache()
    order = order or tuple(range(len(NAMES)))
    supports = []
    for number, (count, v) in enumerate([(shots, views), (2, 1)]):
        image, label = images(count, 10 + number, v)
        texts = [CAPTIONS[i % len(CAPTIONS)] for i in range(len(label))]
        captions = tuple(t and t.replace("{}", NAMES[y]) for t, y in zip(texts, label.tolist(), strict=True))
        position = torch.tensor([order.index(y) for y in range(len(NAMES))])
        supports.append(labelled(image, position[label], captions))
    values: dict[str, Any] = {
        "_names": tuple(NAMES[i] for i in order),
        "noun": NOUN,
        "text": tower(),
        "logit_scale": 20.0,
        "generator": torch.Generator().manual_seed(seed),
        "device": torch.device("cpu"),
        "shots": shots,
        "_unlabeled": Images(images(12, 20)[0]),
        "_ip": Support(unit_rows(12, SIZE, 21)[:, None], torch.arange(12) % len(IP)),
        "_ip_names": IP,
        "_clusters": len(NAMES),
        "_texts": {name: (f"a {name}.", f"one {name} seen from above.") for name in (*NAMES, *IP)},
        "_projection": lambda: (PROJECTION, None),
        "_support": supports[0],
        "_validation": supports[1],
    }
    return Task(**(values | change))
