"""Zero-shot name learning (ZSNL): from unlabeled images to learned names, without a labelled pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from harness.hookspecs import hookimpl
from harness.matching import match
from harness.prompts import Template
from harness.types.discovery import Discovery
from harness.types.task import Needs, Pool, Support

from ._clusters import canonical, estimate, kmeans
from ._contrastive import symmetric_contrastive
from ._matched import assigned, sample_means
from ._names import Encode, NameEmbeddings, NameTuning
from ._naming import named_by_means, named_by_shares
from ._refined import shifted, whitening
from ._training import PAPER, Batch, Count, Whole
from ._ward import ward
from ._wordings import wordings

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class ZSNL(NameTuning):
    """Zero-shot name learning: cluster, match clusters and names, learn the names (Chen et al., CVPR 2025).

    1. Clusters of the pool, from many restarts. 2. Clusters and names are matched one-to-one, all restarts times all
    wordings of the names as one batch; the restart of greatest total similarity is kept. 3. Images are assigned to
    names by the evidence of all restarts and wordings: what share of an image's cluster a name takes, and whether they
    are matched (or by optimal transport; or as in the paper, by the clusters that fit best, whose means are matched
    with the protocol's prompts). Where names tell nothing the shares are alike, and what is left decides: near
    zero-shot's answer, averaged over a cluster. 4. Names are learned on the confident images with FSNL's loss (a).
    5. More rounds match and learn again, from the learned names.

    The preset ``paper`` has the steps of the released scripts that cluster by k-means. They cluster the images that
    they score, together with IP images and in a split of their own; here it is the OOP images that are scored. As they
    do, it matches the mean of at most 20 random images of a cluster with a plain prompt, by products that are not
    normalised; of an image only the unit row is stored, so that the products keep the lengths of the text alone. Not
    here are their image encoder trained by contrastive mean shift, and new crops of the images at every step: a pool
    has whole images. They draw the 16 images of a name at random, leave names without images out of the loss, and do
    not score images of such names.
    """

    needs = Needs(unlabeled=True, ip=True, clusters=True, vocabulary=True)
    paper = "Chen et al., CVPR 2025"
    presets = {  # noqa: RUF012
        "paper": PAPER
        | {"assign": "clusters", "known": "nothing", "shifts": 0, "restarts": 10, "confident": 16, "least": 20}
        | {"match_prompt": "a photo of a {name}", "match_normalised": False, "match_images": 20}
        | {"lr": None, "images_per_batch": 4, "epochs": 100, "views": 1, "pool": "test-unlabeled"}
    }

    pool: Pool = "train-unlabeled"
    """Whose images are clustered and learned from."""
    discover: Literal["kmeans", "ward"] = "kmeans"
    """k-means from many starts, or Ward's merging."""
    known: Literal["metric", "classes", "nothing"] = "metric"
    """What the labelled IP images are for: the metric in which their classes are narrow; beside it, classes that are
    known (semi-supervised k-means; Ward's merging cut where K clusters are free of them); or nothing."""
    shifts: Whole = 3
    """Steps of mean shift before images are clustered."""
    count: Literal["given", "estimated"] = "given"
    """The number of clusters: that of the pool's classes, or by silhouette."""
    restarts: Count = 20
    """Clusterings from different random starts."""
    assign: Literal["evidence", "transport", "clusters"] = "evidence"
    """How images get names: by the evidence of all clusterings, by optimal transport, or by the best clustering."""
    match_prompt: str | None = None
    """With ``clusters``: the prompt, around ``{name}``, that clusters are matched with; None is the protocol's."""
    match_normalised: bool = True
    """With ``clusters``: whether means and prompts are matched as unit rows, or as they are."""
    match_images: Count | None = None
    """With ``clusters``: random images of each cluster that its mean is taken of; None takes all."""
    confident: Count | None = None
    """Images of each name to learn from: those of greatest confidence, or all."""
    least: Count = 1
    """Images that a name must have to be learned from them; one of fewer is among those that are told apart from it."""
    images_per_batch: Count | None = None
    """A batch holds this times as many images as there are names to learn; None takes all of them."""
    epochs: Whole = 30
    rounds: Count = 1
    """At most; it ends when no image changes its name."""

    def __post_init__(self) -> None:
        if self.match_prompt is not None:
            Template(self.match_prompt)  # refuses what is none
        if self.known == "nothing" or self.count == "estimated":
            self.needs = replace(self.needs, ip=self.known != "nothing", clusters=self.count == "given")

    def fit(self, task: Task) -> Self:
        """Discover, match, assign, learn."""
        self.task_ = task
        order = canonical(task.unlabeled)  # so that the order of the pool can mean nothing
        pool, back = task.unlabeled[order], torch.argsort(order)
        self.names_ = NameEmbeddings(task.names, task, self.length, self.init)
        as_in_paper = self.assign == "clusters"
        spoken = wordings(task.names, task.template, task.hint)[: 1 if as_in_paper else None]
        texts = torch.stack([task.text.encode(prompts) for prompts in spoken])
        self.text_ = texts[0]
        cluster, k = self._discovered(task, pool)
        self.outcome_: dict[str, Any] = {"clusters": k, "rounds": []}
        before = None
        for _ in range(self.rounds):
            if as_in_paper:
                named = named_by_means(pool, cluster[0], k, self._matching(task, pool, cluster[0], k))
            else:
                named = named_by_shares(pool, cluster, k, texts, task.logit_scale, self.assign == "transport")
            self.found_ = Discovery(named.found.cluster[back], named.found.name)
            moved = int((named.name != (named.matched if before is None else before)).sum())
            chosen = self._confident(named.name, named.confidence)
            sure = named.confidence[named.name >= 0]
            confidence = round(float(sure.mean()), 4) if len(sure) else 0.0
            self.outcome_["rounds"].append(
                named.told | {"confidence": confidence, "moved": moved, "images": len(chosen)}
            )
            if len(chosen) == 0 or (moved == 0 and len(self.outcome_["rounds"]) > 1):
                break
            self._learn_names(task, pool[chosen], named.name[chosen])
            texts, before = self.text_[None], named.name
        return self

    def discovery(self) -> Discovery:
        """The best restart's clusters with their names; with optimal transport, the images of every name."""
        return self.found_

    def outcome(self) -> dict[str, Any]:
        """Clusters, and for every round the matching, the confidence and the images that changed their name."""
        return self.outcome_

    def _discovered(self, task: Task, pool: Tensor) -> tuple[Tensor, int]:
        """Clusters ``(r, n)`` and their number."""
        seen, label = pool, torch.zeros(0, dtype=torch.long, device=pool.device)
        known = pool[:0]
        if self.known != "nothing":
            whitened = whitening(task.ip)
            seen = whitened(pool)
            if self.known == "classes":
                known, label = whitened(task.ip.image[:, 0]), task.ip.label
        seen = shifted(seen, self.shifts)

        def cluster(k: int) -> Tensor:
            if self.discover == "ward":
                return ward(seen, k, known, label)
            return kmeans(seen, k, self.restarts, task.generator, Support(known[:, None], label))

        k = task.clusters if self.count == "given" else estimate(seen, len(task.names), cluster)
        return cluster(k), k

    def _matching(self, task: Task, pool: Tensor, cluster: Tensor, k: int) -> Tensor:
        """Names ``(k,)`` of the clusters by their means: of the learned prompts from the second round on."""
        centre, text = sample_means(pool, cluster, k, self.match_images, task.generator), self.text_
        if not self.outcome_["rounds"] and (self.match_prompt is not None or not self.match_normalised):
            template = task.template if self.match_prompt is None else Template(self.match_prompt)
            prompts = [template.fill(name, task.hint) for name in task.names]
            text = task.text.encode(prompts)
            if not self.match_normalised:
                text = text * task.text.norms(prompts)[:, None]
        return match(centre, text).columns if self.match_normalised else assigned(centre @ text.T)

    def _confident(self, named: Tensor, confidence: Tensor) -> Tensor:
        """Positions of the most confident images of every name."""
        chosen = []
        for name in named[named >= 0].unique():
            own = torch.nonzero(named == name)[:, 0]
            if len(own) >= self.least:
                chosen.append(own[torch.argsort(confidence[own], descending=True, stable=True)[: self.confident]])
        return torch.cat(chosen) if chosen else named[:0]

    def _learn_names(self, task: Task, image: Tensor, label: Tensor) -> None:
        every, known = torch.arange(len(task.names)), label.cpu()

        def loss(batch: Batch, encode: Encode) -> Tensor:
            return symmetric_contrastive(batch.image, encode(), known[batch.index], every, task.logit_scale)

        batch = self.images_per_batch and self.images_per_batch * len(known.unique())
        self.learn(task, loss, batch, Support(image[:, None], label))


@hookimpl
def harness_method() -> type[ZSNL]:
    """Return the method."""
    return ZSNL
