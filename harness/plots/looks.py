"""The colour and marker of a method: by its name alone, so the same in every figure, whatever else is drawn."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8A8A8A")
"""Okabe and Ito's palette, distinct with every form of colour blindness, and grey."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")

REFERENCE = "zero_shot"
"""The method that every figure shows for reference, in black, and that a run's report subtracts."""

KNOWN = (
    *("fsnl", "tip_adapter", "coop", "zsnl", "clip_adapter", "cocoop", "learning_to_name"),
    *("gda", "tip_adapter_f", "linear_probe", "kmeans_naming", "transclip", "prolip", "taskres"),
    *("maple", "promptsrc", "clip_lora", "vpt", "cupl", "waffle", "tpt"),
    *("tda", "zero", "mta", "cluster_vote", "prototypes", "plot", "nola_head"),
    *("ape", "calibrated_stacking", "cased", "clap", "cosine_head", "cosmo", "ecalp"),
    *("em_dirichlet", "fudd", "gda_em", "graph_lp", "laplacian", "loki"),
    *("lp_pp", "ogen_lite", "otter", "palavra", "perception", "proxy_map", "pseudo"),
    *("soup", "ss_gmm", "stata", "tcp", "teen", "upl", "zlap"),
    "zpe",
)
"""The harness's own methods, each with a pair of its own; a new one is added at the end."""


RESERVED = 9 * len(COLOURS)
"""Pairs for methods of the harness."""


class MethodLook(NamedTuple):
    """How a method is drawn."""

    colour: str
    marker: str


class SideLook(NamedTuple):
    """How images or concepts in or out of pre-training are drawn, where sides are drawn and not methods.

    Attributes:
        name: in a legend.
        short: ``IP`` or ``OOP``.
        colour: of marks and bars.
        marker: of points.
        hatch: of bars, visible in grey too.
        offset: of a bar from its tick.
    """

    name: str
    short: str
    colour: str
    marker: str
    hatch: str
    offset: float


SIDE_LOOKS: dict[str, SideLook] = {
    "ip": SideLook("in pre-training (IP)", "IP", COLOURS[0], "o", "", -0.2),
    "oop": SideLook("out of pre-training (OOP)", "OOP", COLOURS[5], "^", "////", 0.2),
}
"""Side -> its look, IP first: it is drawn below."""


def look(method: str) -> MethodLook:
    """The look of a method.

    One of the harness differs from all others. Methods of plugins are spread over the pairs that are left by the
    sha256 of their names, and two of them may get the same pair.
    """
    if method == REFERENCE:
        return MethodLook("#000000", "o")
    if method in KNOWN:
        return _pair(KNOWN.index(method))
    rest = len(COLOURS) * len(MARKERS) - RESERVED
    return _pair(RESERVED + int(hashlib.sha256(method.encode()).hexdigest(), 16) % rest)


def _pair(index: int) -> MethodLook:
    """The n-th pair: neighbours differ in both colour and marker."""
    again, colour = divmod(index, len(COLOURS))
    return MethodLook(COLOURS[colour], MARKERS[(colour + again) % len(MARKERS)])
