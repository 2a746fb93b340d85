"""What was counted in a part of a corpus; tallies add up, in any order, to the same sum."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.corpus.counts import RULES, RuleCounts

_MASK = (1 << 64) - 1


class CaptionSample(NamedTuple):
    """A caption that may become evidence; the smallest ones do.

    Attributes:
        key: ``sample_key`` of its strictest rule, the name, the file and the row.
        file: path of the file.
        row: its row in the file.
        caption: its text.
    """

    key: int
    file: str
    row: int
    caption: str


@dataclass
class Tally:
    """Counts of captions.

    Attributes:
        kept: samples kept for each concept.
        counts: ``(concepts, 2, rules)``: within and beyond the context length, in the order of ``RULES``.
        rows: rows that were read.
        captions: rows with a caption.
        samples: concept -> its smallest samples, sorted.
    """

    kept: int
    counts: NDArray[np.int64]
    rows: int = 0
    captions: int = 0
    samples: dict[int, list[CaptionSample]] = field(default_factory=dict)

    @classmethod
    def empty(cls, concepts: int, kept: int) -> Tally:
        """Nothing counted yet."""
        return cls(kept, np.zeros((concepts, 2, len(RULES)), np.int64))

    def add(self, other: Tally) -> None:
        """Add what was counted in another part."""
        self.counts += other.counts
        self.rows += other.rows
        self.captions += other.captions
        for concept, samples in other.samples.items():
            self.sample(concept, samples)

    def sample(self, concept: int, samples: Iterable[CaptionSample]) -> None:
        """Offer captions as evidence."""
        self.samples[concept] = heapq.nsmallest(self.kept, [*self.samples.get(concept, ()), *samples])

    def limits(self) -> NDArray[np.uint64]:
        """The largest key of each concept, ``(concepts,)``, that can still become evidence."""
        limits = np.full(len(self.counts), _MASK, np.uint64)
        for concept, samples in self.samples.items():
            if len(samples) == self.kept:
                limits[concept] = samples[-1].key if samples else 0
        return limits

    def of(self, concept: int) -> tuple[RuleCounts, RuleCounts]:
        """The counts of one concept, within and beyond the context length."""
        within, beyond = self.counts[concept].tolist()
        return RuleCounts(**dict(zip(RULES, within, strict=True))), RuleCounts(**dict(zip(RULES, beyond, strict=True)))


def mix(value: int) -> int:
    """A 64-bit hash of a 64-bit number: the finalizer of splitmix64 (Steele et al., 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
    return value ^ value >> 31


def sample_key(rank: int, concept_seed: int, file_seed: int, row: int) -> int:
    """What decides which captions become evidence: the position of a rule in ``STRICTNESS``, then a hash."""
    return rank << 62 | mix(concept_seed ^ mix((file_seed + row) & _MASK)) >> 2


def text_seed(text: str) -> int:
    """64 bits of a text's sha256."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "big")


def file_seed(path: str) -> int:
    """The seed of a file: of its name alone, so that the same corpus in another folder gives the same evidence."""
    return text_seed(path.rpartition("/")[2])
