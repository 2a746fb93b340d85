"""Counts of captions by rule, and the verdicts that follow from them."""

from __future__ import annotations

from typing import Literal, get_args

from harness.types.cell import Count, Record
from harness.types.pretraining import CorpusVerdict

Rule = Literal["phrase", "folded", "synonyms", "longest", "words"]
"""A rule by which a caption mentions a concept; ``docs/corpus.md`` defines each."""

RULES: tuple[Rule, ...] = get_args(Rule)

EvidenceRule = Literal["phrase", "folded", "synonyms", "words"]
"""A rule that evidence names, from the strictest on: each counts whatever those before it count."""

STRICTNESS: tuple[EvidenceRule, ...] = get_args(EvidenceRule)


class RuleCounts(Record):
    """The number of captions that mention a concept, by rule. A caption counts once, however often it does.

    Attributes:
        phrase: contain the name: its characters, whole words.
        folded: contain it when accents, case, hyphens, apostrophes and the number of the last word are ignored.
        synonyms: contain the name or one of its synonyms, folded.
        longest: the same, but not only inside of a longer name or synonym of another concept.
        words: contain all words of the name or of a synonym, folded, in any order.
    """

    phrase: Count = 0
    folded: Count = 0
    synonyms: Count = 0
    longest: Count = 0
    words: Count = 0

    def is_possible(self, captions: int) -> bool:
        """Whether so many captions can give these counts: each rule counts whatever the stricter ones count."""
        in_order = self.phrase <= self.folded <= self.synonyms <= self.words <= captions
        return in_order and self.longest <= self.synonyms

    def __add__(self, other: RuleCounts) -> RuleCounts:
        return RuleCounts(**{rule: getattr(self, rule) + getattr(other, rule) for rule in RULES})


def decide(within: RuleCounts, beyond: RuleCounts, min_hits: int) -> CorpusVerdict:
    """The verdict for a concept.

    Args:
        within: captions whose mention lies within the context length of the text tower.
        beyond: captions whose only mentions lie after it, so that the model never read them.
        min_hits: phrase counts within the context from which a concept is in pre-training.

    Returns:
        ``oop`` when no rule counts a caption, ``ip`` when ``phrase`` counts enough, otherwise ``ambiguous``.
    """
    if within == beyond == RuleCounts():
        return "oop"
    return "ip" if within.phrase >= min_hits else "ambiguous"


def upper_bound(captions: int, total: int) -> float:
    """The 95 % upper bound on the count in ``total`` captions when ``captions`` of them, drawn at random, have none.

    It is 3 N / n, the rule of three (Hanley and Lippman-Hand, *If Nothing Goes Wrong, Is Everything All Right?*, 1983).
    It is 0 when the corpus was read to its end, and infinite when nothing was read.
    """
    if captions >= total:
        return 0.0
    return 3 * total / captions if captions else float("inf")
