"""Names that the shell completes: methods and domains, from metadata and folder names alone."""

from __future__ import annotations

from pathlib import Path

import typer


def methods(incomplete: str) -> list[str]:
    """Installed methods, also after a comma."""
    from harness.registry import names

    return _after_comma(["all", *names("method")], incomplete)


def domains(context: typer.Context, incomplete: str) -> list[str]:
    """Domains of the folder of ``--data``, or of the release, also after a comma."""
    from harness.datasets.layout import RELEASED, parse_folder_name
    from harness.files import list_paths

    data = context.params.get("data")
    folders = [path.name for path in list_paths(data, "*")] if isinstance(data, Path) and data.is_dir() else RELEASED
    found = (parse_folder_name(name) for name in folders)
    return _after_comma(sorted({one.domain for one in found if one}), incomplete)


def executors(incomplete: str) -> list[str]:
    """Executors of the harness and of plugins."""
    from harness.registry import names
    from harness.registry.checks import built_in

    return [name for name in (*built_in("executor"), *names("executor")) if name.startswith(incomplete)]


def _after_comma(names: list[str], incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    taken = set(before.split(","))
    return [f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in taken]
