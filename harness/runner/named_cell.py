"""Cells that are scored by names: a method predicts the name of every test image, on both sides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError
from harness.metrics.clusters import require_clusters
from harness.metrics.compute import accuracy_per_class, compute_metrics
from harness.metrics.prediction_kinds import Columns
from harness.metrics.table import metrics_of
from harness.prompts import Template
from harness.runner.best_columns import BestColumns
from harness.runner.cell_input import CellInput, Query
from harness.runner.cell_output import CellOutput
from harness.runner.cell_scores import CellScores
from harness.runner.feature_provider import FeatureProvider
from harness.runner.hidden_order import HiddenOrder
from harness.runner.job import Job
from harness.runner.kept_scores import SIDES, KeptScores
from harness.runner.pack_images import ImagePacker
from harness.runner.task_input import named_task, pool_order
from harness.types.vocabulary import Vocabulary


class NamedCell:
    """What the process of a cell gets, and what follows from its answer. Labels stay here.

    Attributes:
        input: for the process.
        unreadable: images that could not be decoded.

    Raises:
        NotApplicable: the protocol does not give what the method needs.
        DataError: the draw has no image of a part that the method needs.
    """

    def __init__(self, job: Job, template: Template, provider: FeatureProvider, packer: ImagePacker) -> None:
        self._job = job
        data, scored = provider.domains[job.spec.domain], provider.scored(job.spec.domain)
        task, lost = named_task(job, template, provider, packer)
        self.unreadable = frozenset(lost).union(*(features.unreadable for features in scored.values()))
        names = {side: split.names for side, split in data.scored.items()}
        own = {side: Vocabulary.of(data.noun, **{side: of_side}) for side, of_side in names.items()}
        joint = {"joint": Vocabulary.of(data.noun, oop=names["oop"], ip=names["ip"])} if "ip" in names else {}
        self._sha256 = [digest for features in scored.values() for digest in features.sha256]
        self._order = HiddenOrder.of(job.spec, self._sha256)
        self._scored = scored
        self._label = {side: features.label.cpu().numpy() for side, features in scored.items()}
        # The joint vocabulary first, and all images in every one: nothing tells the side of an image.
        images = packer.pool(list(scored.values()), self._order.position, job.method.test_views)
        query = Query(images, joint | {"oop": own["oop"]} | own)
        self._asked = {key: self._positions(key if job.method.needs.stream else "joint") for key in query.vocabularies}
        if job.method.needs.stream:
            query = replace(query, streams=self._asked)
        self.input = CellInput(job.method.choice, job.spec.seed, (task,), query)
        self._names = {side: len(of_side) for side, of_side in names.items()}
        self._zero_shot = provider.zero_shot(job.spec.domain, template)
        self._known = len(data.oop["test"].names)
        if job.method.needs.unlabeled:
            self._pool_order = pool_order(job, provider)
            self._pool_label = provider.pool(job.spec.domain, job.method.pool).label.cpu().numpy()

    def scores(self, output: CellOutput) -> CellScores:
        """Metrics and artifacts of the answer.

        Raises:
            ValueError: it is not an answer to this input.
            MethodError: its clusters are not of the pool's images.
        """
        (report,) = output.report.fits
        clusters, pool = self._discovered(output)
        predictions = self._predicted(output) | clusters
        if self._zero_shot is not None and "ip" in predictions:
            predictions["reference"] = self._zero_shot
        label, remarks = self._label | pool, list(report.remarks)
        metrics = metrics_of(self._job.spec.versions)
        return CellScores(
            metrics=compute_metrics(predictions, label, self._names, metrics, remarks.append),
            predictions=predictions,
            images={side: len(own) for side, own in self._label.items()},
            outcome=report.outcome,
            remarks=tuple(remarks),
            per_class=accuracy_per_class(predictions, label, self._names),
        )

    def _predicted(self, output: CellOutput) -> dict[str, Columns]:
        """Kind of predictions -> ``(n,)``; those of OOP names alone if others do not apply."""
        assert self.input.query is not None
        vocabularies = self.input.query.vocabularies
        wanted = list(vocabularies) if output.report.not_applicable is None else ["oop"]
        found: dict[str, Columns] = {}
        for key in wanted:
            kept = KeptScores.read(output.arrays, key, len(self._asked[key]), vocabularies[key])
            best = self._restored(key, self._chosen(key, kept.best))
            confidence = self._restored(key, kept.confidence)
            for side in self._label if key == "joint" else (key,):
                of_side = f"joint_{side}" if key == "joint" else side
                found |= {of_side: best[side], f"{of_side}_confidence": confidence[side]}
            if key == "joint":
                found |= self._of_both_sides(kept)
        return found | self._feature_groups([side for side in self._label if side in found])

    def _of_both_sides(self, kept: KeptScores) -> dict[str, Columns]:
        """The best name of each image's own side, and the rank of its margin, in the joint vocabulary."""
        rank = np.unique(kept.margin, return_inverse=True)[1]
        ranks = self._restored("joint", rank)
        own = {s: self._restored("joint", self._chosen("joint", c))[s] for s, c in zip(SIDES, kept.own, strict=True)}
        return {f"joint_{side}_own": own[side] for side in SIDES} | {f"{side}_margin": ranks[side] for side in SIDES}

    def _feature_groups(self, sides: Iterable[str]) -> dict[str, Columns]:
        """Groups of the scored images by their features, which no method decides."""
        groups = {side: self._scored[side].groups for side in sides}
        return {f"{side}_{kind}": own for side, of_side in groups.items() for kind, own in of_side.items()}

    def _positions(self, key: str) -> NDArray[np.int64]:
        """Where the images of a vocabulary are among those that are sent."""
        start = 0 if key in ("joint", "oop") else len(self._label["oop"])
        end = len(self._label["oop"]) if key == "oop" else len(self._sha256)
        return np.flatnonzero((self._order.position >= start) & (self._order.position < end))

    def _chosen(self, key: str, best: BestColumns) -> Columns:
        """The predicted column of every image that was asked for, in the order in which they were sent."""
        return best.choose([self._sha256[i] for i in self._order.position[self._asked[key]]])

    def _restored(self, key: str, values: NDArray[Any]) -> dict[str, Columns]:
        """Side -> values of its images in their own order, from those of all that were asked for; 0 for the others."""
        sent = np.zeros(len(self._sha256), dtype=np.int64)
        sent[self._asked[key]] = values
        return self._by_side(self._order.restore(sent))

    def _by_side(self, columns: Columns) -> dict[str, Columns]:
        ends = np.cumsum([len(label) for label in self._label.values()])
        return dict(zip(self._label, np.split(columns, ends[:-1]), strict=True))

    def _discovered(self, output: CellOutput) -> tuple[dict[str, Columns], dict[str, Columns]]:
        """The clusters that a method found in its pool and their names, and the pool's labels, which it never saw."""
        name = self._job.spec.method.name
        if "cluster.0" not in output.arrays:
            return {}, {}
        if not self._job.method.needs.unlabeled:
            raise MethodError(f"{name} reports clusters of a pool that it did not declare as a need")
        cluster, names = output.array("cluster.0"), output.array("name.0")
        if len(names) and not -1 <= names.min() <= names.max() < self._known:
            raise MethodError(f"{name}.discovery: names are 0 to {self._known - 1}, or -1 for a cluster without one")
        try:
            require_clusters(cluster, names, self._pool_label)
        except ValueError as error:
            raise MethodError(f"{name}.discovery: {error}", "one cluster per image of task.unlabeled") from None
        return {"pool_cluster": self._pool_order.restore(cluster), "cluster_name": names}, {"pool": self._pool_label}
