"""Text describability: how well names alone find a domain's images among the names of all domains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.floating]


class Describability(NamedTuple):
    """How the images of one side of a domain are named by zero-shot, as fractions.

    Attributes:
        images: their number.
        own: right among the names of the domain, of both sides.
        every: right among the names of all domains: the describability.
        within: named by a name of their domain among the names of all domains.
    """

    images: int
    own: float
    every: float
    within: float


def describability(image: Reals, label: NDArray[np.integer], names: Reals, first: int, last: int) -> Describability:
    """Zero-shot accuracy of a domain's images among the names of all domains; higher is better described.

    ``1/n sum_i [argmax_v x_i . t_v = y_i]`` over all names v, each in the prompt of its own domain; also the same
    over the domain's own names, and the share of images whose best name is one of these. The first best name is taken
    of equal ones. A measure of this project.

    Args:
        image: unit rows ``(n, d)``.
        label: the column of each image's name among all ``(n,)``.
        names: unit rows of all names ``(v, d)``.
        first, last: the domain's names are the columns from ``first`` to before ``last``.
    """
    scores = image @ names.T
    own, every = first + scores[:, first:last].argmax(axis=1), scores.argmax(axis=1)
    within = (every >= first) & (every < last)
    return Describability(len(label), *(float(np.mean(hit)) for hit in (own == label, every == label, within)))
