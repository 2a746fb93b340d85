"""The name and revision that a data folder states, for people; content is identified by fingerprints."""

from __future__ import annotations

from pathlib import Path

from harness.errors import HarnessError
from harness.files import read_file
from harness.parsing import parse_json

MAX_BYTES = 1 << 20
"""Largest file that states a name or revision; a download's also lists the folders."""

MAX_NAME = 200
"""Characters of a name."""

IDENTITY = "dataset.json"
"""A file at the root with the ``name`` of the data set and the ``revision`` of its content."""

DOWNLOAD_RECORD = "laion_beyond_download.json"
"""A file at the root of a download: repository, revision and its commit, and its folders."""


def name_of(root: Path) -> str | None:
    """The name that a data folder states, or None."""
    return _field(root / IDENTITY, "name")


def read_revision(root: Path) -> str | None:
    """The commit of a download, the revision that the data folder states, or None."""
    return _field(root / DOWNLOAD_RECORD, "commit") or _field(root / IDENTITY, "revision")


def _field(file: Path, key: str) -> str | None:
    try:
        content = parse_json(read_file(file, MAX_BYTES), f"{file} is damaged")
        return str(content[key])[:MAX_NAME] if isinstance(content, dict) and key in content else None
    except (OSError, HarnessError):
        return None
