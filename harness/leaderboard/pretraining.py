"""Add to rows what records of their backbones' corpora say about the names: verdicts, counts, accuracy on absent ones.

The facts decide no prediction: they are added when a leaderboard is written, so a record that is counted later adds
them to results that exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from harness.backbones.corpora import UNKNOWN
from harness.corpus.record import ConceptVerdict, CorpusRecord
from harness.files import list_paths
from harness.progress import pluralize
from harness.prompts import comparable_name
from harness.results.artifacts import Artifacts, MissingArtifact
from harness.types.labels import LabelSheet
from harness.types.leaderboard import DomainRecord, Leaderboard, Row
from harness.types.pretraining import PretrainingFacts

T = TypeVar("T")


class PretrainingFinder:
    """Finds facts for rows: in every domain whose backbone's corpus has a record of its OOP names.

    Of several records a counted one is taken before a stated one, then the one that knows most names, then the one of
    most captions, then the first by sha256.

    Args:
        records: sha256 of the file -> record.
        sheets: fingerprint of a domain's data -> its labels.
    """

    def __init__(self, records: Mapping[str, CorpusRecord], sheets: Mapping[str, LabelSheet]) -> None:
        self._records, self._sheets = records, sheets
        self._facts = cache(self._find)

    @classmethod
    def of_folder(cls, results: Path) -> PretrainingFinder:
        """From the undamaged records and labels of a results folder.

        Raises:
            StorageError: the folder cannot be read.
        """
        artifacts = Artifacts.in_folder(results)
        records = dict(_undamaged(results / "corpora", artifacts.corpus_record))
        return cls(records, dict(_undamaged(results / "labels", artifacts.sheet)) if records else {})

    @property
    def sources(self) -> list[list[str]]:
        """The hashes of everything that decides the facts."""
        return [sorted(self._records), sorted(self._sheets)]

    def added_to(self, row: Row) -> Row:
        """The row with facts; it has none before."""
        if not self._records:
            return row
        data = {domain: self._with_facts(row, domain, record) for domain, record in row.data.items()}
        return row.model_copy(update={"data": data})

    def added_to_all(self, board: Leaderboard) -> Leaderboard:
        """The leaderboard with facts in its rows."""
        return board.model_copy(update={"rows": tuple(map(self.added_to, board.rows))})

    def _find(self, corpus: str, fingerprint: str) -> PretrainingFacts | None:
        """What the best record of a corpus says about a domain; None if none knows an OOP name."""
        sheet = self._sheets.get(fingerprint)
        records = {digest: record for digest, record in self._records.items() if record.corpus == corpus != UNKNOWN}
        found = [_facts(digest, record, sheet) for digest, record in records.items()] if sheet is not None else []
        return min((facts for facts in found if any(facts.verdicts["oop"])), key=_preference, default=None)

    def _with_facts(self, row: Row, domain: str, record: DomainRecord) -> DomainRecord:
        sheet, facts = self._sheets.get(record.fingerprint), self._facts(row.backbone_record.corpus, record.fingerprint)
        if sheet is None or facts is None:
            return record
        accuracy = row.per_class.get(domain, {}).get("oop")
        if accuracy is not None:
            absent = [verdict == "oop" for verdict in facts.verdicts["oop"]]
            labels = sheet.sides["oop"].scored_labels(record.unreadable)
            images = np.bincount(labels, minlength=len(absent)).tolist()
            facts = facts.model_copy(update={"absent_top1": _accuracy_on(absent, accuracy, images)})
        return record.model_copy(update={"pretraining": facts})


def _undamaged(folder: Path, read: Callable[[str], T]) -> Iterator[tuple[str, T]]:
    """Hash and content of every undamaged artifact of a folder."""
    for path in list_paths(folder, "*.json"):
        with suppress(MissingArtifact):
            yield path.stem, read(path.stem)


def _facts(digest: str, record: CorpusRecord, sheet: LabelSheet) -> PretrainingFacts:
    counting = record.counting
    known = {comparable_name(concept.name): concept for concept in record.concepts}
    sides = sheet.sides.items()
    concepts = {side: [known.get(comparable_name(name)) for name in scored.names] for side, scored in sides}
    return PretrainingFacts(
        record=digest,
        kind=record.kind,
        captions_read=counting.captions if counting else None,
        corpus_captions=counting.corpus_captions if counting else None,
        skipped_files=len(counting.skipped) if counting else 0,
        verdicts={side: tuple(one.verdict if one else None for one in found) for side, found in concepts.items()},
        captions={side: tuple(map(_captions, found)) for side, found in concepts.items()},
    )


def _captions(concept: ConceptVerdict | None) -> int | None:
    """Captions that mention a concept by one of its names, where the text tower read them."""
    return concept.within.longest if concept is not None and concept.within is not None else None


def _preference(facts: PretrainingFacts) -> tuple[bool, int, int, str]:
    """Less for the facts of a better record."""
    known = sum(verdict is not None for verdicts in facts.verdicts.values() for verdict in verdicts)
    return facts.kind != "counted", -known, -(facts.captions_read or 0), facts.record


def _accuracy_on(chosen: Sequence[bool], accuracy: Sequence[float | None], images: Sequence[int]) -> float | None:
    """Accuracy on the images of some classes; None if they have no image."""
    parts = [(n, value) for take, n, value in zip(chosen, images, accuracy, strict=True) if take and value is not None]
    total = sum(n for n, _ in parts)
    return sum(n * value for n, value in parts) / total if total else None


def _source(facts: PretrainingFacts) -> str:
    """How the verdicts were found: also how much of the corpus was read."""
    if facts.captions_read is None:
        return facts.kind
    of = f" of {facts.corpus_captions:,}" if facts.corpus_captions else ""
    skipped = f", {pluralize(facts.skipped_files, 'files')} skipped" if facts.skipped_files else ""
    return f"counted in {facts.captions_read:,}{of} captions{skipped}"


@dataclass(frozen=True)
class AbsentNames:
    """How many OOP names of a row are absent from the corpus of its backbone, and the accuracy on those.

    Attributes:
        names: OOP names of the domains whose names a record knows.
        domains: all domains, and how many of them no record knows.
        known: those with a verdict.
        absent: those that no caption mentions.
        sources: of the verdicts: ``stated``, or ``counted in 10,000 captions``; empty without a record.
        top1: accuracy on images of absent names, averaged over the domains that have some; None for an incomplete row.
    """

    names: int
    domains: tuple[int, int]
    known: int
    absent: int
    sources: tuple[str, ...]
    top1: float | None

    @property
    def text(self) -> str:
        """For people: ``80 of 83 (counted in 10,000 captions)``, or that there is no record."""
        if not self.sources:
            return "no record of the corpus"
        unknown = f", {self.names - self.known} not in the record" if self.known < self.names else ""
        domains, without = self.domains
        left_out = f"; no record of {without} of {domains} domains" if without else ""
        return f"{self.absent} of {self.names} ({' and '.join(self.sources)}{unknown}{left_out})"


def absent_names(row: Row) -> AbsentNames:
    """The summary of a row's facts over its domains."""
    found = [data.pretraining for data in row.data.values() if data.pretraining is not None]
    values = [facts.absent_top1 for facts in found if facts.absent_top1 is not None]
    return AbsentNames(
        names=sum(len(facts.verdicts["oop"]) for facts in found),
        domains=(len(row.data), len(row.data) - len(found)),
        known=sum(verdict is not None for facts in found for verdict in facts.verdicts["oop"]),
        absent=sum(facts.verdicts["oop"].count("oop") for facts in found),
        sources=tuple(sorted(set(map(_source, found)))),
        top1=sum(values) / len(values) if values and row.complete else None,
    )
