"""The record of a corpus: which concepts its captions mention, as a versioned JSON file.

A record is either counted, by ``harness corpus count``, or stated: a list that somebody released with verdicts only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from harness.corpus.counts import EvidenceRule, RuleCounts, decide, upper_bound
from harness.errors import DataError, UserError, os_reason
from harness.files import read_file, reading_hint, save
from harness.parsing import parse_json, parsing
from harness.types.cell import Count, Record, Sha256
from harness.types.pretraining import CorpusVerdict, RecordKind

SCHEMA: Literal[1] = 1

RULES_VERSION: Literal[1] = 1
"""Version of the rules and of the folding; counts of different versions are never added or compared."""

HINT = "`harness corpus count` writes these records"

LONGEST_CAPTION = 1000
"""Characters of a caption that evidence keeps."""

_Entry = TypeVar("_Entry", bound=Record)


class Evidence(Record):
    """A caption that mentions a concept.

    Attributes:
        file: the path of its file, as in ``Counting.files``.
        row: its row in the file, from 0.
        rule: the strictest rule that counts it.
        caption: its text as it is in the file, cut to ``LONGEST_CAPTION`` characters.
    """

    file: str
    row: Count
    rule: EvidenceRule
    caption: str


class ConceptVerdict(Record):
    """What is known about one concept.

    Attributes:
        name: as in the names file; unique in a record.
        synonyms: other names of the concept.
        verdict: whether it occurs in the corpus.
        within: captions that mention it within the context length; None in a stated record.
        beyond: captions that mention it only after the context length; None in a stated record.
        evidence: the captions chosen by hash, the strictest rule first.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    verdict: CorpusVerdict
    within: RuleCounts | None = None
    beyond: RuleCounts | None = None
    evidence: tuple[Evidence, ...] = ()


class CaptionFile(Record):
    """One file that was read to its end, identified by the sha256 of its bytes or, if remote, by size and etag."""

    path: str
    bytes: Count
    sha256: Sha256 | None = None
    etag: str | None = None
    rows: Count
    captions: Count = Field(description="rows with a caption")

    @model_validator(mode="after")
    def _has_rows_for_captions(self) -> CaptionFile:
        if self.captions > self.rows:
            raise ValueError("it has more captions than rows")
        return self

    @property
    def identity(self) -> str:
        """The same for the same content."""
        return self.sha256 or f"{self.path} {self.bytes} {self.etag}"


class SkippedFile(Record):
    """A file that could not be read; nothing of it is counted."""

    path: str
    reason: str


class Counting(Record):
    """What decides the counts, and what was read.

    Attributes:
        rules_version: of the rules and of the folding.
        context_length: positions of the text tower, start and end token included.
        min_hits: phrase counts from which a concept is in pre-training.
        evidence_per_concept: captions kept for each concept.
        corpus_captions: captions of the whole corpus, where it was stated.
        files: sorted by path.
        skipped: sorted by path.
    """

    rules_version: Literal[1] = RULES_VERSION
    context_length: Annotated[int, Field(ge=3)]
    min_hits: Annotated[int, Field(ge=1)]
    evidence_per_concept: Annotated[int, Field(ge=0)]
    corpus_captions: Count | None = None
    files: tuple[CaptionFile, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()

    @property
    def rows(self) -> int:
        """Rows that were read."""
        return sum(file.rows for file in self.files)

    @property
    def captions(self) -> int:
        """Rows with a caption."""
        return sum(file.captions for file in self.files)


class CorpusRecord(Record):
    """Verdicts about a list of concepts for one corpus.

    Attributes:
        corpus: the name of the corpus, such as LAION-400M.
        kind: ``counted`` by this package, or ``stated`` by somebody else.
        source: who states a stated record, and where.
        names_sha256: ``names_digest`` of the names and synonyms.
        concepts: in the order of the names file.
        counting: None in a stated record.
    """

    schema_version: Literal[1] = SCHEMA
    corpus: str
    kind: RecordKind
    source: str | None = None
    names_sha256: Sha256
    counting: Counting | None = None
    concepts: tuple[ConceptVerdict, ...]

    @model_validator(mode="after")
    def _consistent(self) -> CorpusRecord:
        if len(self.by_name) != len(self.concepts):
            raise ValueError("a name occurs twice")
        if self.names_sha256 != names_digest({concept.name: concept.synonyms for concept in self.concepts}):
            raise ValueError("its names are not those of names_sha256")
        if (self.kind == "counted") != (self.counting is not None):
            raise ValueError("a counted record, and no other, says how it was counted")
        for concept in self.concepts:
            _require_verdict(concept, self.counting)
        if self.counting is not None:
            captions = self.counting.captions
            if (wrong := next((c.name for c in self.concepts if not _is_possible(c, captions)), None)) is not None:
                raise ValueError(f"{captions} captions cannot give the counts of {wrong}")
            rows = {file.path: file.rows for file in self.counting.files}
            if wrong := next((c.name for c in self.concepts for e in c.evidence if e.row >= rows.get(e.file, 0)), None):
                raise ValueError(f"the evidence of {wrong} is of no row of its files")
        return self

    @cached_property
    def by_name(self) -> Mapping[str, ConceptVerdict]:
        """Name -> concept."""
        return {concept.name: concept for concept in self.concepts}

    def names(self, verdict: CorpusVerdict) -> list[str]:
        """The names with a verdict."""
        return [concept.name for concept in self.concepts if concept.verdict == verdict]

    @property
    def bound(self) -> float | None:
        """The 95 % upper bound on the count of a concept without hits in the whole corpus; None if not known."""
        if self.counting is None or self.counting.corpus_captions is None:
            return None
        return upper_bound(self.counting.captions, self.counting.corpus_captions)


def _require_verdict(concept: ConceptVerdict, counting: Counting | None) -> None:
    counts = (concept.within, concept.beyond)
    if counting is None:
        if counts != (None, None) or concept.evidence:
            raise ValueError(f"{concept.name} is counted in a stated record")
    elif concept.within is None or concept.beyond is None:
        raise ValueError(f"{concept.name} has no counts")
    elif concept.verdict != decide(concept.within, concept.beyond, counting.min_hits):
        raise ValueError(f"the verdict on {concept.name} does not follow from its counts")


def _is_possible(concept: ConceptVerdict, captions: int) -> bool:
    within, beyond = concept.within or RuleCounts(), concept.beyond or RuleCounts()
    both = within + beyond
    return within.is_possible(captions) and both.is_possible(captions) and len(concept.evidence) <= both.words


def names_digest(names: Mapping[str, Sequence[str]]) -> str:
    """sha256 over names and their synonyms, in their order; independent of the format of the names file."""
    content = [[name, *synonyms] for name, synonyms in names.items()]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def stated(corpus: str, source: str, verdicts: Mapping[str, CorpusVerdict]) -> CorpusRecord:
    """The record of a released list.

    Args:
        corpus: the name of the corpus.
        source: who released the list, and where.
        verdicts: name -> verdict.
    """
    concepts = tuple(ConceptVerdict(name=name, verdict=verdict) for name, verdict in verdicts.items())
    digest = names_digest(dict.fromkeys(verdicts, ()))
    return CorpusRecord(corpus=corpus, kind="stated", source=source, names_sha256=digest, concepts=concepts)


def record_content(record: CorpusRecord) -> bytes:
    """The bytes of a record's file, with a line for each concept: the same for equal records."""
    content = record.model_dump(mode="json", exclude_none=True)
    concepts = ",\n".join(json.dumps(concept, ensure_ascii=False) for concept in content["concepts"])
    head = json.dumps({**content, "concepts": []}, indent=1, ensure_ascii=False).removesuffix("]\n}")
    return f"{head}\n{concepts}\n]\n}}\n".encode()


def write_record(path: Path, record: CorpusRecord) -> None:
    """Write a record atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    save(path, record_content(record), "the record", "choose another file with --out")


def read_record(path: Path) -> CorpusRecord:
    """The record of a file.

    Raises:
        UserError: there is no such file, or it cannot be read.
        DataError: it is not a record, is damaged, or is one of a newer version.
    """
    try:
        content = read_file(path)
    except OSError as error:
        hint = reading_hint(path, error, HINT)
        raise UserError(f"{path} cannot be read: {os_reason(error)}", hint) from None
    return parse_corpus_record(content, str(path))


def parse_corpus_record(content: bytes, where: str) -> CorpusRecord:
    """The record of a file's content; ``where`` names it in errors.

    Raises:
        DataError: as ``read_record``.
    """
    problem = f"{where} is not a valid record of a corpus"
    value = parse_json(content, problem, HINT)
    if not isinstance(value, dict):
        raise DataError(f"{problem}: it is no object", HINT)
    if isinstance(version := value.get("schema_version"), int) and version > SCHEMA:
        raise DataError(f"{where} has schema version {version}, and this harness reads {SCHEMA}", "update the harness")
    # Long lists entry by entry: what a damaged one costs is bounded by the entry, and not by the file.
    value["concepts"] = _entries(ConceptVerdict, value.get("concepts"), f"{problem}: concept")
    counting = value.get("counting")
    if isinstance(counting, dict):
        counting["files"] = _entries(CaptionFile, counting.get("files", []), f"{problem}: file")
        counting["skipped"] = _entries(SkippedFile, counting.get("skipped", []), f"{problem}: skipped file")
    with parsing(problem, HINT):
        return CorpusRecord.model_validate(value)


def _entries(model: type[_Entry], values: Any, problem: str) -> tuple[_Entry, ...]:
    if not isinstance(values, list):
        raise DataError(f"{problem}s are missing", HINT)
    return tuple(_entry(model, value, f"{problem} {number}") for number, value in enumerate(values, start=1))


def _entry(model: type[_Entry], value: Any, problem: str) -> _Entry:
    with parsing(problem, HINT):
        return model.model_validate_json(json.dumps(value))
