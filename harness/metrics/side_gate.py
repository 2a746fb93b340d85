"""How well the joint scores of a method tell OOP from IP images, alone and together with naming them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.metrics.derivative import Differentiated, Reals

Margins = NDArray[np.integer]
"""Ranks ``(n,)`` of an image's best OOP score minus its best IP score, over the images of both sides; equal ones share
theirs."""


def side_area(
    oop: Margins, ip: Margins, oop_right: Reals | None = None, ip_right: Reals | None = None
) -> Differentiated:
    """The area under the curve that a bias added to all OOP scores draws, from all images IP to all images OOP.

    ``1/(nm) sum_ij b_i c_j (1 if the margin of OOP image i is above that of IP image j, 1/2 if they are equal)``.
    It does not depend on the scale of the scores.

    Args:
        oop: of the n OOP images.
        ip: of the m IP images.
        oop_right: weight b of each OOP image, 1 by default.
        ip_right: weight c of each IP image, 1 by default.

    Raises:
        ValueError: a side without images.
    """
    if not len(oop) or not len(ip):
        raise ValueError("no image to score")
    b, c = (np.ones(len(x)) if w is None else w for x, w in ((oop, oop_right), (ip, ip_right)))
    scale = 1.0 / (len(oop) * len(ip))
    oop, ip = _ranks(oop, ip)
    levels = 1 + max(int(oop.max()), int(ip.max()))
    of_oop = b * _weight_below(oop, ip, c, levels) * scale
    of_ip = c * _weight_below(levels - 1 - ip, levels - 1 - oop, b, levels) * scale
    return Differentiated(float(of_oop.sum()), (of_oop, of_ip))


def gate_auroc(oop: Margins, ip: Margins) -> Differentiated:
    """AUROC of the margin as a detector of OOP images (Hanley and McNeil 1982); higher is better, chance is 1/2.

    ``side_area`` with b = c = 1. Arguments and errors as of ``side_area``.
    """
    return side_area(oop, ip)


def open_set_rate_area(oop: Margins, ip: Margins, ip_right: NDArray[np.bool_]) -> Differentiated:
    """Area under the open set classification rate curve (Dhamija et al., NeurIPS 2018); higher is better.

    IP names are the known classes: correct classification rate of the IP images among the IP names against the share
    of OOP images taken for IP ones, over all thresholds of the margin: ``side_area`` with c = 1 where the best IP name
    is right, else 0. Arguments and errors as of ``side_area``.
    """
    return side_area(oop, ip, None, ip_right.astype(np.float64))


def seen_unseen_area(
    oop: Margins, ip: Margins, oop_right: NDArray[np.bool_], ip_right: NDArray[np.bool_]
) -> Differentiated:
    """AUSUC, the area under the seen-unseen accuracy curve (Chao et al., ECCV 2016); higher is better.

    Accuracy on OOP (unseen) images against accuracy on IP (seen) images among all names, while calibrated stacking
    subtracts every number from the IP scores. Chao et al. average accuracy over classes; here it is over images, as in
    all metrics of the joint vocabulary: ``side_area`` with b and c = 1 where the best name of the image's own side is
    right, else 0. Arguments and errors as of ``side_area``.
    """
    return side_area(oop, ip, oop_right.astype(np.float64), ip_right.astype(np.float64))


def _ranks(oop: Margins, ip: Margins) -> tuple[Margins, Margins]:
    """The same order in whole numbers from 0 that are below twice the number of images; stored margins are such."""
    both = np.concatenate([oop, ip])
    if int(both.min()) >= 0 and int(both.max()) < 2 * len(both):
        return oop, ip
    ranked = np.unique(both, return_inverse=True)[1]
    return ranked[: len(oop)], ranked[len(oop) :]


def _weight_below(values: Margins, others: Margins, weight: Reals, levels: int) -> Reals:
    """For each value the weight of the others that are lower, and half that of the equal ones; all below ``levels``."""
    total = np.concatenate([[0.0], np.cumsum(np.bincount(others, weight, levels))])
    return np.asarray((total[values] + total[values + 1]) / 2)
