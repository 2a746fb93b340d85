"""Pseudo-labels of a pool: what the names are learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from harness.types.discovery import Discovery

from ._clustering import cluster_means
from ._name_evidence import NameEvidence

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PseudoLabels:
    """Names of the images of a pool.

    Attributes:
        name: ``(n,)`` the name of each image, -1 for none.
        confidence: ``(n,)`` confidence of ``name``.
        posterior: ``(n, names)`` probability of each name; empty if the names are decided by the clusters.
        found: clusters and their names.
        summary: of the matching, as plain JSON.
    """

    name: Tensor
    confidence: Tensor
    posterior: Tensor
    found: Discovery
    summary: dict[str, Any]


def pseudo_labels_from_clusters(pool: Tensor, cluster: Tensor, k: int, name: Tensor) -> PseudoLabels:
    """Label every image with the name of its cluster; confidence is the cosine with the cluster mean.

    Args:
        pool: ``(n, d)`` images.
        cluster: ``(n,)`` clusters.
        k: number of clusters.
        name: ``(k,)`` names of the clusters, -1 for none.
    """
    centre = cluster_means(pool, cluster[None], k)[0]
    confidence = (pool * centre[cluster]).sum(dim=1)
    posterior = pool.new_zeros(len(pool), 0)
    return PseudoLabels(name[cluster], confidence, posterior, Discovery(cluster, name), _summary(cluster, name))


def pseudo_labels_from_evidence(cluster: Tensor, k: int, found: NameEvidence) -> PseudoLabels:
    """Label every image with its most likely name; a cluster is named like most of the posterior of its images.

    Args:
        cluster: ``(r, n)`` clusters of every restart.
        k: number of clusters.
        found: posterior and matching of the same clusters.
    """
    own = cluster[found.best]
    confidence, name = found.posterior.max(dim=1)
    of_cluster = F.one_hot(own, k).to(found.posterior.dtype).T @ found.posterior
    discovered = Discovery(own, of_cluster.argmax(dim=1))
    summary = {"restart": found.best, "matchings": found.matchings, "purity": round(found.purity, 4)}
    summary |= {"weight": round(found.weight, 4), "share": round(found.share, 4)}
    return PseudoLabels(name, confidence, found.posterior, discovered, summary | _summary(own, found.name))


def _summary(cluster: Tensor, name: Tensor) -> dict[str, Any]:
    return {"sizes": cluster.bincount(minlength=len(name)).tolist(), "matching": name.tolist()}
