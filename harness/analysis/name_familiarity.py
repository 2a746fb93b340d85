"""Familiarity of OOP names: how near each is to a name in pre-training, and whether that goes with accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.floating]


class Correlation(NamedTuple):
    """Correlation of familiarity with accuracy over OOP classes.

    Attributes:
        classes: their number.
        pearson, spearman: of values and of ranks; None where one of the two does not vary.
    """

    classes: int
    pearson: float | None
    spearman: float | None


def familiarity(oop: Reals, ip: Reals) -> Reals:
    """``max_j t_i . t_j`` over the IP names j of the domain ``(k,)``: the cosine to the nearest known name.

    A name near a known one may be understood through it, or be mistaken for it: the sign of the correlation tells. A
    measure of this project.

    Args:
        oop: unit rows ``(k, d)`` of the OOP names' prompts.
        ip: unit rows ``(m, d)`` of the IP names' prompts.
    """
    return np.asarray((oop @ ip.T).max(axis=1))


def correlation(familiar: Reals, accuracy: Sequence[float | None]) -> Correlation:
    """Pearson's and Spearman's correlation of familiarity with accuracy per class; classes without images are left out.

    Between -1 and 1; above 0, familiar names are found more often.
    """
    pairs = np.array([(f, a) for f, a in zip(familiar, accuracy, strict=True) if a is not None]).reshape(-1, 2)
    if len(pairs) < 2 or not np.ptp(pairs, axis=0).all():
        return Correlation(len(pairs), None, None)
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(column) for column in pairs.T], axis=1)
    return Correlation(len(pairs), *(float(np.corrcoef(both.T)[0, 1]) for both in (pairs, ranks)))
