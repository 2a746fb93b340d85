"""``harness data import``: options and request; the implementation is imported when called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import CORES, Json, Workers, path
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.corpus.record import CorpusRecord
    from harness.datasets.importing.request import ChooseSides
    from harness.types.split import Part


def import_(
    source: Annotated[
        list[str],
        typer.Argument(
            help="Image folder, .csv, .tsv, .parquet or .tar files, folder of `save_to_disk`, or hf-hub:OWNER/NAME."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Data root to create.")],
    domain: Annotated[str, typer.Option("--domain", "-d", help="Name of the domain, e.g. Vehicles.")],
    hint: Annotated[
        str | None,
        typer.Option(
            "--hint",
            help="What prompts call its concepts, e.g. 'road vehicle'.",
            show_default="the domain's name in lower case",
        ),
    ] = None,
    oop: Annotated[
        Path | None,
        typer.Option("--oop", parser=path, help="Text file of OOP names, one in each line.", show_default="all"),
    ] = None,
    ip: Annotated[
        Path | None, typer.Option("--ip", parser=path, help="Text file of IP names.", show_default="none")
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", parser=path, help="Record of a corpus that decides the sides.")
    ] = None,
    ambiguous: Annotated[
        str | None, typer.Option("--ambiguous", help="Side of ambiguous names of the record: oop, ip or leave-out.")
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            "--names", parser=path, help="Other names: JSON of class -> name, or a text file, line n for class n."
        ),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", help="Shares of train, val and test in a drawn division.")
    ] = "0.25,0.1,0.65",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the drawn division.")] = 0,
    redraw: Annotated[bool, typer.Option("--redraw", help="Draw all parts, whatever the source states.")] = False,
    link: Annotated[bool, typer.Option("--link", help="Write hard links to image files, not copies.")] = False,
    skip_damaged: Annotated[bool, typer.Option("--skip-damaged", help="Leave out damaged images.")] = False,
    image_column: Annotated[str, typer.Option("--image-column", help="Column of images or their paths.")] = "image",
    class_column: Annotated[str, typer.Option("--class-column", help="Column or JSON field of classes.")] = "class",
    split_column: Annotated[str, typer.Option("--split-column", help="Column or JSON field of splits.")] = "split",
    caption_column: Annotated[
        str, typer.Option("--caption-column", help="Column or JSON field of captions.")
    ] = "caption",
    images: Annotated[
        Path | None,
        typer.Option("--images", parser=path, help="Folder of the paths in a table.", show_default="the table's"),
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Licence of the data, for the README.")] = None,
    origin: Annotated[
        str | None, typer.Option("--origin", help="Where the data are from, for the README.", show_default="SOURCE")
    ] = None,
    workers: Workers = CORES,
    json: Json = False,
) -> int:
    """Import an image folder, a table, WebDataset archives or a Hugging Face data set as a data root.

    Example: `harness data import photos --out my-data --domain Vehicles --hint "road vehicle"`
    """
    from harness.cli import console
    from harness.cli.data_report import show_import
    from harness.corpus.record import record_content
    from harness.datasets.importing.import_data import import_data
    from harness.datasets.importing.request import ImportRequest
    from harness.datasets.importing.sample import Columns
    from harness.datasets.layout import RECORDS
    from harness.progress import staged

    verdicts = _record(record, oop, ip, ambiguous)
    request = ImportRequest(
        sources=tuple(source),
        out=out,
        domain=domain,
        noun=_hint(hint),
        choose_sides=_sides(oop, ip, verdicts, ambiguous),
        documents={} if verdicts is None else {f"{RECORDS}/record.json": record_content(verdicts)},
        columns=Columns(image_column, class_column, split_column, caption_column),
        images=images,
        names=names,
        shares=_shares(split),
        seed=seed,
        redraw=redraw,
        link=link,
        skip_damaged=skip_damaged,
        licence=licence,
        origin=origin,
        workers=workers,
    )
    with staged(console.reporter(), "images") as progress:
        report = import_data(request, progress)
    if json:
        console.document(report.model_dump(mode="json"))
    else:
        show_import(report)
    return 0


def _hint(hint: str | None) -> str | None:
    if hint is not None and not hint.strip():
        raise UserError("--hint is empty", "for example --hint 'road vehicle'")
    return " ".join(hint.split()) if hint else None


def _record(record: Path | None, oop: Path | None, ip: Path | None, ambiguous: str | None) -> CorpusRecord | None:
    """The record that decides the sides.

    Raises:
        HarnessError: the options exclude each other, or the file cannot be read.
    """
    from harness.corpus.record import read_record
    from harness.datasets.importing.sides import DECISIONS
    from harness.errors import unknown_name

    if record is None:
        if ambiguous is not None:
            raise UserError("--ambiguous decides about names of a record", "give it with --record")
        return None
    if oop or ip:
        raise UserError("--record excludes --oop and --ip", "give one or the other")
    if ambiguous is not None and ambiguous not in DECISIONS:
        raise unknown_name("decision", ambiguous, DECISIONS)
    return read_record(record)


def _sides(oop: Path | None, ip: Path | None, record: CorpusRecord | None, ambiguous: str | None) -> ChooseSides:
    """How the sides of the classes are chosen.

    Raises:
        HarnessError: a list cannot be read.
    """
    from harness.datasets.importing.sides import read_names, sides_by_lists, sides_by_verdicts

    if record is None:
        lists = [read_names(file) if file else None for file in (oop, ip)]
        return lambda classes: sides_by_lists(classes, *lists)
    verdicts = {concept.name: str(concept.verdict) for concept in record.concepts}
    return lambda classes: sides_by_verdicts(classes, verdicts, ambiguous)


def _shares(text: str) -> dict[Part, float]:
    from harness.types.split import PARTS

    try:
        values = [float(value) for value in text.split(",")]
        return dict(zip(PARTS, values, strict=True))
    except ValueError:
        raise UserError(f"--split {text!r} is not three numbers", "for example --split 0.25,0.1,0.65") from None
