"""Protocols without draws: cluster each side separately (the paper's Table 1), or both sides together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.protocols.protocol import Parts, Picks, Protocol, Scoring
from harness.types.cell import Decoding
from harness.types.feature_rule import FeatureRule
from harness.types.split import Side, Split, nfc


@dataclass(frozen=True)
class Clustering(Protocol):
    """The paper's Table 1: clustering of the test images of each side by their features.

    Each side is clustered separately, into as many clusters as its test part has classes, without few-shot draws.
    """

    id: str = "clustering"
    preset: str | None = "clusters"
    scoring: Scoring = "clusters"
    methods: tuple[str, ...] = ("kmeans_naming",)
    baseline: str | None = None

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """No images."""
        return {"train": [], "val": []}


@dataclass(frozen=True)
class DiscoveryProtocol(Clustering):
    """Generalised category discovery (Vaze et al., CVPR 2022): the test images of both sides together, all unlabeled.

    They are clustered into as many clusters as both sides have classes; the labelled IP train images are available as
    the known classes.
    """

    id: str = "discovery"
    scoring: Scoring = "mixed clusters"


@dataclass(frozen=True)
class Clustering2025(Clustering):
    """Table 1 as the release's ``CMS/methods/kmeans_clustering_openclip_accuracy.py`` computes it.

    Clusters 5/6 of the images of every class, chosen by the release's seed 0, with plain decoding, ImageNet's
    preprocessing and features that are not normalized. The script prints accuracies for each side clustered
    separately, as here, and for both sides together; the release does not say which of the two is Table 1. Its k-means
    is scikit-learn's with 10 starts and seed 42 on images sorted by class; here the order is independent of the class,
    so the starts differ.
    """

    id: str = "clustering-2025"
    decoding: Decoding = "plain"
    features = FeatureRule("imagenet", unit_rows=False)

    def scored(self, sides: Mapping[Side, Parts], list_images: Callable[[Side], Sequence[str]]) -> dict[str, Split]:
        """As ``split_dataset`` of the release's ``CMS/data/laion_beyond.py``: IP classes first, then the OOP classes.

        One generator serves all classes, so the choice of OOP images depends on the IP classes.
        """
        import numpy as np  # deferred: help texts do not need it

        generator, found = np.random.RandomState(0), {}
        order: tuple[Side, ...] = ("ip", "oop")
        for side in (side for side in order if side in sides):
            by_class: dict[str, list[str]] = {}
            for path in list_images(side):
                by_class.setdefault(path.split("/")[1], []).append(path)
            for paths in by_class.values():
                generator.shuffle(paths)
            chosen = [path for paths in by_class.values() for path in paths[: int(len(paths) * (5 / 6))]]
            found[side] = _select_paths(sides[side], chosen)
        return {side: found[side] for side in sides}


def _select_paths(parts: Parts, paths: Sequence[str]) -> Split:
    """The images of all parts at some paths, as the scored split; an image in no part has no label and is left out."""
    items = {nfc(item.path): item for split in parts.values() for item in split.items}
    return replace(parts["test"], items=tuple(items[path] for path in paths if path in items))
