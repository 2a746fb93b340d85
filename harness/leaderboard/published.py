"""The paper's results as reference rows: ``leaderboards/published/``, and in every installation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from harness.errors import StorageError
from harness.types.cell import Record

FOLDER = Path(__file__).parent / "published"
"""A link to ``leaderboards/published/`` in a checkout, and a copy of it in an installed package."""


class PublishedSource(Record):
    """Where values were printed."""

    paper: str
    table: str
    pages: str = Field(description="of the paper")
    caption: str


class PublishedRow(Record):
    """One printed row, as fractions.

    ``mean`` is the printed average; ``notes`` say where it differs from the row's own.
    """

    method: str = Field(description="name of the method in this harness; ``clustering`` for any that finds clusters")
    printed_name: str
    dataset: str
    backbone: str | None = Field(description="None where the source does not state it")
    corpus: str
    shots: int
    domains: dict[str, dict[str, float]]
    mean: dict[str, float]
    notes: tuple[str, ...]
    other_kind: str | None = Field(
        default=None,
        description="why the values are not what this harness measures by the same name; None if they are",
    )


class PublishedTable(Record):
    """One printed table."""

    format: Literal["laion-beyond-published/1"]
    source: PublishedSource
    protocol: str
    rows: tuple[PublishedRow, ...]


def published_tables(folder: Path | None = None) -> list[PublishedTable]:
    """All published tables of a folder, by default the paper's, in the order of their file names.

    Raises:
        StorageError: there are none, or one is damaged.
    """
    tables = []
    for path in sorted((folder or FOLDER).glob("*.json")):
        try:
            tables.append(PublishedTable.model_validate_json(path.read_bytes()))
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise StorageError(
                f"{path.name} is not a table of published rows: {where}", "reinstall the package"
            ) from None
    if not tables:
        raise StorageError("the published rows are missing from this installation", "reinstall the package")
    return tables
