"""``python -m gpu_check.compare_runs FIRST SECOND CPU``: three results folders of the same grid, compared, as JSON.

The first two ran on one device and must have the same bytes; how many predictions of the third differ is counted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from harness.metrics.prediction_kinds import PREDICTIONS

BOARD = "leaderboard.json"


def compare(first: Path, second: Path, other: Path) -> dict[str, Any]:
    """Whether two runs are the same, and how far a third is from them."""
    ours, theirs = _rows(first), _rows(other)
    if ours.keys() != theirs.keys():
        raise ValueError("the runs have different rows")
    counts = {method: _count(first, row, other, theirs[method]) for method, row in ours.items()}
    return {
        "same_bytes": (first / BOARD).read_bytes() == (second / BOARD).read_bytes(),
        "failed_cells": sum(len(row["failures"]) for row in ours.values()),
        "predictions": sum(total for _, total in counts.values()),
        "different": sum(different for different, _ in counts.values()),
        "different_by_method": {method: different for method, (different, _) in counts.items()},
        "largest_difference_of_a_metric": max(map(_apart, ours.values(), (theirs[method] for method in ours))),
    }


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    rows = json.loads((folder / BOARD).read_text(encoding="utf-8"))["rows"]
    return {row["method"]: row for row in rows}


def _count(folder: Path, row: dict[str, Any], other_folder: Path, other: dict[str, Any]) -> tuple[int, int]:
    """(different predictions, predictions) of all domains and seeds of a row."""
    different = total = 0
    for domain, data in row["data"].items():
        for seed, digest in data["predictions"].items():
            one, two = _columns(folder, digest), _columns(other_folder, other["data"][domain]["predictions"][seed])
            different += sum(int((one[key] != two[key]).sum()) for key in one)
            total += sum(values.size for values in one.values())
    return different, total


def _columns(folder: Path, digest: str) -> dict[str, Any]:
    """The predicted names and clusters; confidences, which depend on the last digits of scores, are left out."""
    stored = load_file(folder / "predictions" / digest[:2] / f"{digest}.safetensors")
    return {key: values for key, values in stored.items() if PREDICTIONS[key].holds in ("names", "clusters")}


def _apart(row: dict[str, Any], other: dict[str, Any]) -> float:
    both = row["mean"].keys() & other["mean"].keys()
    return max((abs(row["mean"][name]["mean"] - other["mean"][name]["mean"]) for name in both), default=0.0)


def main(arguments: list[str]) -> int:
    """Print one line of JSON; 1 where the first two differ or a cell failed."""
    found = compare(*map(Path, arguments))
    print(json.dumps(found))
    return 0 if found["same_bytes"] and not found["failed_cells"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
