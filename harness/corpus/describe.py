"""A record in a few sentences."""

from __future__ import annotations

from collections.abc import Iterator

from harness.corpus.record import CorpusRecord
from harness.progress import pluralize
from harness.types.pretraining import CorpusVerdict

VERDICTS: tuple[CorpusVerdict, ...] = ("oop", "ambiguous", "ip")


def describe(record: CorpusRecord) -> Iterator[str]:
    """The corpus, what was read of it, the verdicts, and what they are worth."""
    verdicts = ", ".join(f"{len(record.names(verdict)):,} {verdict}" for verdict in VERDICTS)
    yield f"{record.corpus}: {pluralize(len(record.concepts), 'names')}, {verdicts}"
    counting = record.counting
    if counting is None:
        yield f"stated by {record.source}, not counted"
        return
    yield (
        f"{pluralize(counting.captions, 'captions')} in {pluralize(counting.rows, 'rows')} of "
        f"{pluralize(len(counting.files), 'files')}; a mention beyond {counting.context_length} tokens is counted apart"
    )
    for file in counting.skipped:
        yield f"skipped: {file.reason}"
    if record.bound:
        yield (
            f"a name without a hit has at most {record.bound:,.0f} in the whole corpus of "
            f"{counting.corpus_captions:,} captions, at 95 %, if these captions are a random sample of it"
        )
