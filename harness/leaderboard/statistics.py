"""Intervals, paired tests and ranks of rows, from stored predictions; the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.leaderboard.bootstrap import BATCH, MEAN, Bootstrap, Replicates
from harness.leaderboard.bootstrap_draws import REPLICATES
from harness.metrics.accuracy import difference
from harness.metrics.table import find_metric
from harness.types.leaderboard import Row

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """95 % of the replicates lie between these fractions."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """A row against a baseline on the same images.

    Attributes:
        difference: row minus baseline, a fraction.
        interval: of the difference; None without predictions.
        p: two-sided, that there is no difference; never below 2 / (replicates + 1).
        p_holm: p, corrected (Holm) for all rows that are tested in the same table.
        p_equivalent: that the difference is at least the margin, either way; None without a margin. Two one-sided
            tests (Schuirmann, 1987), of which it is the larger p.
        p_equivalent_holm: p_equivalent, corrected likewise.
        reason: why there is no test, None if there is one.
    """

    difference: float | None
    interval: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    p_equivalent: float | None = None
    p_equivalent_holm: float | None = None
    reason: str | None = None


def interval(replicates: Replicates) -> Interval:
    """The percentile interval."""
    return intervals([replicates])[0]


def intervals(replicates: Sequence[Replicates]) -> list[Interval]:
    """The percentile interval of each of several values."""
    found: list[Interval] = []
    for start in range(0, len(replicates), BATCH):
        part = np.stack(replicates[start : start + BATCH])
        part.sort(axis=1)  # so that quantiles need no partition, which takes longer
        ends = np.quantile(part, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1, overwrite_input=True)
        found += (Interval(float(low), float(high)) for low, high in ends.T)
    return found


def paired_tests(
    rows: Sequence[Row],
    baselines: Sequence[Row],
    bootstrap: Bootstrap,
    place: str = MEAN,
    margin: float | None = None,
) -> list[PairedTest]:
    """Every row against the first baseline with the same images, at one domain or at the mean.

    Args:
        rows: of one setting.
        baselines: rows of the baseline's method.
        bootstrap: of one metric.
        place: a domain, or the mean over domains.
        margin: tests for equivalence too, where differences below it do not matter; a fraction.
    """
    fitting = [next((b for b in baselines if other_images(row, b) is None), baselines[0]) for row in rows]
    tests = [_test(row, baseline, bootstrap, place, margin) for row, baseline in zip(rows, fitting, strict=True)]
    ps, equivalent = (holm([getattr(test, name) for test in tests]) for name in ("p", "p_equivalent"))
    return [
        replace(test, p_holm=p, p_equivalent_holm=other) for test, p, other in zip(tests, ps, equivalent, strict=True)
    ]


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Corrected p-values of a family of tests (Holm, 1979); None stays None and counts as no test."""
    found = list(ps)
    known = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        found[i] = highest
    return found


def _test(row: Row, baseline: Row, bootstrap: Bootstrap, place: str, margin: float | None) -> PairedTest:
    if row.id == baseline.id:
        return PairedTest(None, reason="it is the baseline")
    if (reason := other_images(row, baseline)) is not None:
        return PairedTest(None, reason=reason)
    ours, theirs = (_value(r, place, bootstrap.metric) for r in (row, baseline))
    if ours is None or theirs is None:
        who, which = ("it", row) if ours is None else ("the baseline", baseline)
        return PairedTest(None, reason=f"{who} has {_no_value(which, place, bootstrap.metric)}")
    a, b = bootstrap.of(row, place), bootstrap.of(baseline, place)
    if a is None or b is None:
        missing = bootstrap.missing.get(row.id) or bootstrap.missing.get(baseline.id) or "predictions are missing"
        return PairedTest(difference(ours, theirs), reason=missing)
    drawn = a - b
    p = min(1.0, 2 * min(_share(drawn <= 0), _share(drawn >= 0)))
    equivalent = None if margin is None else max(_share(drawn <= -margin), _share(drawn >= margin))
    return PairedTest(difference(ours, theirs), interval(drawn), p, p_equivalent=equivalent)


def _share(replicates: NDArray[np.bool_]) -> float:
    """The share of the replicates where something holds, counting the data as one more: never 0."""
    return (1 + int(replicates.sum())) / (REPLICATES + 1)


def other_images(row: Row, other: Row) -> str | None:
    """Why two rows were not scored on the same images, or None if they were."""
    if row.data.keys() != other.data.keys():
        return "other domains"
    for domain, data in row.data.items():
        twin = other.data[domain]
        if (data.fingerprint, data.images) != (twin.fingerprint, twin.images) and data.images and twin.images:
            return f"other images of {domain}"
    return None


def ranks(rows: Sequence[Row], bootstrap: Bootstrap, place: str = MEAN) -> list[int | None]:
    """1 + the number of rows that are surely better; None for a row without the metric or on other images.

    A row is surely better when it is ahead in more than 97.5 % of the replicates: so the images do not distinguish rows
    of one rank, and may not distinguish those of neighbouring ranks either. Only ``rows_to_rank`` are ranked; without
    predictions, by the values themselves.
    """
    found: list[int | None] = [None] * len(rows)
    ranked = rows_to_rank(rows, bootstrap.metric, place)
    sign = better_sign(bootstrap.metric)
    values = sign * np.array([_value(rows[i], place, bootstrap.metric) for i in ranked], dtype=np.float64)
    ahead = np.array([np.count_nonzero(values > own) for own in values], dtype=np.intp)
    drawn = [(n, own) for n, i in enumerate(ranked) if (own := bootstrap.of(rows[i], place)) is not None]
    drawn.sort(key=lambda one: -values[one[0]])
    if drawn:
        order = np.array([n for n, _ in drawn])
        ahead[order] -= _not_surely_ahead(sign * np.stack([own for _, own in drawn]), values[order])
    for i, n in zip(ranked, ahead, strict=True):
        found[i] = 1 + int(n)
    return found


def better_sign(metric: str) -> int:
    """1 where a higher value of the metric is better, -1 where a lower one is."""
    known = find_metric(metric)
    return 1 if known is None or known.higher_is_better else -1


def rows_to_rank(rows: Sequence[Row], metric: str, place: str = MEAN) -> list[int]:
    """Indices of the rows to rank: the largest group with the metric on the same domains and images.

    Of groups of the same size the one over more domains is ranked; if they are equal in that too, none is.
    """
    groups: dict[frozenset[object], list[int]] = {}
    for i, row in enumerate(rows):
        if _value(row, place, metric) is not None:
            groups.setdefault(_scored_images(row, place), []).append(i)
    size = {images: (len(own), len(images)) for images, own in groups.items()}
    largest = [images for images in groups if size[images] == max(size.values())]
    return groups[largest[0]] if len(largest) == 1 else []


def _scored_images(row: Row, place: str) -> frozenset[object]:
    """The data that a value was computed on, one entry for each domain."""
    data = row.data if place == MEAN else {place: row.data[place]}
    return frozenset((name, own.fingerprint, frozenset(own.images.items())) for name, own in data.items())


def _not_surely_ahead(replicates: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each row the number of rows that are ahead of it, but not surely.

    Args:
        replicates: ``(rows, REPLICATES)``, by falling value.
        values: ``(rows,)``.
    """
    # Where no more than k replicates of a row lie below `low`, and no more than k of another above `high`, the one is
    # ahead in all but 2 k, which are fewer than 2.5 %: most pairs need no look at their replicates.
    k = math.ceil(REPLICATES * (1 - LEVEL) / 4) - 1
    low, high = np.sort(replicates, axis=1)[:, [k, REPLICATES - 1 - k]].T
    levels, counts = _levels(replicates), np.min_scalar_type(REPLICATES)
    found = np.zeros(len(values), dtype=np.intp)
    for i in range(len(values)):
        close = (values[:i] > values[i]) & (low[:i] <= high[i])
        if close.any():
            first = int(close.argmax())  # a slice is compared in place, where a choice of rows would be copied
            wins = (levels[first:i] > levels[i]).sum(axis=1, dtype=counts)
            found[i] = np.count_nonzero(close[first:] & (wins / REPLICATES <= (1 + LEVEL) / 2))
    return found


def _levels(replicates: NDArray[np.float64]) -> NDArray[np.unsignedinteger]:
    """The number of lower values in each replicate ``(rows, REPLICATES)``: the same order in two bytes."""
    columns = np.ascontiguousarray(replicates.T)
    order = np.argsort(columns, axis=1)
    rising = np.take_along_axis(columns, order, axis=1)
    steps = np.zeros(columns.shape, dtype=np.min_scalar_type(len(replicates)))
    np.cumsum(rising[:, 1:] != rising[:, :-1], axis=1, out=steps[:, 1:])
    found = np.empty_like(steps)
    np.put_along_axis(found, order, steps, axis=1)
    return np.ascontiguousarray(found.T)


def _no_value(row: Row, place: str, metric: str) -> str:
    """What a row has instead of that value."""
    if place == MEAN and not row.complete:
        return "a hole"
    return f"no {metric}" + (f": {row.not_applicable}" if row.not_applicable else "")


def _value(row: Row, place: str, metric: str) -> float | None:
    stats = row.mean if place == MEAN else row.domains.get(place, {})
    return stats[metric].mean if metric in stats else None
