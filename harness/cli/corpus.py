"""``harness corpus``: count concepts in captions; show, merge and compare records."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import CORES, Executor, Json, RayAddress, path
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.corpus.record import ConceptVerdict, CorpusRecord

app = typer.Typer(help="Decide which concepts occur in the captions of a pre-training corpus.", no_args_is_help=True)

SHOWN = 20
"""Printed concepts of each verdict; ``--all`` and ``--json`` have all."""

RecordFile = Annotated[Path, typer.Argument(parser=path, help="Record by `harness corpus count`.")]
Out = Annotated[Path, typer.Option("--out", "-o", parser=path, help="Record to write.")]


@app.command()
def count(
    captions: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs, addresses (s3://, hf://): parquet, csv, tsv, jsonl, txt; .gz, .zst."
        ),
    ],
    names: Annotated[
        Path, typer.Option("--names", parser=path, help="LAION-Beyond root, one name a line, or JSON with synonyms.")
    ],
    out: Out,
    column: Annotated[
        str | None, typer.Option("--column", help="Column of the captions.", show_default="caption or text")
    ] = None,
    corpus: Annotated[
        str, typer.Option("--corpus", help="Name of the corpus, as backbones state it: LAION-400M.")
    ] = "unknown",
    corpus_captions: Annotated[
        int | None,
        typer.Option("--corpus-captions", min=1, help="Captions of the whole corpus, of which a part is read."),
    ] = None,
    context_length: Annotated[
        int, typer.Option("--context-length", min=3, help="Context length of the text tower, in tokens of CLIP.")
    ] = 77,
    min_hits: Annotated[int, typer.Option("--min-hits", min=1, help="Phrase counts from which a name is ip.")] = 1,
    evidence: Annotated[int, typer.Option("--evidence", min=0, max=100, help="Captions to keep for each name.")] = 3,
    shard: Annotated[str, typer.Option("--shard", help="Count only every n-th file, from the i-th on: i/n.")] = "1/1",
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Skip damaged files and list them; exit code 1.")
    ] = False,
    threads: Annotated[int, typer.Option("--threads", min=1, max=1024, help="Threads that decode and count.")] = CORES,
    executor: Executor = "local",
    ray_address: RayAddress = None,
) -> int:
    """Count the captions that mention each name, and decide: oop, ip or ambiguous; a stopped count goes on."""
    from harness.cli import console
    from harness.corpus.caption_files import choose_shard, find_sources
    from harness.corpus.count import CountRequest, count_corpus
    from harness.corpus.count_jobs import count_with
    from harness.corpus.names import doubtful_names, read_names
    from harness.corpus.record import Counting, write_record
    from harness.execution.executors import ExecutorSettings
    from harness.files import require_writable
    from harness.runner.resolve_plugins import resolve_executor

    report = console.reporter()
    wanted = read_names(names)
    sources = choose_shard(find_sources(captions), shard)
    if any(source.is_file(names) for source in sources):
        raise UserError(f"the names file {names} is among the captions", "name the files of captions, or use a glob")
    require_writable(out.parent, "the record", "choose another file with --out")
    if out.is_dir():
        raise UserError(f"--out {out} is a folder", "give the file, such as record.json")
    if any(source.is_file(out) for source in sources) or out.resolve() == names.resolve():
        raise UserError(f"--out {out} is a file that is read", "choose another file with --out")
    for sentence in doubtful_names(wanted):
        report.note(sentence)
    counting = Counting(
        context_length=context_length,
        min_hits=min_hits,
        evidence_per_concept=evidence,
        corpus_captions=corpus_captions,
    )
    request = CountRequest(corpus, wanted, sources, counting, column, threads, keep_going)
    checkpoint = out.with_name(f"{out.name}.unfinished")
    if executor == "local":
        record = count_corpus(request, checkpoint, report)
    else:
        settings = ExecutorSettings(lambda limits: limits, ray_address, threads, report.note)
        with resolve_executor(executor, ray_address, report)(settings) as run:
            record = count_corpus(request, checkpoint, report, partial(count_with, run))
    write_record(out, record)
    checkpoint.unlink(missing_ok=True)
    _show(record, None, False)
    return 1 if record.counting and record.counting.skipped else 0


@app.command()
def show(
    record: RecordFile,
    name: Annotated[list[str] | None, typer.Option("--name", help="Only these names, with their evidence.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All names, not the first of each verdict.")] = False,
    json: Json = False,
) -> int:
    """Show the counts and verdicts of a record."""
    from harness.cli import console
    from harness.corpus.record import read_record, record_content
    from harness.errors import unknown_name

    found = read_record(record)
    for one in name or ():
        if one not in found.by_name:
            raise unknown_name("concept", one, found.by_name)
    if json:
        console.json_text(record_content(found).decode().rstrip())
    else:
        _show(found, name, everything)
    return 0


@app.command()
def merge(
    records: Annotated[list[Path], typer.Argument(parser=path, help="Records of other files of one corpus.")],
    out: Out,
) -> int:
    """Add up records of shards; refuses records that have a file in common; exit code 1 if files were skipped."""
    from harness.corpus.merge import merge as run
    from harness.corpus.record import read_record, write_record

    given = {str(one): read_record(one) for one in records}
    if len(given) < len(records):
        raise UserError("a record is given twice", "give each record once")
    merged = run(given)
    write_record(out, merged)
    _show(merged, None, False)
    return 1 if merged.counting and merged.counting.skipped else 0


@app.command()
def compare(first: RecordFile, second: RecordFile, json: Json = False) -> int:
    """List the names on which two records differ in their verdict; exit code 3 if there are any."""
    from harness.cli import console
    from harness.corpus.compare import compare_records
    from harness.corpus.record import read_record

    found = compare_records(read_record(first), read_record(second))
    if json:
        console.document(found.model_dump(mode="json"))
    else:
        console.lines(*found.sentences(str(first), str(second)))
        if found.changed:
            rows = [[one.name, one.first, one.second] for one in found.changed]
            console.out().print(console.table("", ["name", str(first), str(second)], rows, left=3))
    return console.EXIT_DIFFERENT if found.changed else 0


def _show(record: CorpusRecord, names: list[str] | None, everything: bool) -> None:
    from harness.cli import console
    from harness.cli.print_tables import print_in_parts
    from harness.corpus.describe import describe

    console.lines(*describe(record))
    chosen = [record.by_name[name] for name in names] if names else _chosen(record, everything)
    if record.counting is None:
        print_in_parts("", ["name", "verdict"], [[one.name, one.verdict] for one in chosen], left=2)
        return
    columns = ["name", "verdict", "phrase", "folded", "synonyms", "longest", "words", "beyond"]
    print_in_parts("", columns, [_row(one) for one in chosen], left=2)
    if not names and len(chosen) < len(record.concepts):
        console.lines(
            f"{len(record.concepts) - len(chosen)} more names; --all and --json have all, --name its evidence"
        )
    for one in chosen if names else ():
        console.lines(*(f"{one.name}: {e.rule} in {e.file} row {e.row}: {e.caption}" for e in one.evidence))


def _chosen(record: CorpusRecord, everything: bool) -> list[ConceptVerdict]:
    if everything:
        return list(record.concepts)
    return [record.by_name[name] for verdict in ("oop", "ambiguous", "ip") for name in record.names(verdict)[:SHOWN]]


def _row(concept: ConceptVerdict) -> list[str]:
    assert concept.within is not None
    assert concept.beyond is not None
    w = concept.within
    counts = (w.phrase, w.folded, w.synonyms, w.longest, w.words, concept.beyond.words)
    return [concept.name, concept.verdict, *(f"{number:,}" for number in counts)]
