"""The released concept lists of LAION-Beyond, as stated records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.corpus.record import CorpusRecord, stated
from harness.types.pretraining import CorpusVerdict

RELEASED = {"laion-beyond-400m": "LAION-400M"}
"""Data set -> the corpus that its lists of IP and OOP names were made against."""

SOURCE = "the released lists of LAION-Beyond (Chen et al., CVPR 2025)"


def released_record(dataset: str, names: Mapping[str, Sequence[str]]) -> CorpusRecord | None:
    """The record that a data set's IP and OOP lists state; None for data whose lists are of no known corpus.

    A name on both lists is ambiguous.

    Args:
        dataset: the name of the data set.
        names: side -> the names of a domain.
    """
    corpus = RELEASED.get(dataset)
    if corpus is None:
        return None
    both = set(names.get("oop", ())) & set(names.get("ip", ()))
    verdicts: dict[str, CorpusVerdict] = dict.fromkeys(names.get("oop", ()), "oop")
    verdicts |= dict.fromkeys(names.get("ip", ()), "ip")
    verdicts |= dict.fromkeys(both, "ambiguous")
    return stated(corpus, SOURCE, verdicts)
