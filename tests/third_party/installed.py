"""Puts plugins where Python finds installed distributions, without building them."""

from __future__ import annotations

from pathlib import Path


def install(
    site: Path, module: str, code: str, *, name: str | None = None, distribution: str = "", version: str = "1.0"
) -> None:
    """Write a module and the record of a distribution that offers it as a plugin called ``name``."""
    distribution = distribution or f"zoo-{module}"
    path = site / f"{module.replace('.', '/')}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    with (info / "entry_points.txt").open("a") as file:
        file.write(("" if file.tell() else "[harness]\n") + f"{name or module} = {module}\n")
