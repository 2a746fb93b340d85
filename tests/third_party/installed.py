"""Puts plugins where Python finds installed distributions, without building them."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

from harness.registry.entry_points import GROUPS, Kind


def install(
    site: Path,
    module: str,
    code: str | None,
    *,
    name: str | None = None,
    value: str | None = None,
    kind: Kind = "method",
    distribution: str = "",
    version: str = "1.0",
) -> None:
    """Write a module (None: write none) and the record of a distribution whose entry point ``name`` names it."""
    distribution = distribution or f"zoo-{module}"
    if code is not None:
        path = site / f"{module.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    points, parser = info / "entry_points.txt", ConfigParser(delimiters="=")
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names keep their case
    parser.read(points)
    parser.read_dict({GROUPS[kind]: {name or module: value or module.removesuffix(".__init__")}})
    with points.open("w") as file:
        parser.write(file)
