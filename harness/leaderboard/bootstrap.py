"""Drawing images and seeds again: how far the figures of rows could have come out otherwise.

The same images are drawn for every row, because the draw depends on the data's fingerprint alone: so a row's replicates
do not depend on what else is in a table, two rows are always paired, and everything is the same on every machine. Seeds
are drawn within a domain (its few-shot draws are its own), the same for every row with the same seeds. Three seeds tell
little about the spread between seeds: intervals are honest about images, and a lower bound about seeds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from harness.leaderboard.resampling import bootstrap_metric, drawn_seeds, top1, worst_decile
from harness.metrics import best_naming, right_of_mixed
from harness.results.artifacts import Artifacts, MissingArtifact
from harness.results.predictions import Columns
from harness.types.leaderboard import Row

BATCH = 64
"""Rows whose replicates are worked out at once."""

Replicates = NDArray[np.float64]
"""One figure in every replicate: ``(REPLICATES,)``."""

MEAN = "mean"
"""In the place of a domain: the mean over the row's domains."""


@dataclass(frozen=True)
class Bootstrap:
    """Replicates of one metric.

    Attributes:
        metric: one of ``METRICS``.
        lacking: row id -> why it has no replicates.
        replicates: (row id, domain or ``mean``) -> the figure in every replicate.
    """

    metric: str
    lacking: dict[str, str]
    replicates: dict[tuple[str, str], Replicates]

    def of(self, row: Row, place: str) -> Replicates | None:
        """The replicates of a domain or of the mean; None where predictions are lacking or the row has a hole."""
        return self.replicates.get((row.id, place))


class BootstrapDraws:
    """What the replicates of several metrics rest on: predictions are read once, and the images drawn once, for all.

    Args:
        rows: of any setting.
        artifacts: what each of them rests on, in the same order.
        metrics: that replicates will be asked of.
    """

    def __init__(self, rows: Sequence[Row], artifacts: Sequence[Artifacts], metrics: Iterable[str]) -> None:
        self._rows = rows
        self._lacking: dict[str, dict[str, str]] = {metric: {} for metric in metrics}
        self._groups: dict[tuple[str, tuple[str, ...]], _Group] = {}
        known = [metric for metric in self._lacking if metric in NEEDED]
        for row, found in zip(rows, artifacts, strict=True):
            for domain, data in row.data.items():
                wanted = [metric for metric in known if metric in row.domains.get(domain, {})]
                if not wanted:
                    continue
                answers, lacking = _right(row, domain, found, {key for metric in wanted for key in NEEDED[metric]})
                group = self._groups.setdefault((data.fingerprint, data.unreadable), _Group(found))
                for metric in wanted:
                    why = next((lacking[key] for key in NEEDED[metric] if key in lacking), None)
                    if why is not None:
                        self._lacking[metric].setdefault(row.id, why)
                    else:
                        group.answers.setdefault((row.id, domain), {}).update({k: answers[k] for k in NEEDED[metric]})
                        group.owners.setdefault(metric, []).append((row.id, domain))
        for (fingerprint, unreadable), group in self._groups.items():
            group.bootstrap_metric(fingerprint, unreadable)

    def of(self, metric: str) -> Bootstrap:
        """The replicates of one of the metrics; if it is not in ``NEEDED`` there are none, and ``lacking`` says so."""
        if metric not in NEEDED:
            return Bootstrap(metric, {row.id: f"no interval is worked out for {metric}" for row in self._rows}, {})
        made = Bootstrap(metric, self._lacking[metric], {})
        for (fingerprint, _), group in self._groups.items():
            made.replicates.update(group.replicates(fingerprint, metric))
        for row in self._rows:
            every = [made.of(row, domain) for domain in row.domains]
            there = [replicates for replicates in every if replicates is not None]
            if metric in row.mean and len(there) == len(every):
                made.replicates[row.id, MEAN] = np.mean(there, axis=0)
        return made


Weighed = dict[str, dict[bytes, NDArray[np.floating]]]
"""Side -> answers -> their figure in every replicate."""

Answers = dict[str, dict[int, bytes]]
"""Key of the predictions -> seed -> whether each image was answered rightly: n bits."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "oop_top1": ("oop",),
    "oop_worst_decile": ("oop",),
    "ip_top1": ("ip",),
    "h_mean": ("oop", "ip"),
    "ip_retention": ("ip", "reference"),
    "joint_oop_top1": ("joint_oop",),
    "joint_ip_top1": ("joint_ip",),
    "joint_h_mean": ("joint_oop", "joint_ip"),
    "joint_top1": ("joint_oop", "joint_ip"),
    "ip_cluster_acc": ("ip_cluster",),
    "oop_cluster_acc": ("oop_cluster",),
    "cluster_gap": ("ip_cluster", "oop_cluster"),
    "all_cluster_acc": ("joint_oop_cluster", "joint_ip_cluster"),
    "old_cluster_acc": ("joint_ip_cluster",),
    "new_cluster_acc": ("joint_oop_cluster",),
}
"""Which predictions decide a metric. Clusters keep their best naming on all images in every replicate."""

WORST = "oop_worst_decile"
"""The one metric that is no combination of accuracies over images."""

SIDE: Mapping[str, str] = {
    **dict.fromkeys(("oop", "joint_oop", "oop_cluster", "joint_oop_cluster"), "oop"),
    **dict.fromkeys(("ip", "reference", "joint_ip", "ip_cluster", "joint_ip_cluster"), "ip"),
}
"""Whose images predictions are of."""

MIXED = ("joint_oop_cluster", "joint_ip_cluster")
"""Clusters of both sides together: one naming is the best for all of them."""


def _right(row: Row, domain: str, artifacts: Artifacts, keys: Collection[str]) -> tuple[Answers, dict[str, str]]:
    """The answers of every seed that has a result, and why those of a key are missing, damaged or do not fit."""
    found: Answers = {key: {} for key in keys}
    lacking: dict[str, str] = {}
    data = row.data[domain]
    failed = {f.seed for f in row.failures if f.domain == domain}
    try:
        oop_names = len(artifacts.sheet(data.fingerprint).sides["oop"].names)
        for seed in sorted(int(s) for s in data.manifests if int(s) not in failed):
            digest = data.predictions.get(str(seed))
            if digest is None:
                raise MissingArtifact(f"no predictions were kept for {domain}, seed {seed}")
            predicted, which = artifacts.predictions(digest), f"predictions {digest[:12]} of {domain}, seed {seed},"
            for key in found.keys() - lacking.keys():
                together = MIXED if key in MIXED else (key,)
                labels = {k: artifacts.labels(data.fingerprint, SIDE[k], data.unreadable) for k in together}
                if absent := [k for k in together if k not in predicted]:
                    lacking[key] = f"{which} lack {absent[0]}"
                elif any(len(labels[k]) != len(predicted[k]) for k in together):
                    lacking[key] = f"{which} do not fit the labels"
                else:
                    found[key][seed] = np.packbits(_hits(key, predicted, labels, oop_names)).tobytes()
    except MissingArtifact as missing:
        lacking = {**dict.fromkeys(keys, str(missing)), **lacking}
    return found, lacking


def _hits(
    key: str, predicted: Mapping[str, Columns], labels: Mapping[str, Columns], oop_names: int
) -> NDArray[np.bool_]:
    """Whether each image was answered rightly ``(n,)``."""
    if key in MIXED:
        clusters, of_sides = ({SIDE[k]: columns[k] for k in MIXED} for columns in (predicted, labels))
        return right_of_mixed(clusters, of_sides)[SIDE[key]]
    label = labels[key]
    named = best_naming(predicted[key], label) if key.endswith("cluster") else predicted[key]
    return np.asarray(named == label + (oop_names if key == "joint_ip" else 0))


@dataclass
class _Group:
    """Rows that were scored on the same data of one domain; a row is (row id, domain).

    Attributes:
        artifacts: of one of them, for the labels.
        answers: row -> its answers.
        owners: metric -> the rows that have replicates of it.
        images: side -> number of images.
        weighed: accuracy in every replicate.
        worst: the same of the worst tenth of the classes.
    """

    artifacts: Artifacts
    answers: dict[tuple[str, str], Answers] = field(default_factory=dict)
    owners: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    weighed: Weighed = field(default_factory=dict)
    worst: Weighed = field(default_factory=dict)

    def bootstrap_metric(self, fingerprint: str, unreadable: tuple[str, ...]) -> None:
        """Weigh all answers by how often each image is drawn."""
        for side in ("oop", "ip"):
            kept = [(key, own) for rows in self.answers.values() for key, own in rows.items() if SIDE[key] == side]
            if not kept:
                continue
            label = self.artifacts.labels(fingerprint, side, unreadable)
            self.images[side] = len(label)
            self.weighed[side] = bootstrap_metric(fingerprint, side, len(label), (own for _, own in kept), top1)
            if side == "oop" and WORST in self.owners:
                named = (own for key, own in kept if key == "oop")
                self.worst[side] = bootstrap_metric(
                    fingerprint, side, len(label), named, partial(worst_decile, label=label)
                )

    def replicates(self, fingerprint: str, metric: str) -> Iterator[tuple[tuple[str, str], Replicates]]:
        """Each row with its replicates of a metric."""
        weighed = self.worst if metric == WORST else self.weighed
        with_seeds: dict[tuple[int, ...], list[tuple[str, str]]] = {}
        for row in self.owners.get(metric, ()):
            with_seeds.setdefault(tuple(sorted(self.answers[row][NEEDED[metric][0]])), []).append(row)
        for seeds, rows in with_seeds.items():
            drawn = drawn_seeds(fingerprint, seeds)
            for start in range(0, len(rows), BATCH):
                part = rows[start : start + BATCH]
                accuracy = {
                    key: np.array([[weighed[SIDE[key]][self.answers[row][key][s]] for s in seeds] for row in part])
                    for key in NEEDED[metric]
                }
                yield from zip(
                    part, np.einsum("bs,rsb->rb", drawn, _metric(metric, accuracy, self.images)), strict=True
                )


def _metric(name: str, accuracy: Mapping[str, NDArray[np.floating]], images: Mapping[str, int]) -> NDArray[np.float64]:
    """A metric from the accuracies it needs; a ratio to nothing is 0."""
    values = [np.asarray(accuracy[key], dtype=np.float64) for key in NEEDED[name]]
    if len(values) == 1:
        return values[0]
    a, b = values
    if name in ("joint_top1", "all_cluster_acc"):
        return np.asarray((a * images["oop"] + b * images["ip"]) / (images["oop"] + images["ip"]))
    if name == "cluster_gap":
        return np.asarray(a - b)
    top, bottom = (a, b) if name == "ip_retention" else (2 * a * b, a + b)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
