"""The modality ("contrastive") gap between images and names, of each side, before and after names are learned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.floating]

MOST_PAIRED = 3000
"""Images whose pairs are compared, at most: every n-th, as images are in no order that says anything."""


class ModalityGap(NamedTuple):
    """Where the images of a side and its names are on the sphere.

    Attributes:
        distance: between the centroids.
        separability: balanced accuracy of the plane between them.
        alignment: mean squared distance of an image to its name.
        image_uniformity: of the images.
        name_uniformity: of the names; None for a single one.
    """

    distance: float
    separability: float
    alignment: float
    image_uniformity: float | None
    name_uniformity: float | None


def modality_gap(image: Reals, label: NDArray[np.integer], names: Reals) -> ModalityGap:
    """The report of a side, of unit rows of n images ``(n, d)``, their labels ``(n,)`` and k names ``(k, d)``.

    As in "It's Not a Modality Gap: Characterizing and Addressing the Contrastive Gap" (Fahim et al., 2024).
    """
    image, names = image.astype(np.float64), names.astype(np.float64)
    return ModalityGap(
        centroid_distance(image, names),
        linear_separability(image, label, names),
        alignment(image, label, names),
        uniformity(image[:: max(1, -(-len(image) // MOST_PAIRED))]),
        uniformity(names),
    )


def centroid_distance(image: Reals, names: Reals) -> float:
    """``|| mean x - mean t ||`` (Liang et al., NeurIPS 2022), from 0 to 2; lower is a smaller gap."""
    return float(np.linalg.norm(image.mean(axis=0) - names.mean(axis=0)))


def linear_separability(image: Reals, label: NDArray[np.integer], names: Reals) -> float:
    """Balanced accuracy of telling images from names by the plane midway between their centroids; 1/2 is no gap.

    The centroids are those of every other class, and the images and names of the other half are separated; the mean of
    both directions. One class alone is separated by its own centroids.
    """
    halves = [np.arange(len(names)) % 2 == half for half in (0, 1)] if len(names) > 1 else [np.ones(1, dtype=bool)] * 2
    found = []
    for fitted, tested in (halves, halves[::-1]):
        own = fitted[label] if fitted[label].any() else np.ones(len(label), dtype=bool)
        others = tested[label] if tested[label].any() else own
        a, b = image[own].mean(axis=0), names[fitted].mean(axis=0)
        above = [rows @ (a - b) > (a + b) @ (a - b) / 2 for rows in (image[others], names[tested])]
        found.append((above[0].mean() + (~above[1]).mean()) / 2)
    return float(np.mean(found))


def alignment(image: Reals, label: NDArray[np.integer], names: Reals) -> float:
    """``mean_i || x_i - t_{y_i} ||^2`` (Wang and Isola, ICML 2020), from 0 to 4; lower is better aligned."""
    return float(((image - names[label]) ** 2).sum(axis=1).mean())


def uniformity(rows: Reals) -> float | None:
    """``log mean_{i < j} exp(-2 || u_i - u_j ||^2)`` (Wang and Isola, ICML 2020); lower is more evenly spread.

    From about -4 for an even spread over a sphere of many dimensions to 0 for equal rows; None for a single row.
    """
    if len(rows) < 2:
        return None
    kernel = np.exp(-2 * np.maximum(2 - 2 * (rows @ rows.T), 0))
    return float(np.log(kernel[np.triu_indices(len(rows), 1)].mean()))
