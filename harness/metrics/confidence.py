"""Confidence of predictions: how it is stored, and how well it agrees with being right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.metrics.accuracy import require_pairs
from harness.metrics.derivative import Differentiated, Reals, mean_over_groups

STEPS = 256
"""Stored steps of one unit of log-odds: a stored probability is at most 0.0005 from the exact one."""

EVEN = 1 << 15
"""The stored number of log-odds 0, probability one half. Log-odds beyond -128 and 128 are stored as these."""

BINS = 15
"""Bins of the expected calibration error, as in Guo et al. (ICML 2017)."""

Right = NDArray[np.bool_]


def stored_confidence(log_odds: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Log-odds ``(n,)`` of predictions as the whole numbers that a cell stores."""
    return np.asarray(np.clip(np.rint(log_odds * STEPS) + EVEN, 0, 2 * EVEN - 1), dtype=np.uint16)


def probability(stored: NDArray[np.integer]) -> Reals:
    """Probabilities ``(n,)`` of stored confidences."""
    return np.asarray(1 / (1 + np.exp(-(stored - float(EVEN)) / STEPS)))


def expected_calibration_error(stored: NDArray[np.integer], right: Right) -> Differentiated:
    """Expected calibration error (Naeini et al., AAAI 2015; Guo et al., ICML 2017); lower is better.

    ``sum_b n_b / n |accuracy of b - mean confidence of b|`` over 15 bins b of equal width, each without its lower end.
    The confidence is the softmax probability of the predicted name.

    Args:
        stored: confidences ``(n,)``, as a cell stores them.
        right: whether each prediction is right ``(n,)``.

    Raises:
        ValueError: no image, or arrays of different length.
    """
    require_pairs(stored, right.astype(np.int64))
    confidence = probability(stored)
    of = np.minimum(np.maximum(np.ceil(confidence * BINS).astype(np.int64) - 1, 0), BINS - 1)
    excess = confidence - right
    total = np.bincount(of, excess, BINS)
    n = len(right)
    return Differentiated(float(np.abs(total).sum()) / n, (np.sign(total)[of] * excess / n,))


def risk_coverage_area(stored: NDArray[np.integer], right: Right) -> Differentiated:
    """Area under the risk-coverage curve (El-Yaniv and Wiener, JMLR 2010; Geifman et al., ICLR 2019); lower is better.

    ``1/n sum_i (wrong ones among the i most confident predictions) / i``: the mean error rate over all coverages.
    Equally confident predictions count as in any order of theirs, on average. Arguments and errors as of
    ``expected_calibration_error``.
    """
    require_pairs(stored, right.astype(np.int64))
    order, tied = _by_confidence(stored)
    wrong = 1 - right[order].astype(np.float64)
    n, place = len(right), np.arange(1, len(right) + 1)
    risk = np.cumsum(mean_over_groups(wrong, tied)) / place
    own, after = mean_over_groups(_sum_from(1 / place), tied), mean_over_groups(risk - _sum_from(risk / place), tied)
    return Differentiated(float(risk.mean()), (_restored((wrong * own + after) / n, order),))


def micro_average_precision(stored: NDArray[np.integer], right: Right) -> Differentiated:
    """Micro average precision, also global average precision (Weyand et al., CVPR 2020, for GLDv2); higher is better.

    ``1/n sum_i precision of the predictions that are at least as confident as i * (i is right)`` over the predictions
    of all images together. It is ``average_precision_score`` of scikit-learn times the accuracy, because every image
    has a name that could be found. Arguments and errors as of ``expected_calibration_error``.
    """
    require_pairs(stored, right.astype(np.int64))
    n, (order, tied) = len(right), _by_confidence(stored)
    ranked = right[order]
    hits, drawn = np.bincount(tied, ranked), np.cumsum(np.bincount(tied))
    precision = np.cumsum(hits) / drawn
    one, two = _sum_from(hits / drawn), _sum_from(hits * precision / drawn)
    derivative = (ranked * (precision + one)[tied] - two[tied]) / n
    return Differentiated(float((hits * precision).sum()) / n, (_restored(derivative, order),))


def _by_confidence(stored: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Images by falling confidence ``(n,)``, and the level of each place: from 0 on, the same for equal confidences."""
    below = stored.max() - stored
    order = np.argsort(below.astype(np.min_scalar_type(below.max())), kind="stable")  # two bytes are sorted at once
    falling = stored[order]
    return order, np.concatenate([[0], np.cumsum(falling[1:] != falling[:-1])])


def _sum_from(values: Reals) -> Reals:
    """The sum of each value and all after it."""
    return np.cumsum(values[::-1])[::-1]


def _restored(values: Reals, order: NDArray[np.intp]) -> Reals:
    found = np.empty_like(values)
    found[order] = values
    return found
