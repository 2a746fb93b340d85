"""The rules in Python: the twin of the C++ matcher, used without a compiler and for captions that C++ leaves over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from harness.corpus.counts import RULES, STRICTNESS
from harness.corpus.folding import Kind, Word, clean, fold, kind
from harness.corpus.forms import Form
from harness.corpus.tally import CaptionSample, Tally, sample_key
from harness.corpus.tokens import context_end

WITHIN, BEYOND = 0, 1

Mentions = dict[int, dict[str, int]]
"""Concept -> rule -> ``WITHIN`` or ``BEYOND``, for the rules that count the caption."""


class _Hit(NamedTuple):
    """A form found in the words ``begin`` to ``end`` of a caption."""

    form: Form
    begin: int
    end: int


class PythonMatcher:
    """Counts the captions that mention concepts.

    Args:
        forms: of all concepts.
        seeds: of the concepts, for the choice of evidence.
        context_length: positions of the text tower.
        kept: captions kept as evidence for each concept.
    """

    def __init__(self, forms: Sequence[Form], seeds: Sequence[int], context_length: int, kept: int) -> None:
        self.seeds, self.context_length, self.kept = seeds, context_length, kept
        self._phrases: dict[tuple[str, ...], list[Form]] = defaultdict(list)
        self._by_word: dict[str, list[Form]] = defaultdict(list)
        for form in forms:
            for last in form.last:
                self._phrases[(*form.words, last)].append(form)
            for word in form.last if not form.words else [max(form.words, key=len)]:
                self._by_word[word].append(form)
        self._longest = max(map(len, self._phrases), default=0)

    def count(self, captions: Iterable[tuple[int, str]], file: str, file_seed: int) -> Tally:
        """Count captions, given with their rows in the file."""
        tally = Tally.empty(len(self.seeds), self.kept)
        for row, caption in captions:
            tally.captions += 1
            for concept, mentions in self.mentions(caption).items():
                for rule, where in mentions.items():
                    tally.counts[concept, where, RULES.index(rule)] += 1
                rank = next(number for number, rule in enumerate(STRICTNESS) if rule in mentions)
                key = sample_key(rank, self.seeds[concept], file_seed, row)
                tally.sample(concept, [CaptionSample(key, file, row, caption)])
        return tally

    def mentions(self, caption: str) -> Mentions:
        """The concepts that a caption mentions."""
        cleaned = clean(caption)
        words = fold(cleaned)
        found: Mentions = defaultdict(dict)
        context: int | None = None

        def note(rule: str, concept: int, end: int) -> None:
            nonlocal context
            if context is None:
                context = context_end(cleaned, self.context_length)
            where = WITHIN if end <= context else BEYOND
            found[concept][rule] = min(where, found[concept].get(rule, where))

        hits: dict[int, list[_Hit]] = defaultdict(list)
        for hit in self._hits(words):
            hits[hit.begin].append(hit)
        for hit in chain.from_iterable(hits.values()):
            concept, end = hit.form.concept, words[hit.end - 1].end
            if hit.form.own:
                note("folded", concept, end)
                if _is_phrase(hit, cleaned, words):
                    note("phrase", concept, end)
            note("synonyms", concept, end)
            near = range(hit.begin - self._longest + 1, hit.begin + 1)  # where a hit that contains this one begins
            if not any(_contains(other, hit) for begin in near for other in hits.get(begin, ())):
                note("longest", concept, end)
        for form, end in self._words(words):
            note("words", form.concept, end)
        return found

    def _hits(self, words: Sequence[Word]) -> Iterator[_Hit]:
        """The forms whose words follow one another, separated by joiners only."""
        for begin in range(len(words)):
            texts: tuple[str, ...] = ()
            for end in range(begin, min(len(words), begin + self._longest)):
                if end > begin and not words[end].joined:
                    break
                texts = (*texts, words[end].text)
                for form in self._phrases.get(texts, ()):
                    yield _Hit(form, begin, end + 1)

    def _words(self, words: Sequence[Word]) -> Iterator[tuple[Form, int]]:
        """The forms of which all words occur, and the end of the words at which the last of them has occurred first."""
        first: Mapping[str, int] = {word.text: word.end for word in reversed(words)}
        for text in first:
            for form in self._by_word.get(text, ()):
                ends = [first.get(word) for word in form.words]
                ends.append(min((first[word] for word in form.last if word in first), default=None))
                if None not in ends:
                    yield form, max(end for end in ends if end is not None)


def _is_phrase(hit: _Hit, cleaned: str, words: Sequence[Word]) -> bool:
    """Whether the characters are those of the form; a possessive s may follow."""
    form, last = hit.form, words[hit.end - 1]
    begin = words[hit.begin].begin - form.offset
    if begin < 0 or not cleaned.startswith(form.literal, begin):
        return False
    end = begin + len(form.literal) - form.tail
    return end == last.end or (end < last.end and kind(cleaned[end]) == Kind.APOSTROPHE)


def _contains(outer: _Hit, inner: _Hit) -> bool:
    """Whether a hit of another concept is longer and has all words of this one."""
    if outer.form.concept == inner.form.concept or outer.end - outer.begin <= inner.end - inner.begin:
        return False
    return outer.begin <= inner.begin and inner.end <= outer.end
