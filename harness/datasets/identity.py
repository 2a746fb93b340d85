"""The name and revision that a data folder states, for people; content is identified by fingerprints."""

from __future__ import annotations

import json
from pathlib import Path

from harness.files import read_file

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
        return str(json.loads(read_file(file))[key])
    except (OSError, ValueError, KeyError, TypeError):
        return None
