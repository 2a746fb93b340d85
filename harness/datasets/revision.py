"""Which revision of a data set a folder holds, where something wrote it down."""

from __future__ import annotations

import json
from pathlib import Path

from harness.datasets.layout import MINIATURE_MARKER
from harness.files import read_file

DOWNLOAD_RECORD = "laion_beyond_download.json"
"""Beside the folders: repository, revision, the commit that it stood for, all folders, and those that are complete."""


def read_revision(root: Path) -> str | None:
    """The commit of a download, the version of the miniature's world, or None.

    It is for people: what the numbers rest on is told by fingerprints.
    """
    for file, key in ((DOWNLOAD_RECORD, "commit"), (MINIATURE_MARKER, "world")):
        try:
            return str(json.loads(read_file(root / file))[key])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
