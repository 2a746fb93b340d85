"""Rows of one table against a baseline: tests, and what size of comparison distinguishes a given difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError
from harness.leaderboard import power
from harness.leaderboard.bootstrap import Bootstrap, RightAnswers, read_right_answers
from harness.leaderboard.power import DifferenceSpread, Scores
from harness.leaderboard.statistics import PairedTest, paired_tests
from harness.metrics import replicates
from harness.metrics.metric import Resampling
from harness.metrics.prediction_kinds import PREDICTIONS
from harness.metrics.table import require_metric
from harness.results.artifacts import Artifacts
from harness.types.leaderboard import Row

STEP = 1e-6
"""Of the numerical derivative of a metric by its accuracies."""


@dataclass(frozen=True)
class PowerRow:
    """A row against the baseline.

    Attributes:
        row: as in the file.
        test: paired, for a difference and for equivalence within the asked difference.
        spread: of the difference; None where it is not known.
        detects: the smallest difference that the stored results find with the power ``power.POWER``.
        seeds, images, domains: how many of each are enough for the asked difference while the others stay as they are;
            None if no number is. Images are those of one domain.
        reason: why nothing is known, None if it is.
    """

    row: Row
    test: PairedTest
    spread: DifferenceSpread | None = None
    detects: float | None = None
    seeds: int | None = None
    images: int | None = None
    domains: int | None = None
    reason: str | None = None


def require_mean(metric: str) -> Resampling:
    """The resampling of a metric that is made of accuracies, each the mean over images.

    Raises:
        UserError: the metric is another one.
    """
    found = require_metric(metric).resampled
    if found is None or found.derivatives is not None or found.measure is not replicates.top1:
        raise UserError(
            f"the power for {metric} is not known: it is not made of shares of images that are right",
            "use a metric such as oop_top1, h_mean or joint_top1",
        )
    return found


def power_rows(
    rows: Sequence[Row],
    baseline: Row,
    artifacts: Mapping[str, Artifacts],
    bootstrap: Bootstrap,
    wanted: float,
) -> list[PowerRow]:
    """Every other row of a table against the baseline.

    Args:
        rows: of one setting and number of shots.
        baseline: one of them.
        artifacts: row id -> its artifacts.
        bootstrap: of the metric, for the tests.
        wanted: the difference to distinguish, a fraction; also the margin of equivalence.

    Raises:
        UserError: the metric is not made of accuracies.
    """
    others = [row for row in rows if row.id != baseline.id]
    tests = paired_tests(others, [baseline], bootstrap, margin=wanted)
    resampling = require_mean(bootstrap.metric)

    @cache
    def theirs(domain: str) -> Mapping[int, Right]:
        return _answers(baseline, domain, artifacts[baseline.id], resampling)

    found = []
    for row, test in zip(others, tests, strict=True):
        spread = None
        if test.p is not None:
            spread = _spread(row, baseline, artifacts[row.id], theirs, bootstrap.metric, resampling)
        found.append(_power_row(row, test, spread, wanted))
    return found


def _power_row(row: Row, test: PairedTest, spread: DifferenceSpread | None, wanted: float) -> PowerRow:
    if spread is None:
        return PowerRow(row, test, reason=test.reason or "the rows have no seed in common")
    return PowerRow(
        row,
        test,
        spread,
        power.detectable(spread, spread.design),
        power.needed_seeds(wanted, spread),
        power.needed_images(wanted, spread),
        power.needed_domains(wanted, spread),
    )


def _spread(
    row: Row,
    baseline: Row,
    artifacts: Artifacts,
    theirs: Callable[[str], Mapping[int, Right]],
    metric: str,
    resampling: Resampling,
) -> DifferenceSpread | None:
    """The spread of the difference of two rows with predictions; None without a common seed.

    ``artifacts`` are the row's, and ``theirs`` gives the right answers of the baseline in a domain.
    """
    differences, spreads, images, seeds = [], [], [], 0
    for domain in row.data:
        paired = _paired(_answers(row, domain, artifacts, resampling), theirs(domain))
        if not paired:
            return None
        sides = _scores(paired, resampling)
        differences.append(row.domains[domain][metric].mean - baseline.domains[domain][metric].mean)
        spreads.append(power.domain_spread(sides))
        images.append(sum(scores.shape[1] for scores in sides))
        seeds = 0 if row.seedless and baseline.seedless else len(paired)
    return power.spread(differences, spreads, seeds, round(np.mean(images)))


Right = Mapping[str, NDArray[np.float64]]
"""Kind of predictions -> 1 for each image that was answered rightly ``(n,)``."""


def _answers(row: Row, domain: str, artifacts: Artifacts, resampling: Resampling) -> Mapping[int, Right]:
    """Seed -> its right answers; a row without seeds has the one of ``NO_SEED``."""
    found, _ = read_right_answers(row, domain, artifacts, resampling.kinds)
    data = row.data[domain]
    count = {
        kind: len(artifacts.labels(data.fingerprint, PREDICTIONS[kind].side, data.unreadable))
        for kind in resampling.kinds
    }
    return {seed: _unpacked(found, seed, count) for seed in found[resampling.kinds[0]]}


def _unpacked(found: RightAnswers, seed: int, count: Mapping[str, int]) -> Right:
    return {
        kind: np.unpackbits(np.frombuffer(bits[seed], dtype=np.uint8), count=count[kind]).astype(np.float64)
        for kind, bits in found.items()
    }


def _paired(ours: Mapping[int, Right], theirs: Mapping[int, Right]) -> list[tuple[Right, Right]]:
    """The answers of both rows, seed by seed; those of a row that ran once go with every seed of the other."""
    if len(ours) == 1 or len(theirs) == 1:
        seeds = max(len(ours), len(theirs))
        one, other = (list(own.values()) * (seeds if len(own) == 1 else 1) for own in (ours, theirs))
        return list(zip(one, other, strict=True))
    return [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]


def _scores(paired: Sequence[tuple[Right, Right]], resampling: Resampling) -> list[Scores]:
    """What each image of each side adds to the difference of the metric, to first order (the delta method)."""
    sides: dict[str, Any] = {}
    for sign, answers in zip((1, -1), zip(*paired, strict=True), strict=True):
        right = {kind: np.stack([own[kind] for own in answers]) for kind in resampling.kinds}
        slopes = _slopes(resampling, [right[kind] for kind in resampling.kinds])
        for kind, slope in zip(resampling.kinds, slopes, strict=True):
            side = PREDICTIONS[kind].side
            sides[side] = sides.get(side, 0.0) + sign * slope * right[kind]
    return list(sides.values())


def _slopes(resampling: Resampling, right: Sequence[Scores]) -> list[float]:
    """The derivative of the metric by the accuracy of each kind of predictions, at the mean over seeds."""
    values, images = np.array([own.mean() for own in right]), [own.shape[1] for own in right]

    def metric(at: NDArray[np.float64]) -> float:
        return float(resampling.combine([np.array([value]) for value in at], images)[0])

    steps = STEP * np.eye(len(values))
    return [(metric(values + step) - metric(values - step)) / (2 * STEP) for step in steps]
