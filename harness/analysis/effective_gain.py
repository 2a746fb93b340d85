"""Effective OOP gain: how much better a row is on OOP images than plain backbones with its IP accuracy are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.errors import UserError, unknown_name
from harness.types.leaderboard import Row

LEAST = 3
"""Points that a fit needs."""

METRICS = {False: ("ip_top1", "oop_top1"), True: ("joint_ip_top1", "joint_oop_top1")}
"""Whether among all names -> the metrics of the two axes."""


class LogitFit(NamedTuple):
    """The least-squares line ``logit(OOP) = slope * logit(IP) + intercept``.

    Attributes:
        slope, intercept: of the line.
        points: how many it was fitted to.
        r2: share of the variance of logit(OOP) that it explains.
    """

    slope: float
    intercept: float
    points: int
    r2: float

    def predict(self, ip: float) -> float:
        """The OOP accuracy of a plain backbone with that IP accuracy, above 0 and below 1."""
        return 1 / (1 + math.exp(-(self.slope * logit(ip) + self.intercept)))

    def equation(self, plain: str) -> str:
        """The line in words, with the method whose rows it was fitted to."""
        return (
            f"logit(OOP) = {self.slope:.2f} logit(IP) {self.intercept:+.2f}, fitted to {self.points} domains of "
            f"{plain} rows (R² {self.r2:.2f})"
        )


class EffectiveGain(NamedTuple):
    """What a row gains.

    Attributes:
        row: its id.
        domains: domain -> IP accuracy, OOP accuracy, and the gain.
        mean: the gain, mean over domains.
    """

    row: str
    domains: dict[str, tuple[float, float, float]]
    mean: float


def effective_gain(ip: float, oop: float, fit: LogitFit) -> float:
    """``OOP - sigmoid(slope * logit(IP) + intercept)``; higher is better, and plain backbones have 0 on average.

    Effective robustness (Taori et al., NeurIPS 2020), whose baseline line is fitted in logit space as by Miller et al.
    (ICML 2021); Bansal and Grover ("Leaving Reality to Imagination", 2023) use it for generated training data. Here IP
    images take the place of the original test set, and OOP images that of the shifted one.
    """
    return oop - fit.predict(ip)


def fit_logits(points: Sequence[tuple[float, float]]) -> LogitFit:
    """The line through the logits of (IP, OOP) accuracies of plain backbones.

    A point is one domain of one backbone, as few backbones are ever evaluated: 27 points for three on nine domains.

    Raises:
        UserError: there are fewer than three points, or all have one IP accuracy.
    """
    x, y = np.array([[logit(value) for value in pair] for pair in points]).reshape(-1, 2).T
    if len(points) < LEAST or not np.ptp(x):
        raise UserError(
            f"a line needs {LEAST} points of plain rows with different IP accuracies, and there are {len(points)}",
            "evaluate the plain method on more domains or with more backbones",
        )
    slope, intercept = np.polyfit(x, y, 1)
    rest, spread = ((y - slope * x - intercept) ** 2).sum(), ((y - y.mean()) ** 2).sum()
    return LogitFit(float(slope), float(intercept), len(points), float(1 - rest / spread) if spread else 1.0)


def logit(value: float) -> float:
    """``log(p / (1 - p))``, of accuracies within 0.1 % and 99.9 %."""
    p = min(max(value, 0.001), 0.999)
    return math.log(p / (1 - p))


def effective_gains(rows: Iterable[Row], plain: str, joint: bool = False) -> tuple[LogitFit, list[EffectiveGain]]:
    """The line of the plain rows, and the gain of every row that has both accuracies, best first.

    Args:
        rows: of one protocol and data set.
        plain: the method of the plain rows.
        joint: accuracies among all names, instead of those of the image's side.

    Raises:
        UserError: there is no plain row, or plain rows have too few points.
    """
    accuracies = {row.id: (row.method, _accuracies(row, joint)) for row in rows}
    if all(method != plain for method, _ in accuracies.values()):
        raise unknown_name("method in these files", plain, {method for method, _ in accuracies.values()})
    fit = fit_logits([pair for method, found in accuracies.values() if method == plain for pair in found.values()])
    gains = []
    for row, (_, found) in accuracies.items():
        domains = {domain: (ip, oop, effective_gain(ip, oop, fit)) for domain, (ip, oop) in found.items()}
        if domains:
            gains.append(EffectiveGain(row, domains, math.fsum(g for *_, g in domains.values()) / len(domains)))
    return fit, sorted(gains, key=lambda gain: (-gain.mean, gain.row))


def _accuracies(row: Row, joint: bool) -> Mapping[str, tuple[float, float]]:
    """Domain -> IP and OOP accuracy, where the row has both."""
    ip, oop = METRICS[joint]
    return {d: (stats[ip].mean, stats[oop].mean) for d, stats in row.domains.items() if {ip, oop} <= stats.keys()}
