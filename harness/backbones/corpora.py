"""Which corpus a published weights tag was pre-trained on, and whether a concept list is really absent from it."""

from __future__ import annotations

from typing import Literal

_BY_PREFIX = {
    "laion400m": "LAION-400M",
    "laion2b": "LAION-2B",
    "laion5b": "LAION-5B",
    "laion_aesthetic": "LAION-Aesthetics",
    "laiona": "LAION-Aesthetics",
    "openai": "WIT-400M",
    "datacomp": "DataComp",
    "commonpool": "CommonPool",
    "metaclip": "MetaCLIP",
    "dfn": "DFN",
    "webli": "WebLI",
    "yfcc15m": "YFCC-15M",
    "cc12m": "CC12M",
    "mscoco": "LAION-2B + MSCOCO",
    "merged2b": "Merged-2B",
}

_EXACT = {("LAION-400M", "laion-beyond-400m"), ("beyond-mini", "beyond-mini")}


def corpus_of(tag: str) -> str:
    """The corpus of a weights tag, or of a file that is named after one; ``unknown`` if the name does not tell.

    Published files are called ``<architecture>-<tag>-<digest>``, so a tag may begin after any hyphen.
    """
    parts = tag.lower().split("-")
    matches = [prefix for prefix in _BY_PREFIX if any(part.startswith(prefix) for part in parts)]
    return _BY_PREFIX[max(matches, key=len)] if matches else "unknown"


def oop_exact(corpus: str, dataset: str) -> Literal["yes", "no", "unknown"]:
    """Whether a data set's OOP names are out of pre-training for a corpus.

    ``yes`` only where the lists were made against that very corpus; ``no`` for another known corpus, which may well
    contain them; ``unknown`` when the corpus or the origin of the lists is not known.
    """
    if (corpus, dataset) in _EXACT:
        return "yes"
    known_lists = any(dataset == name for _, name in _EXACT)
    return "no" if known_lists and corpus != "unknown" else "unknown"
