"""Cells that are scored by clusters: of each side's images (Table 1), or of both sides' images mixed."""

from __future__ import annotations

import numpy as np

from harness.errors import MethodError, NotApplicable
from harness.metrics.compute import compute_metrics
from harness.metrics.prediction_kinds import Columns, cluster_key
from harness.metrics.table import metrics_of
from harness.prompts import Template
from harness.runner.cell_input import CellInput, TaskInput
from harness.runner.cell_output import CellOutput
from harness.runner.cell_scores import CellScores
from harness.runner.chosen_method import ChosenMethod
from harness.runner.feature_provider import FeatureProvider
from harness.runner.hidden_order import HiddenOrder
from harness.runner.job import Job
from harness.runner.pack_images import ImagePacker
from harness.runner.task_input import known_images, seed_of, sentences

GIVEN = frozenset({"unlabeled", "clusters", "vocabulary", "texts", "preprojection", "tokens", "pixels", "model"})
"""What a method may need here: the images, and the number and names of their classes."""

KNOWN = frozenset({"ip"})
"""What it may also need if sides are mixed: images of the known classes."""

Sides = tuple[str, ...]


class ClusteredCell:
    """What the process of a cell gets, a task for each group of sides, and what follows from its answer.

    Attributes:
        input: for the process.
        unreadable: images that could not be decoded.

    Raises:
        NotApplicable: the method needs more than it is given, or there is no side to mix with.
    """

    def __init__(self, job: Job, template: Template, provider: FeatureProvider, packer: ImagePacker) -> None:
        self._job, self._mixed = job, job.scoring == "mixed clusters"
        _require_fitting(job.method, job.spec.method.name, GIVEN | KNOWN if self._mixed else GIVEN)
        scored = provider.scored(job.spec.domain)
        if self._mixed and "ip" not in scored:
            raise NotApplicable("the data have no IP images to mix with the OOP images")
        self.unreadable = frozenset(path for features in scored.values() for path in features.unreadable)
        self._label = {side: features.label.cpu().numpy() for side, features in scored.items()}
        self._names = {side: len(split.names) for side, split in provider.domains[job.spec.domain].scored.items()}
        self._groups: list[Sides] = [tuple(scored)] if self._mixed else [(side,) for side in scored]
        self._orders = [
            HiddenOrder.of(job.spec, [digest for side in sides for digest in scored[side].sha256], "+".join(sides))
            for sides in self._groups
        ]
        tasks = (
            _task(sides, order, job, template, provider, packer)
            for sides, order in zip(self._groups, self._orders, strict=True)
        )
        self.input = CellInput(job.method.choice, job.spec.seed, tuple(tasks))

    def scores(self, output: CellOutput) -> CellScores:
        """Metrics and artifacts of the answer.

        Raises:
            ValueError: a cluster is not a vector of whole numbers.
            NotApplicable: the method finds no clusters.
            MethodError: its clusters are not of these images.
        """
        reports = output.report.fits
        clusters = {side: cluster for i in range(len(self._groups)) for side, cluster in self._clusters(output, i)}
        predictions = {cluster_key(side, self._mixed): cluster for side, cluster in clusters.items()}
        remarks = [remark for report in reports for remark in report.remarks]
        metrics = metrics_of(self._job.spec.versions)
        return CellScores(
            metrics=compute_metrics(predictions, self._label, self._names, metrics, remarks.append),
            predictions=predictions,
            images={side: len(label) for side, label in self._label.items()},
            outcome={"+".join(sides): one.outcome for sides, one in zip(self._groups, reports, strict=True)},
            remarks=tuple(remarks),
        )

    def _clusters(self, output: CellOutput, number: int) -> list[tuple[str, Columns]]:
        """The clusters of a task's images, by side."""
        name, sides, order = self._job.spec.method.name, self._groups[number], self._orders[number]
        if f"cluster.{number}" not in output.arrays:
            raise NotApplicable(f"{name} reports no clusters", "return them from Method.discovery")
        cluster = output.array(f"cluster.{number}")
        if len(cluster) != len(order.position) or cluster.min() < 0:
            raise MethodError(f"{name}.discovery must give every one of {len(order.position)} images a cluster")
        ends = np.cumsum([len(self._label[side]) for side in sides])
        return list(zip(sides, np.split(order.restore(cluster), ends[:-1]), strict=True))


def _require_fitting(method: ChosenMethod, name: str, given: frozenset[str]) -> None:
    if more := sorted({*method.needs.declared()} - given):
        gives = "unlabeled images and their classes" + (", and known IP images" if "ip" in given else "")
        raise NotApplicable(f"{name} needs {', '.join(more)}; the protocol gives {gives}")
    if not method.needs.unlabeled:
        raise NotApplicable(f"{name} sees no images; the protocol asks for clusters of them")


def _task(
    sides: Sides, order: HiddenOrder, job: Job, template: Template, provider: FeatureProvider, packer: ImagePacker
) -> TaskInput:
    """What the method may see of some sides: the images without labels, and what else it needs."""
    spec, needs = job.spec, job.method.needs
    data, scored = provider.domains[spec.domain], provider.scored(spec.domain)
    splits = [data.scored[side] for side in sides]
    names = tuple(dict.fromkeys(name for split in splits for name in split.names))
    known = provider.pool(spec.domain, "ip") if needs.ip else None
    return TaskInput(
        seed_of(f"{spec.domain}/{'+'.join(sides)}/{spec.seed}"),
        data.noun,
        template,
        names=names if needs.includes("vocabulary") else None,
        unlabeled=packer.pool([scored[side] for side in sides], order.position),
        ip=None if known is None else known_images(known, packer.pool([known])),
        ip_names=None if known is None else data.ip_names,
        clusters=sum(len({item.label for item in split.items}) for split in splits) if needs.clusters else None,
        texts=sentences(job, data),
        model=needs.model,
        projection=needs.preprojection,
    )
