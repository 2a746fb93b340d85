"""Published figures as they stand in a folder of JSON files, to be set beside ours where the setting is the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.types.leaderboard import Row


@dataclass(frozen=True)
class Reference:
    """One published row.

    Attributes:
        method: as the harness calls it where it has it.
        shots: 0 for a method without few-shot images.
        dataset: the name of the data set.
        backbone: architecture and weights, as in a row.
        source: where it was published.
        domains: domain -> metric -> fraction.
        mean: metric -> fraction, as published.
    """

    method: str
    shots: int
    dataset: str
    backbone: str
    source: str
    domains: Mapping[str, Mapping[str, float]]
    mean: Mapping[str, float]

    def value(self, domain: str, metric: str) -> float | None:
        """A published figure, or None."""
        return self.domains.get(domain, {}).get(metric)

    def comparable(self, row: Row) -> bool:
        """Whether it is about the same data with the same model; its protocol is the released code's."""
        return self.dataset == row.dataset and self.backbone == row.backbone


def read_published(folder: Path) -> list[Reference]:
    """Every row of every JSON file of a folder; nothing if there is no such folder.

    A file is ``{"rows": [{"method", "shots", "dataset", "backbone", "source", "domains", "mean"}, ...]}``; what a file
    says beside its rows (data set, backbone, source) holds for those that say nothing else.

    Raises:
        DataError: a file is not that.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            shared = {key: value for key, value in content.items() if key != "rows"}
            found += [_reference({**shared, **row}) for row in content["rows"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise DataError(
                f"{path.name} is no file of published rows: {reason}", "see leaderboards/published"
            ) from None
    return sorted(found, key=lambda r: (r.dataset, r.backbone, r.shots, r.method, r.source))


def comparable(references: Iterable[Reference], row: Row) -> list[Reference]:
    """Those that may stand in one plot with a row."""
    return [reference for reference in references if reference.comparable(row)]


def _reference(content: Mapping[str, Any]) -> Reference:
    domains = {str(domain): _figures(values) for domain, values in content["domains"].items()}
    return Reference(
        method=str(content["method"]),
        shots=int(content.get("shots", 0)),
        dataset=str(content.get("dataset", "")),
        backbone=str(content.get("backbone", "")),
        source=str(content.get("source", "")),
        domains=domains,
        mean=_figures(content.get("mean", {})),
    )


def _figures(values: Mapping[str, Any]) -> dict[str, float]:
    """Figures as plain fractions, or as ``{"mean": fraction}``."""
    plain = {key: value["mean"] if isinstance(value, dict) else value for key, value in values.items()}
    return {str(key): float(value) for key, value in plain.items() if value is not None}
