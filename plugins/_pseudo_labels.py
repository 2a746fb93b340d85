"""Pseudo-labels of a pool from its clusters: one round of zero-shot name learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from harness.types.discovery import Discovery

from ._cluster_matching import match_clusters
from ._clustering import cluster_means
from ._sinkhorn import assign_balanced

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PseudoLabels:
    """Names of the images of a pool.

    Attributes:
        cluster_name: ``(n,)`` the name matched with each image's cluster, -1 for none.
        name: ``(n,)`` the name of each image, -1 for none.
        confidence: ``(n,)`` confidence of ``name``.
        found: clusters and their names.
        summary: of the matching, as plain JSON.
    """

    cluster_name: Tensor
    name: Tensor
    confidence: Tensor
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
    return PseudoLabels(name[cluster], name[cluster], confidence, Discovery(cluster, name), _summary(cluster, name))


def pseudo_labels_from_evidence(
    pool: Tensor, cluster: Tensor, k: int, texts: Tensor, scale: float, transport: bool = False
) -> PseudoLabels:
    """Label every image with its most likely name, by the evidence of all restarts and prompts.

    Args:
        pool: ``(n, d)`` images.
        cluster: ``(r, n)`` clusters of every restart.
        k: number of clusters.
        texts: ``(t, names, d)`` text features of every prompt.
        scale: scale of the cosines.
        transport: use optimal transport instead.
    """
    found = match_clusters(pool, cluster, k, texts, scale)
    own = cluster[found.best]
    if transport:
        plan = assign_balanced(pool, scale * pool @ F.normalize(texts.mean(dim=0), dim=1).T)
        confidence, name = plan.max(dim=1)
        discovered = Discovery(name, torch.arange(plan.shape[1], device=pool.device))
    else:
        confidence, name = found.evidence.max(dim=1)
        of_cluster = F.one_hot(own, k).to(pool.dtype).T @ found.evidence
        discovered = Discovery(own, of_cluster.argmax(dim=1))
    summary = {"restart": found.best, "agreement": round(found.agreement, 4), "margin": round(found.margin, 4)}
    return PseudoLabels(found.name[own], name, confidence, discovered, summary | _summary(own, found.name))


def _summary(cluster: Tensor, name: Tensor) -> dict[str, Any]:
    return {"sizes": torch.bincount(cluster, minlength=len(name)).tolist(), "matching": name.tolist()}
