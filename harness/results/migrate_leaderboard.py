"""Migrate older leaderboard files to the present schema, one version at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.errors import DataError
from harness.types.leaderboard import SCHEMA_VERSION

Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes a file's content of version n and returns that of version n + 1; ``schema_version`` is set by the caller."""

MIGRATIONS: Mapping[int, Migration] = {}
"""Version n -> the step to n + 1. Empty as long as version 1, the first, is the present one."""


def migrate(
    content: Any, migrations: Mapping[int, Migration] = MIGRATIONS, present: int = SCHEMA_VERSION
) -> dict[str, Any]:
    """The content of a leaderboard file in the present schema version; what is given is not changed.

    Raises:
        DataError: not a leaderboard, a version that is newer than this harness, or one that no step leads from.
    """
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise DataError(
            "it is not a leaderboard: it has no schema_version", "give a file that `harness evaluate` wrote"
        )
    if version > present:
        raise DataError(
            f"it has schema version {version}, and this harness reads up to {present}",
            "update it: pip install --upgrade laion-beyond-harness",
        )
    while version < present:
        if version not in migrations:
            raise DataError(f"it has schema version {version}, from which no migration is known", "make the file again")
        version += 1
        content = {**migrations[version - 1](content), "schema_version": version}
    return dict(content)
