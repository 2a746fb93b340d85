"""Zero-shot name learning (ZSNL): from unlabeled images to learned names, without a labelled pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import Register, hookimpl
from harness.prompts import Template
from harness.types.discovery import Discovery
from harness.types.task import Needs, Pool, Support

from ._balanced import balanced, sinkhorn
from ._clusters import canonical, estimate, kmeans, means, ward, whitened
from ._contrastive import symmetric_contrastive
from ._matched import Matched, matched
from ._names import NameEmbeddings, NameTuning
from ._training import Batch

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task

WORDINGS = tuple(
    Template(text)
    for text in ("a photo of a {name}, a type of {hint}.", "a photo of a {name}.", "a picture of the {name}, a {hint}.")
)
"""Other prompts, beside the protocol's: a name that tells something tells it in other words too."""


FLOOR = 0.02
"""Share of votes that every name has."""


@dataclass
class ZSNL(NameTuning):
    """Zero-shot name learning: cluster, match clusters and names, learn the names (Chen et al., CVPR 2025).

    1. Clusters of the pool, from many restarts. 2. Clusters and names are matched one-to-one, all restarts times all
    wordings of the prompt as one batch; the restart of greatest total similarity is kept. 3. The gate: where a cluster
    is matched with another name as soon as the prompt is worded differently, names tell nothing, and the answer is
    zero-shot's. 4. Images are assigned to names: by the votes of all restarts and wordings with equal capacities, by
    optimal transport on text and prototype scores, or by the best restart's clusters. 5. Names are learned on the
    confident images with FSNL's loss (a). 6. More rounds match and learn again, from the learned names.
    """

    needs = Needs(unlabeled=True, ip=True, clusters=True)
    paper = "Chen et al., CVPR 2025"
    presets = {"paper": {"assign": "clusters", "agreement": 0.0, "restarts": 10, "confident": 16, "least": 20}}  # noqa: RUF012

    pool: Pool = "train-unlabeled"
    discover: Literal["kmeans", "ward", "semisupervised"] = "kmeans"
    """k-means; Ward's merging of mean-shifted features in the metric of the IP classes; or k-means beside the IP
    classes, in their metric."""
    count: Literal["given", "estimated"] = "given"
    """The number of clusters: that of the pool's classes, or by silhouette."""
    restarts: int = 20
    assign: Literal["votes", "transport", "clusters"] = "votes"
    agreement: float = 0.72
    """The gate: share of clusters that must keep their name when the prompt is worded differently."""
    confident: int = 16
    """Images of each name to learn from: those of greatest confidence."""
    least: int = 2
    """Images that a name must have to be learned."""
    epochs: int = 30
    rounds: int = 1
    """At most; it ends when no image changes its name."""

    def fit(self, task: Task) -> Self:
        """Discover, match, assign, learn."""
        self.task_ = task
        order = canonical(task.unlabeled)  # so that the order of the pool can mean nothing
        pool = task.unlabeled[order]
        self.names_ = NameEmbeddings(task.names, task, self.length, self.init)
        wordings = [task.template, *WORDINGS]
        texts = torch.stack([task.text.encode([w.fill(n, task.hint) for n in task.names]) for w in wordings])
        self.text_ = texts[0]
        cluster, k = self._discovered(task, pool)
        found = matched(pool, cluster, k, texts, task.logit_scale)
        self.outcome_: dict[str, Any] = {
            "clusters": k,
            "sizes": torch.bincount(cluster[found.best], minlength=k).tolist(),
            "restart": found.best,
            "agreement": round(found.agreement, 4),
            "learned": found.agreement >= self.agreement,
            "rounds": [],
        }
        back, before = torch.argsort(order), found.name[cluster[found.best]]
        self.found_ = Discovery(cluster[found.best][back], found.name)
        if found.agreement < self.agreement:
            task.progress(1, 1)
            return self
        for step in range(self.rounds):
            if step:
                found = matched(pool, cluster, k, texts, task.logit_scale)
            named, confidence, discovered = self._assigned(task, pool, texts, cluster, found)
            self.found_ = Discovery(discovered.cluster[back], discovered.name)
            moved = int((named != before).sum())
            chosen = self._confident(named, confidence)
            self.outcome_["rounds"].append(
                {"moved": moved, "images": len(chosen), "matching": discovered.name.tolist()}
            )
            if len(chosen) == 0 or (moved == 0 and step > 0):
                break
            self._learn_names(task, pool[chosen], named[chosen])
            texts, before = self.text_[None], named
        return self

    def discovery(self) -> Discovery:
        """The last assignment, or the clusters where the gate was closed."""
        return self.found_

    def outcome(self) -> dict[str, Any]:
        """Clusters, the gate's agreement, and for every round the matching and the images that moved."""
        return self.outcome_

    def _discovered(self, task: Task, pool: Tensor) -> tuple[Tensor, int]:
        """Clusters ``(r, n)`` and their number."""
        known = task.ip
        seen = pool if self.discover == "kmeans" else whitened(pool, known)
        if self.discover == "semisupervised" and len(known.label):
            known = Support(whitened(known.image[:, 0], known)[:, None], known.label)

        def cluster(k: int) -> Tensor:
            if self.discover == "ward":
                return ward(seen, k)
            return kmeans(seen, k, self.restarts, task.generator, known if self.discover == "semisupervised" else None)

        k = task.clusters if self.count == "given" else estimate(seen, len(task.names), cluster)
        return cluster(k), k

    def _assigned(
        self, task: Task, pool: Tensor, texts: Tensor, cluster: Tensor, found: Matched
    ) -> tuple[Tensor, Tensor, Discovery]:
        """The name of each image, -1 for none, its confidence, and both as clusters; texts are ``(t, names, d)``."""
        if self.assign == "clusters":
            own = cluster[found.best]
            centre = means(pool, own[None], len(found.name))[0]
            return found.name[own], (pool * centre[own]).sum(dim=1), Discovery(own, found.name)
        if self.assign == "votes":
            plan = sinkhorn(torch.log(found.votes + FLOOR))
        else:
            plan = balanced(pool, task.logit_scale * pool @ F.normalize(texts.mean(dim=0), dim=1).T)
        confidence, named = plan.max(dim=1)
        return named, confidence, Discovery(named, torch.arange(plan.shape[1], device=pool.device))

    def _confident(self, named: Tensor, confidence: Tensor) -> Tensor:
        """Positions of the most confident images of every name."""
        chosen = []
        for name in named[named >= 0].unique():
            own = torch.nonzero(named == name)[:, 0]
            if len(own) >= self.least:
                chosen.append(own[torch.argsort(confidence[own], descending=True, stable=True)[: self.confident]])
        return torch.cat(chosen) if chosen else named[:0]

    def _learn_names(self, task: Task, image: Tensor, label: Tensor) -> None:
        every = torch.arange(len(task.names), device=task.device)

        def loss(batch: Batch, names: Tensor) -> Tensor:
            return symmetric_contrastive(batch.image, names, batch.label, every, task.logit_scale)

        self.learn(task, loss, None, Support(image[:, None], label))


@hookimpl
def harness_register_methods(register: Register) -> None:
    """Offer the method."""
    register("zsnl", ZSNL)
