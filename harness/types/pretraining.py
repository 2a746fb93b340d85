"""What is known about a domain's names in the pre-training corpus of a backbone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.types.cell import Count, MetricValue, Record, Sha256

CorpusVerdict = Literal["oop", "ip", "ambiguous"]
"""Whether the captions of a corpus mention a concept: never, surely, or perhaps."""

RecordKind = Literal["counted", "stated"]
"""Whether captions were counted, or somebody released a list of verdicts."""


class PretrainingFacts(Record):
    """Verdicts and counts of a domain's names, from one record of the backbone's corpus.

    Lists are in the order of the names of their side; None stands for a name that the record lacks.
    """

    record: Sha256 = Field(description="sha256 of the record's file, corpora/<sha256>.json in the results folder")
    kind: RecordKind
    captions_read: Count | None = Field(default=None, description="captions that were counted; None in a stated record")
    corpus_captions: Count | None = Field(default=None, description="captions of the whole corpus, where it is stated")
    skipped_files: Count = Field(default=0, description="files that could not be read and are not counted")
    verdicts: dict[str, tuple[CorpusVerdict | None, ...]] = Field(description="side -> verdict of each name")
    captions: dict[str, tuple[Count | None, ...]] = Field(
        default={}, description="side -> captions that mention each name; None where they were not counted"
    )
    absent_top1: MetricValue | None = Field(
        default=None,
        description="accuracy among the OOP names on images of those that are absent from the corpus, averaged over "
        "seeds; None without such images",
    )
