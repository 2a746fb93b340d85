"""The recorded revision of a data set in a folder."""

from __future__ import annotations

import json
from pathlib import Path

from harness.datasets.layout import MINIATURE_MARKER
from harness.files import read_file

DOWNLOAD_RECORD = "laion_beyond_download.json"
"""File next to the folders: repository, revision, its commit, all folders and the complete ones."""


def read_revision(root: Path) -> str | None:
    """The commit of a download, the version of the miniature's world, or None.

    For information only: fingerprints identify the data of a result.
    """
    for file, key in ((DOWNLOAD_RECORD, "commit"), (MINIATURE_MARKER, "world")):
        try:
            return str(json.loads(read_file(root / file))[key])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
