"""Commands that reproduce a row."""

from __future__ import annotations

import shlex

from harness.parameters import format_value
from harness.protocols import PROTOCOLS
from harness.registry import offers
from harness.results.leaderboard_file import BOARD
from harness.types.leaderboard import Row


def reproduce_command(row: Row, file: str = BOARD) -> str:
    """Command that reruns the row from its record and lists differences."""
    return f"harness reproduce {shlex.quote(f'{file}#{row.id}')}"


def evaluate_command(row: Row) -> str:
    """The row as a ``harness evaluate`` command, as a starting point for changes.

    Every parameter is spelled out, so that a default that changes later changes nothing here. The data folder is the
    user's own.
    """
    words = ["harness", "evaluate", "--plugin", row.method, "--protocol", row.protocol]
    domains = sorted(set(row.data) | {failure.domain for failure in row.failures})
    words += ["--domain", ",".join(domains)]
    if row.shots:
        words += ["--shots", str(row.shots)]
    words += [] if row.seedless else ["--seeds", ",".join(map(str, row.seeds))]
    for name, value in row.method_record.parameters.items():
        words += ["-p", f"{name}={format_value(value)}"]
    words += ["--data", row.dataset if offers("dataset", row.dataset) else "LAION_BEYOND_ROOT"]
    record = row.backbone_record
    words += ["--backbone", record.architecture, "--precision", record.precision]
    words += ["--pretrained", row.given_weights] if row.given_weights else []
    stated = row.stated_preprocessing or {}
    words += ["--preprocessing", ",".join(f"{k}={format_value(v)}" for k, v in stated.items())] if stated else []
    words += ["--compile"] if record.compiled else []
    drawn_elsewhere = row.protocol not in PROTOCOLS and not row.edition("protocol")
    words += ["--manifests", "MANIFESTS"] if drawn_elsewhere and row.shots else []
    words += ["--device", row.device.partition(" ")[0], "--baseline", "none"]
    return " ".join(shlex.quote(word) for word in words)
