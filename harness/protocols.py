"""The rules that pose tasks: ``clean-v1`` (default), ``paper-2025`` (the released code's draws, bit for bit), and three
without draws: ``clustering`` and ``clustering-2025`` (each side on its own), and ``discovery`` (both sides mixed). The
first two fit methods on the OOP side; with ``-ip`` or ``-both`` added to their name on the IP side, or on both.
``superclass`` asks for the superclasses of OOP images."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.errors import unknown_name
from harness.prompts import Template
from harness.types.cell import Decoding
from harness.types.feature_rule import FeatureRule
from harness.types.labels import UNREADABLE
from harness.types.manifest import Manifest, Pick
from harness.types.split import Item, Part, Side, Split, TrainOn, by_superclass, nfc

VAL_SHOTS = 4
"""At most so many validation images per class (protocol, section 3)."""

Scoring = Literal["names", "clusters", "mixed clusters"]
Parts = Mapping[Part, Split]
Picks = dict[Part, list[Item]]


class Protocol(ABC):
    """A rule that poses tasks.

    Attributes:
        id: its name in results; rows of different protocols never share a table.
        preset: the parameter preset that methods run with, if they have it.
        template: the prompt template.
        scoring: what is judged: the names that a method gives scored images, clusters of each side's, or clusters of
            all together.
        decoding: how image files become RGB: see ``harness.datasets.images.load_image``.
        features: how images become features.
        train_on: whose names and labelled images methods are fitted on.
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
    features = FeatureRule()
    train_on: TrainOn = "oop"

    def label_oop(self, parts: dict[Part, Split]) -> dict[Part, Split]:
        """The OOP side's parts with the names and labels that are asked for; raises DataError if they lack them."""
        return parts

    @abstractmethod
    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """The drawn items of the train and the val part, in the order of the draw."""

    def pick_sides(self, sides: Sequence[tuple[Split, Split]], shots: int, seed: int) -> list[Picks]:
        """The same for the train and val parts of each side that methods are fitted on, OOP first."""
        return [self.pick(train, val, shots, seed) for train, val in sides]

    def scored(self, sides: Mapping[Side, Parts], listed: Callable[[Side], Sequence[str]]) -> dict[str, Split]:
        """The images of each side that are scored: its test part, where it has one.

        Args:
            sides: ``oop`` and, where the data have it, ``ip``.
            listed: side -> the paths of all its images in the order of ``merged_mapping.json``; raises DataError.
        """
        return {side: parts["test"] for side, parts in sides.items() if parts["test"].items}


@dataclass(frozen=True)
class CleanV1(Protocol):
    """Nested draws: the k-shot set of a seed is contained in its 2k-shot set.

    Depends on (domain, side, seed) and on which images there are, not on their order in the split file. Every
    class is shuffled whole, so the number of shots does not change what is drawn first.
    """

    id: str = "clean-v1"
    train_on: TrainOn = "oop"

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """The first ``shots`` (train) and at most four (val) of every class's own shuffle."""
        picks: Picks = {}
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
class Superclass(CleanV1):
    """The superclasses of OOP images, as the release's ``USE_SUPERCLASS_F_ZS_TEST`` asks for them.

    Labels are those of ``superclass`` in the split file; draws are of ``clean-v1``, so many images per superclass. IP
    images are not scored: both sides share superclasses, so a joint vocabulary would have names twice.
    """

    id: str = "superclass"
    methods: tuple[str, ...] = ("zero_shot",)

    def label_oop(self, parts: dict[Part, Split]) -> dict[Part, Split]:
        """Superclasses in the place of classes."""
        return by_superclass(parts)

    def scored(self, sides: Mapping[Side, Parts], listed: Callable[[Side], Sequence[str]]) -> dict[str, Split]:
        """The OOP test part alone."""
        return {"oop": sides["oop"]["test"]}


@dataclass(frozen=True)
class Paper2025(Protocol):
    """The released code's draw: one generator seeded with the seed; train first, then val; not nested.

    Labels in order of first appearance in the split file; ``sample`` of k items, or all if there are fewer. Of both
    sides (``SUB_CLASSES`` is ``All`` in the release's ``FSNL/datasets``) the generator goes on from the OOP to the IP
    parts, as where the release has no pickle of an earlier draw. Images are decoded as there, too: neither turned by
    their EXIF orientation nor put on white.
    """

    id: str = "paper-2025"
    preset: str | None = "paper"
    train_on: TrainOn = "oop"
    decoding: Decoding = "plain"

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """The released code's picks, in its order."""
        return self._pick(random.Random(seed), train, val, shots)

    def pick_sides(self, sides: Sequence[tuple[Split, Split]], shots: int, seed: int) -> list[Picks]:
        """The same for several sides, by one generator."""
        generator = random.Random(seed)
        return [self._pick(generator, train, val, shots) for train, val in sides]

    def _pick(self, generator: random.Random, train: Split, val: Split, shots: int) -> Picks:
        picks: Picks = {}
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

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """Nothing."""
        return {"train": [], "val": []}


@dataclass(frozen=True)
class Discovery(Clustering):
    """Generalised category discovery (Vaze et al., CVPR 2022): the test images of both sides mixed, all unlabeled.

    They are clustered into as many clusters as there are classes of both sides; the labelled IP train images may be
    used, as the classes that are known.
    """

    id: str = "discovery"
    scoring: Scoring = "mixed clusters"


@dataclass(frozen=True)
class Clustering2025(Clustering):
    """Table 1 as the release's ``CMS/methods/kmeans_clustering_openclip_accuracy.py`` computes it.

    Of every class 5/6 of all its images are clustered, those that the release's seed 0 chooses; plain decoding and
    ImageNet's preprocessing; features are not divided by their length. The script prints the accuracy of each side
    clustered on its own, as here, and of clusters of both sides together; the release does not say which of the two
    Table 1 has. Its k-means is scikit-learn's with 10 starts and seed 42, and takes the images class by class: here no
    order tells the class, so the starts are others.
    """

    id: str = "clustering-2025"
    decoding: Decoding = "plain"
    features = FeatureRule("imagenet", unit_rows=False)

    def scored(self, sides: Mapping[Side, Parts], listed: Callable[[Side], Sequence[str]]) -> dict[str, Split]:
        """As ``split_dataset`` of the release's ``CMS/data/laion_beyond.py``: IP classes first, then the OOP classes.

        The generator goes on from class to class, so the choice of OOP images depends on the IP classes.
        """
        import numpy as np  # here, because a command's help does without

        generator, found = np.random.RandomState(0), {}
        order: tuple[Side, ...] = ("ip", "oop")
        for side in (side for side in order if side in sides):
            by_class: dict[str, list[str]] = {}
            for path in listed(side):
                by_class.setdefault(path.split("/")[1], []).append(path)
            for paths in by_class.values():
                generator.shuffle(paths)
            chosen = [path for paths in by_class.values() for path in paths[: int(len(paths) * (5 / 6))]]
            found[side] = _chosen(sides[side], chosen)
        return {side: found[side] for side in sides}


def _chosen(parts: Parts, paths: Sequence[str]) -> Split:
    """The images at some paths, of any part, as what is scored; one that is in no part has no label and is left out."""
    items = {nfc(item.path): item for split in parts.values() for item in split.items}
    return replace(parts["test"], items=tuple(items[path] for path in paths if path in items))


SIDES: tuple[TrainOn, ...] = ("ip", "both")
"""What a protocol that draws is offered for beside the OOP side."""

PROTOCOLS: Mapping[str, Protocol] = {
    p.id: p
    for p in (
        *(CleanV1(), Paper2025(), Clustering(), Clustering2025(), Discovery(), Superclass()),
        *(CleanV1(f"clean-v1-{side}", side) for side in SIDES),
        *(Paper2025(f"paper-2025-{side}", train_on=side) for side in SIDES),
    )
}


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
    protocol: Protocol,
    train: Split,
    val: Split,
    shots: int,
    seed: int,
    digests: Mapping[Path, str | None],
    more: Sequence[tuple[Split, Split]] = (),
) -> Manifest:
    """Draw the few-shot images of one domain.

    Args:
        protocol: the rule.
        train: the part that support images come from.
        val: the part that validation images come from.
        shots: images per class.
        seed: the draw's number.
        digests: file -> sha256 of its bytes, None for a file that cannot be read (it keeps its place in the draw).
        more: the same two parts of further sides; their labels follow.
    """
    sides = [(train, val), *more]
    drawn = protocol.pick_sides(sides, shots, seed)
    first = [sum(len(one.names) for one, _ in sides[:i]) for i in range(len(sides))]
    parts: tuple[Part, ...] = ("train", "val")
    picks = [
        Pick(
            part=part,
            path=nfc(item.path),
            label=item.label + before,
            sha256=digests.get(one.folder / item.path) or UNREADABLE,
        )
        for part in parts
        for (one, _), before, chosen in zip(sides, first, drawn, strict=True)
        for item in chosen[part]
    ]
    return Manifest(
        protocol=protocol.id,
        domain=train.domain,
        side="both" if more else train.side,
        shots=shots,
        seed=seed,
        names=tuple(name for one, _ in sides for name in one.names),
        picks=tuple(picks),
    )
