"""Purity of clusters without labels of their images: that of known classes, or the agreement of restarts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.types.task import Support

from ._clustering import kmeans
from ._feature_transforms import mean_shift, whitening

RESTARTS = 5
"""Restarts of k-means on the known classes."""


def same_label_rate(cluster: Tensor, label: Tensor) -> float:
    """Probability that two different images of a cluster have the same label; 0 if no cluster has two."""
    count = F.one_hot(cluster).double().T @ F.one_hot(label).double()
    pairs = float(count.sum(dim=1).square().sum()) - len(label)
    return (float(count.square().sum()) - len(label)) / pairs if pairs else 0.0


def known_purity(known: Support, shifts: int, generator: torch.Generator) -> float | None:
    """Purity of clusters of known classes; None for less than two classes.

    Half of the classes are clustered in the metric of the other half, and the other way round: the purity of classes
    that the metric has not seen.
    """
    classes = known.label.unique()
    halves = [torch.isin(known.label, half) for half in (classes[::2], classes[1::2])]
    if len(classes) < 2:
        return None
    found = []
    for own, other in (halves, halves[::-1]):
        image = mean_shift(whitening(known[other])(known.features[own, 0]), shifts)
        label = torch.unique(known.label[own], return_inverse=True)[1]
        found.append(same_label_rate(kmeans(image, int(label.max()) + 1, RESTARTS, generator)[0], label))
    return sum(found) / len(found)


def restart_agreement(cluster: Tensor) -> float:
    """Mean probability that two images of a cluster of the first restart share a cluster in another; 1/2 without one.

    Args:
        cluster: ``(r, n)`` clusters of every restart.
    """
    found = [same_label_rate(cluster[0], other) for other in cluster[1:]]
    return sum(found) / len(found) if found else 0.5
