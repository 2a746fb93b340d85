"""Images named by what their clusters are matched with: one round of zero-shot name learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from harness.types.discovery import Discovery

from ._balanced import balanced
from ._clusters import means
from ._matched import matched

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Named:
    """The images of a pool with names.

    Attributes:
        matched: ``(n,)`` what an image's cluster is matched with, -1 for nothing.
        name: ``(n,)`` names of the images, -1 for none.
        confidence: ``(n,)`` in them.
        found: clusters and their names.
        told: of the matching, as plain JSON.
    """

    matched: Tensor
    name: Tensor
    confidence: Tensor
    found: Discovery
    told: dict[str, Any]


def named_by_means(pool: Tensor, cluster: Tensor, k: int, name: Tensor) -> Named:
    """The name of an image's cluster; confidence is the cosine with the cluster's mean.

    Args:
        pool: ``(n, d)`` images.
        cluster: ``(n,)`` clusters.
        k: clusters.
        name: ``(k,)`` their names, -1 for none.
    """
    centre = means(pool, cluster[None], k)[0]
    confidence = (pool * centre[cluster]).sum(dim=1)
    return Named(name[cluster], name[cluster], confidence, Discovery(cluster, name), _told(cluster, name))


def named_by_shares(
    pool: Tensor, cluster: Tensor, k: int, texts: Tensor, scale: float, transport: bool = False
) -> Named:
    """The likeliest name by the evidence of all restarts and wordings.

    Args:
        pool: ``(n, d)`` images.
        cluster: ``(r, n)`` clusters of every restart.
        k: clusters.
        texts: ``(t, names, d)`` of every wording.
        scale: of cosines.
        transport: the likeliest name by optimal transport instead.
    """
    found = matched(pool, cluster, k, texts, scale)
    own = cluster[found.best]
    if transport:
        plan = balanced(pool, scale * pool @ F.normalize(texts.mean(dim=0), dim=1).T)
        confidence, name = plan.max(dim=1)
        discovered = Discovery(name, torch.arange(plan.shape[1], device=pool.device))
    else:
        confidence, name = found.evidence.max(dim=1)
        of_cluster = F.one_hot(own, k).to(pool.dtype).T @ found.evidence
        discovered = Discovery(own, of_cluster.argmax(dim=1))
    told = {"restart": found.best, "agreement": round(found.agreement, 4), "margin": round(found.margin, 4)}
    return Named(found.name[own], name, confidence, discovered, told | _told(own, found.name))


def _told(cluster: Tensor, name: Tensor) -> dict[str, Any]:
    return {"sizes": torch.bincount(cluster, minlength=len(name)).tolist(), "matching": name.tolist()}
