"""Records as sums: of files, of shards, of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.corpus.counts import RULES, STRICTNESS, RuleCounts, decide
from harness.corpus.record import (
    LONGEST_CAPTION,
    ConceptVerdict,
    CorpusRecord,
    Counting,
    Evidence,
    names_digest,
)
from harness.corpus.tally import CaptionSample, Tally, file_seed, sample_key, text_seed
from harness.errors import UserError


def record_of(corpus: str, names: Mapping[str, Sequence[str]], counting: Counting, tally: Tally) -> CorpusRecord:
    """The record of what was counted."""
    return CorpusRecord(
        corpus=corpus,
        kind="counted",
        names_sha256=names_digest(names),
        counting=counting.model_copy(
            update={
                "files": tuple(sorted(counting.files, key=lambda file: file.path)),
                "skipped": tuple(sorted(counting.skipped, key=lambda file: file.path)),
            }
        ),
        concepts=tuple(
            _concept(number, name, tuple(synonyms), counting.min_hits, tally)
            for number, (name, synonyms) in enumerate(names.items())
        ),
    )


def _concept(number: int, name: str, synonyms: tuple[str, ...], min_hits: int, tally: Tally) -> ConceptVerdict:
    within, beyond = tally.of(number)
    evidence = tuple(
        Evidence(file=one.file, row=one.row, rule=STRICTNESS[one.key >> 62], caption=one.caption[:LONGEST_CAPTION])
        for one in tally.samples.get(number, ())
    )
    return ConceptVerdict(
        name=name,
        synonyms=synonyms,
        verdict=decide(within, beyond, min_hits),
        within=within,
        beyond=beyond,
        evidence=evidence,
    )


def tally_of(record: CorpusRecord, counting: Counting) -> Tally:
    """The tally of a counted record."""
    tally = Tally.empty(len(record.concepts), counting.evidence_per_concept)
    for number, concept in enumerate(record.concepts):
        both = (concept.within or RuleCounts(), concept.beyond or RuleCounts())
        tally.counts[number] = [[getattr(counts, rule) for rule in RULES] for counts in both]
        seed = text_seed(concept.name)
        samples = []
        for one in concept.evidence:
            key = sample_key(STRICTNESS.index(one.rule), seed, file_seed(one.file), one.row)
            samples.append(CaptionSample(key, one.file, one.row, one.caption))
        if samples:
            tally.sample(number, samples)
    return tally


def merge(records: Mapping[str, CorpusRecord]) -> CorpusRecord:
    """The record of several disjoint parts of one corpus.

    Args:
        records: what each is called in errors -> record.

    Raises:
        UserError: they are of other corpora, names, rules or settings, or two have a file in common.
    """
    counted = {where: (record, _counting(where, record)) for where, record in records.items()}
    (first_where, (first, first_counting)), *others = counted.items()
    tally, files, skipped = tally_of(first, first_counting), [*first_counting.files], [*first_counting.skipped]
    seen = {file.identity: first_where for file in files if file.rows}
    for where, (record, counting) in others:
        _require_same(first_where, first, first_counting, where, record, counting)
        for file in counting.files:
            if (other := seen.setdefault(file.identity, where)) != where and file.rows:
                raise UserError(f"{other} and {where} both count {file.path}", "merge records of different files only")
        tally.add(tally_of(record, counting))
        files += counting.files
        skipped += counting.skipped
    names = {concept.name: concept.synonyms for concept in first.concepts}
    update = {"files": tuple(files), "skipped": tuple(skipped)}
    return record_of(first.corpus, names, first_counting.model_copy(update=update), tally)


def _counting(where: str, record: CorpusRecord) -> Counting:
    if record.counting is None:
        raise UserError(f"{where} is stated, not counted, so it has nothing to add", "merge counted records only")
    return record.counting


def _require_same(
    first_where: str, first: CorpusRecord, one: Counting, where: str, record: CorpusRecord, other: Counting
) -> None:
    pairs = {
        "corpora": (first.corpus, record.corpus),
        "names": (first.names_sha256, record.names_sha256),
        "versions of the rules": (one.rules_version, other.rules_version),
        "context lengths": (one.context_length, other.context_length),
        "smallest counts of a hit": (one.min_hits, other.min_hits),
        "numbers of captions as evidence": (one.evidence_per_concept, other.evidence_per_concept),
        "sizes of the whole corpus": (one.corpus_captions, other.corpus_captions),
    }
    for what, (mine, theirs) in pairs.items():
        if mine != theirs:
            raise UserError(
                f"{first_where} and {where} are of different {what}: {mine} and {theirs}",
                "count all parts with the same names and options",
            )
