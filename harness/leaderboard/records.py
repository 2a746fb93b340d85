"""Rows as plain records, one for every row and domain, for data frames, CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from harness.types.leaderboard import Row

TEXTS = ("row", "method", "protocol", "dataset", "backbone", "domain", "failure")
"""Columns of text."""


def records(row: Row) -> Iterator[dict[str, Any]]:
    """A plain record for every domain of a row.

    Metrics are fractions, means over seeds; ``<metric>_std`` is their standard deviation. ``failure`` says why a domain
    is missing or incomplete, and is None otherwise.
    """
    head = {
        "row": row.id,
        "method": row.method,
        "shots": row.shots,
        "seeds": row.seeds,
        "protocol": row.protocol,
        "dataset": row.dataset,
        "backbone": row.backbone,
    }
    reasons: dict[str, str] = {}
    for failure in row.failures:
        reasons.setdefault(failure.domain, f"{failure.kind}: {failure.reason}")
    for domain in dict.fromkeys([*row.domains, *reasons]):
        stats = row.domains.get(domain, {})
        spread = {f"{metric}_std": stat.std for metric, stat in stats.items()}
        figures = {metric: stat.mean for metric, stat in stats.items()}
        yield {**head, "domain": domain, **figures, **spread, "failure": reasons.get(domain)}


def to_csv(found: Iterable[dict[str, Any]]) -> str:
    """Records as CSV: seeds are separated by spaces, and what a record lacks is empty."""
    columns = to_columns(found)
    columns["seeds"] = [" ".join(map(str, seeds)) for seeds in columns.get("seeds", ())]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def to_parquet(found: Iterable[dict[str, Any]]) -> bytes:
    """Records as a Parquet file: text, whole numbers, lists of seeds, and metrics as 64-bit floats."""
    import pyarrow
    import pyarrow.parquet

    columns = to_columns(found)
    kinds = dict.fromkeys(columns, pyarrow.float64()) | dict.fromkeys(TEXTS, pyarrow.string())
    kinds |= {"shots": pyarrow.int64(), "seeds": pyarrow.list_(pyarrow.int64())}
    table = pyarrow.table({name: pyarrow.array(values, kinds[name]) for name, values in columns.items()})
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content)
    return content.getvalue()


def to_columns(found: Iterable[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Column -> its value in every record, None where a record lacks it; in the order of their first appearance."""
    every = list(found)
    names = dict.fromkeys(name for record in every for name in record)
    return {name: [record.get(name) for record in every] for name in names}
