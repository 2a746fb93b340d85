"""The rules that pose tasks: ``clean-v1`` (default), ``paper-2025`` (the released code's draws, bit for bit), and
``clustering`` (no draws, no names)."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import unknown_name
from harness.prompts import Template
from harness.types.cell import Decoding
from harness.types.labels import UNREADABLE
from harness.types.manifest import Manifest, Pick
from harness.types.split import Item, Part, Split, nfc

VAL_SHOTS = 4
"""At most so many validation images per class (protocol, section 3)."""


Scoring = Literal["names", "clusters"]


class Protocol(ABC):
    """A rule that poses tasks.

    Attributes:
        id: its name in results; rows of different protocols never share a table.
        preset: the parameter preset that methods run with, if they have it.
        template: the prompt template.
        scoring: what is judged: the names that a method gives scored images, or clusters of them.
        decoding: how image files become RGB: see ``harness.datasets.images.load_image``.
        methods: what is run when no method is named.
        baseline: the method that is set beside the others, None for none.
    """

    id: str
    preset: str | None = None
    template = Template()
    scoring: Scoring = "names"
    decoding: Decoding = "upright-white"
    methods: tuple[str, ...] = ("fsnl",)
    baseline: str | None = "zero_shot"

    @abstractmethod
    def pick(self, train: Split, val: Split, shots: int, seed: int) -> dict[Part, list[Item]]:
        """The drawn items of the train and the val part, in the order of the draw."""


@dataclass(frozen=True)
class CleanV1(Protocol):
    """Nested draws: the k-shot set of a seed is contained in its 2k-shot set.

    Depends on (domain, side, seed) and on which images there are, not on their order in the split file. Every
    class is shuffled whole, so the number of shots does not change what is drawn first.
    """

    id: str = "clean-v1"

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> dict[Part, list[Item]]:
        """The first ``shots`` (train) and at most four (val) of every class's own shuffle."""
        picks: dict[Part, list[Item]] = {}
        generator = random.Random(f"{train.domain}/{train.side}/{seed}")
        wanted: list[tuple[Part, Split, int]] = [("train", train, shots), ("val", val, min(shots, VAL_SHOTS))]
        for part, split, count in wanted:
            picks[part] = []
            groups = split.by_label()
            for label in sorted(groups, key=lambda label: split.names[label]):
                items = sorted(groups[label], key=lambda item: nfc(item.path))
                generator.shuffle(items)
                picks[part] += items[:count]
        return picks


@dataclass(frozen=True)
class Paper2025(Protocol):
    """The released code's draw: one generator seeded with the seed; train first, then val; not nested.

    Labels in order of first appearance in the split file; ``sample`` of k items, or all if there are fewer. Images are
    decoded as there, too: neither turned by their EXIF orientation nor put on white.
    """

    id: str = "paper-2025"
    preset: str | None = "paper"
    decoding: Decoding = "plain"

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> dict[Part, list[Item]]:
        """The released code's picks, in its order."""
        generator = random.Random(seed)
        picks: dict[Part, list[Item]] = {}
        wanted: list[tuple[Part, Split, int]] = [("train", train, shots), ("val", val, min(shots, VAL_SHOTS))]
        for part, split, count in wanted:
            picks[part] = []
            for items in split.by_label().values():
                picks[part] += generator.sample(items, count) if len(items) >= count else items
        return picks


@dataclass(frozen=True)
class Clustering(Protocol):
    """The paper's Table 1: how well the test images of either side cluster, by their features alone.

    Every side is clustered on its own, into as many clusters as its test part has classes. There are no few-shot draws.
    """

    id: str = "clustering"
    scoring: Scoring = "clusters"
    methods: tuple[str, ...] = ("kmeans_naming",)
    baseline: str | None = None

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> dict[Part, list[Item]]:
        """Nothing."""
        return {"train": [], "val": []}


PROTOCOLS: Mapping[str, Protocol] = {p.id: p for p in (CleanV1(), Paper2025(), Clustering())}


def get(name: str, offered: Mapping[str, Protocol] | None = None) -> Protocol:
    """The protocol of that name, one of our own or of those that plugins offer.

    Raises:
        UserError: there is none; the hint names the nearest.
    """
    known = {**(offered or {}), **PROTOCOLS}
    if name not in known:
        raise unknown_name("protocol", name, known)
    return known[name]


def draw(
    protocol: Protocol, train: Split, val: Split, shots: int, seed: int, digests: Mapping[Path, str | None]
) -> Manifest:
    """Draw the few-shot images of one domain.

    Args:
        protocol: the rule.
        train: the part that support images come from.
        val: the part that validation images come from.
        shots: images per class.
        seed: the draw's number.
        digests: file -> sha256 of its bytes, None for a file that cannot be read (it keeps its place in the draw).
    """
    folders = {"train": train.folder, "val": val.folder}
    picks = [
        Pick(
            part=part,
            path=nfc(item.path),
            label=item.label,
            sha256=digests.get(folders[part] / item.path) or UNREADABLE,
        )
        for part, items in protocol.pick(train, val, shots, seed).items()
        for item in items
    ]
    return Manifest(
        protocol=protocol.id,
        domain=train.domain,
        side=train.side,
        shots=shots,
        seed=seed,
        names=train.names,
        picks=tuple(picks),
    )
