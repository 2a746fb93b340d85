"""Two records of the same names, such as of two corpora, or of a released list and a count."""

from __future__ import annotations

from collections.abc import Iterator

from harness.corpus.record import CorpusRecord
from harness.progress import pluralize
from harness.types.cell import Record
from harness.types.pretraining import CorpusVerdict


class ChangedVerdict(Record):
    """A name on which two records differ."""

    name: str
    first: CorpusVerdict
    second: CorpusVerdict


class CorpusComparison(Record):
    """How two records differ.

    Attributes:
        same: names with the same verdict in both.
        changed: names with another verdict, in the order of the first record.
        only_first, only_second: names of one record.
    """

    same: int
    changed: tuple[ChangedVerdict, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    def sentences(self, first: str, second: str) -> Iterator[str]:
        """The comparison in words, with what the records are called."""
        yield f"{pluralize(self.same, 'names')} with the same verdict, {len(self.changed):,} with another"
        for where, names in ((first, self.only_first), (second, self.only_second)):
            if names:
                more = ", ..." if len(names) > 5 else ""
                yield f"only in {where}: {pluralize(len(names), 'names')}: {', '.join(names[:5])}{more}"


def compare_records(first: CorpusRecord, second: CorpusRecord) -> CorpusComparison:
    """Compare the verdicts of two records by name."""
    pairs = [(one, second.by_name[one.name]) for one in first.concepts if one.name in second.by_name]
    return CorpusComparison(
        same=sum(mine.verdict == theirs.verdict for mine, theirs in pairs),
        changed=tuple(
            ChangedVerdict(name=mine.name, first=mine.verdict, second=theirs.verdict)
            for mine, theirs in pairs
            if mine.verdict != theirs.verdict
        ),
        only_first=tuple(one.name for one in first.concepts if one.name not in second.by_name),
        only_second=tuple(one.name for one in second.concepts if one.name not in first.by_name),
    )
