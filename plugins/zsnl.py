"""Zero-shot name learning (ZSNL): learn names from unlabeled images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F

from harness.device import to_device
from harness.hookspecs import hookimpl
from harness.matching import match
from harness.prompts import Template
from harness.types.discovery import Discovery
from harness.types.paper import LAION_BEYOND
from harness.types.task import Needs, Pool, Support

from ._cluster_matching import assign_names, sample_means
from ._clustering import canonical_order, estimate_cluster_count, kmeans
from ._contrastive import symmetric_contrastive
from ._feature_transforms import mean_shift, whitening
from ._name_evidence import name_evidence
from ._name_tuning import Encode, NameEmbeddings, NameTuning
from ._pseudo_labels import pseudo_labels_from_clusters, pseudo_labels_from_evidence
from ._purity import known_purity, restart_agreement
from ._training import PAPER, Batch, NonNegativeInt, PositiveInt
from ._vocabulary import zero_shot_text
from ._ward import ward

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class ZSNL(NameTuning):
    """Zero-shot name learning: cluster, match clusters and names, learn the names (Chen et al., CVPR 2025).

    1. Cluster the pool, with many restarts. 2. Match clusters and names one-to-one, all restarts in one batch. 3. Move
    zero-shot's posterior of the names by the evidence of the clusters, as far as names and clusters agree and clusters
    are pure (`_name_evidence`, `_purity`). If the names tell nothing it stays zero-shot's. 4. Learn the names by
    cross-entropy with the posterior: where it is zero-shot's own, nothing is learned. (As in the paper: the best
    clusters' means are matched with the protocol's prompts, and FSNL's loss (a) learns from their images.)

    The preset ``paper`` follows the released scripts that cluster by k-means. They cluster the images that they score,
    together with IP images and in a separate split; here the pool is the scored OOP images. As in the scripts, the mean
    of at most 20 random images of a cluster is matched with a plain prompt by unnormalised products; image features are
    stored normalised, so only the lengths of the text features enter. Not implemented: their image encoder trained by
    contrastive mean shift, and new crops at every step. They draw the 16 images of a name at random, leave names
    without images out of the loss, and do not score images of such names.
    """

    needs = Needs(unlabeled=True, ip=True, clusters=True, vocabulary=True)
    paper = LAION_BEYOND
    presets = {  # noqa: RUF012
        "paper": PAPER
        | {"assign": "clusters", "known": "nothing", "shifts": 0, "restarts": 10, "confident": 16, "least": 20}
        | {"match_prompt": "a photo of a {name}", "match_normalised": False, "match_images": 20}
        | {"lr": None, "images_per_batch": 4, "epochs": 100, "views": 1, "pool": "test-unlabeled"}
    }

    pool: Pool = "train-unlabeled"
    """Pool of unlabeled images."""
    discover: Literal["kmeans", "ward"] = "kmeans"
    """Clustering algorithm: k-means with restarts, or Ward."""
    known: Literal["metric", "classes", "nothing"] = "metric"
    """Use of the labelled IP images: whitening by their within-class covariance, and the purity of their clusters
    (``metric``); also as known classes in semi-supervised k-means, or in Ward cut at K other clusters (``classes``); or
    none."""
    shifts: NonNegativeInt = 3
    """Mean-shift steps before clustering."""
    count: Literal["given", "estimated"] = "given"
    """Number of clusters: that of the pool's classes, or estimated by silhouette."""
    restarts: PositiveInt = 20
    """Restarts of k-means."""
    assign: Literal["evidence", "clusters"] = "evidence"
    """Rule that assigns images to names: the posterior of step 3, or as in the paper."""
    match_prompt: str | None = None
    """With ``assign=clusters``: prompt with ``{name}`` that clusters are matched with; None: the protocol's."""
    match_normalised: bool = True
    """With ``assign=clusters``: match unit rows, or unnormalised means and prompts."""
    match_images: PositiveInt | None = None
    """With ``assign=clusters``: random images per cluster in its mean; None: all."""
    confident: PositiveInt | None = None
    """Images per name to learn from, the most confident first; None: all."""
    least: PositiveInt = 1
    """Minimum images of a name to learn from; names with fewer serve as negatives only."""
    images_per_batch: PositiveInt | None = None
    """Batch size per name to learn; None: all images in one batch."""
    epochs: NonNegativeInt = 30
    rounds: PositiveInt = 4
    """Maximum number of matchings; a further one follows only if clusters are pure and the names hold most of them."""

    def __post_init__(self) -> None:
        if self.match_prompt is not None:
            Template(self.match_prompt)  # raises if invalid
        if self.known == "nothing" or self.count == "estimated":
            self.needs = replace(self.needs, ip=self.known != "nothing", clusters=self.count == "given")

    def fit(self, task: Task) -> Self:
        """Cluster, match, assign, learn."""
        self.task_ = task
        order = canonical_order(task.unlabeled.features[:, 0])  # results do not depend on the order of the pool
        pool, back = task.unlabeled.features[order, 0], torch.argsort(order)
        self.names_ = NameEmbeddings(task.names, task, self.length, self.init)
        self.text_ = zero_shot_text(task, task.vocabulary)
        cluster, k = self._cluster(task, pool)
        if self.assign == "clusters":
            learn = self._learn_labels
            named = pseudo_labels_from_clusters(pool, cluster[0], k, self._matching(task, pool, cluster[0], k))
        else:
            learn = self._learn_posterior
            logits, purity = task.logit_scale * pool @ self.text_.T, self._purity(task, cluster)
            named = pseudo_labels_from_evidence(cluster, k, name_evidence(logits, cluster, k, purity, self.rounds))
        self.found_ = Discovery(named.found.cluster[back], named.found.name)
        chosen = self._confident(named.name, named.confidence)
        self.outcome_ = {"clusters": k, "images": len(chosen)} | named.summary
        if len(chosen):
            learn(task, Support(pool[chosen][:, None], named.name[chosen]), named.posterior[chosen])
        return self

    def discovery(self) -> Discovery:
        """The best restart's clusters and their names."""
        return self.found_

    def outcome(self) -> dict[str, Any]:
        """Number of clusters and of images to learn from, purity, and the matching of the clusters."""
        return self.outcome_

    def _cluster(self, task: Task, pool: Tensor) -> tuple[Tensor, int]:
        """Clusters ``(r, n)`` and their number."""
        features, label = pool, torch.zeros(0, dtype=torch.long, device=pool.device)
        known = pool[:0]
        if self.known != "nothing":
            whitened = whitening(task.ip)
            features = whitened(pool)
            if self.known == "classes":
                known, label = whitened(task.ip.features[:, 0]), task.ip.label
        features = mean_shift(features, self.shifts)

        def cluster(k: int) -> Tensor:
            if self.discover == "ward":
                return ward(features, k, known, label)
            return kmeans(features, k, self.restarts, task.generator, Support(known[:, None], label))

        k = task.clusters if self.count == "given" else estimate_cluster_count(features, len(task.names), cluster)
        return cluster(k), k

    def _purity(self, task: Task, cluster: Tensor) -> float:
        found = known_purity(task.ip, self.shifts, task.generator) if self.known != "nothing" else None
        return restart_agreement(cluster) if found is None else found

    def _matching(self, task: Task, pool: Tensor, cluster: Tensor, k: int) -> Tensor:
        """Names ``(k,)`` of the clusters, by their means."""
        centre, text = sample_means(pool, cluster, k, self.match_images, task.generator), self.text_
        if self.match_prompt is not None or not self.match_normalised:
            template = task.template if self.match_prompt is None else Template(self.match_prompt)
            prompts = [template.fill(name, task.noun) for name in task.names]
            text = task.text.encode(prompts)
            if not self.match_normalised:
                text = text * task.text.norms(prompts)[:, None]
        return match(centre, text).columns if self.match_normalised else assign_names(centre @ text.T)

    def _confident(self, named: Tensor, confidence: Tensor) -> Tensor:
        """Positions of the most confident images of every name."""
        chosen = []
        for name in named[named >= 0].unique():
            own = torch.nonzero(named == name)[:, 0]
            if len(own) >= self.least:
                chosen.append(own[torch.argsort(confidence[own], descending=True, stable=True)[: self.confident]])
        return torch.cat(chosen) if chosen else named[:0]

    def _learn_labels(self, task: Task, images: Support, posterior: Tensor) -> None:
        every, known = torch.arange(len(task.names)), images.label.cpu()

        def loss(batch: Batch, encode: Encode) -> Tensor:
            return symmetric_contrastive(batch.image, encode(), known[batch.index], every, task.logit_scale)

        self.learn(task, loss, self._batch(images), images)

    def _learn_posterior(self, task: Task, images: Support, posterior: Tensor) -> None:
        def loss(batch: Batch, encode: Encode) -> Tensor:
            target = posterior[to_device(batch.index, task.device)]
            return F.cross_entropy(task.logit_scale * batch.image @ encode().T, target)

        self.learn(task, loss, self._batch(images), images)

    def _batch(self, images: Support) -> int | None:
        return self.images_per_batch and self.images_per_batch * len(images.label.unique())


@hookimpl
def harness_method() -> type[ZSNL]:
    """Return the method."""
    return ZSNL
