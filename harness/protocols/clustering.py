"""Protocols without draws: cluster each side on its own (the paper's Table 1), or both sides mixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.protocols.protocol import Parts, Picks, Protocol, Scoring
from harness.types.cell import Decoding
from harness.types.feature_rule import FeatureRule
from harness.types.split import Side, Split, nfc


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
class DiscoveryProtocol(Clustering):
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
            found[side] = _select_paths(sides[side], chosen)
        return {side: found[side] for side in sides}


def _select_paths(parts: Parts, paths: Sequence[str]) -> Split:
    """The images at some paths, of any part, as what is scored; one that is in no part has no label and is left out."""
    items = {nfc(item.path): item for split in parts.values() for item in split.items}
    return replace(parts["test"], items=tuple(items[path] for path in paths if path in items))
