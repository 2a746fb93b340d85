"""DendroMap: the tree of a side's image features, with how often the images of each leaf were named wrongly.

After Bertucci et al. (IEEE TVCG 2022), who draw the dendrogram of a data set as a treemap to find groups of images with
high error. The tree is that of ``harness.metrics.feature_tree``, which each cell stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from harness.metrics.compute import Vectors
from harness.metrics.prediction_kinds import LEVELS
from harness.results.artifacts import Artifacts, MissingArtifact
from harness.site.classes import Place
from harness.types.leaderboard import DomainRecord, Row


def dendromaps(row: Row, artifacts: Artifacts, place: Place) -> dict[str, dict[str, Any]]:
    """Domain -> side -> ``leaves`` and ``wrong`` of the leaves of its tree that have images.

    ``leaves`` is the place of what all methods share: ``levels``, and of each leaf its ``path`` in the tree, the number
    of its ``images``, and of its most frequent class the label and the number of images. ``wrong`` is how many tenths
    of a percent of the images of each leaf were named wrongly among the names of the side, over all seeds. Sides whose
    predictions or trees are not stored have none.
    """
    found: dict[str, dict[str, Any]] = {}
    for domain in row.domains:
        data = row.data[domain]
        try:
            stored = [artifacts.predictions(digest) for digest in filter(None, data.predictions.values())]
        except MissingArtifact:
            continue
        sides = {side: _side(data, artifacts, stored, side, place) for side in row.per_class.get(domain, {})}
        found[domain] = {side: made for side, made in sides.items() if made is not None}
    return {domain: sides for domain, sides in found.items() if sides}


def _side(
    data: DomainRecord, artifacts: Artifacts, stored: Sequence[Vectors], side: str, place: Place
) -> dict[str, Any] | None:
    try:
        label = artifacts.labels(data.fingerprint, side, data.unreadable)
    except MissingArtifact:
        return None
    key = f"{side}_leaf"
    if not stored or any(len(one.get(kind, ())) != len(label) for one in stored for kind in (side, key)):
        return None
    leaf = stored[0][key]
    if leaf.max() >= 2**LEVELS:
        return None
    wrong = np.mean([np.bincount(leaf, one[side] != label) for one in stored], axis=0)
    leaves = _leaves(leaf.tobytes(), label.tobytes())
    return {
        "leaves": place({"levels": LEVELS, "leaves": leaves}),
        "wrong": [round(1000 * wrong[path] / images) for path, images, _, _ in leaves],
    }


@lru_cache(maxsize=64)  # the rows of one leaderboard have the same trees
def _leaves(leaf: bytes, label: bytes) -> list[list[int]]:
    """Of each leaf that has images its path, their number, and their most frequent label with its number of images.

    Args:
        leaf: of each image, as 64-bit numbers.
        label: of each image, likewise.
    """
    of, label_of = (np.frombuffer(numbers, dtype=np.int64) for numbers in (leaf, label))
    counts = np.zeros((int(of.max()) + 1, int(label_of.max()) + 1), dtype=np.int64)
    np.add.at(counts, (of, label_of), 1)
    images, most = counts.sum(axis=1), counts.argmax(axis=1)
    there = np.flatnonzero(images)
    return [[int(x) for x in (path, images[path], most[path], counts[path, most[path]])] for path in there]
