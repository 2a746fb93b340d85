"""One thumbnail per class, from a data folder with the images that the rows were scored on."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path

from PIL import ImageOps

from harness.datasets.images import crop_to_middle, decode_image
from harness.errors import DataError
from harness.files import read_file
from harness.types.labels import ScoredSide

SIZE = 40
"""Pixels on a side."""

QUALITY = 60

LIMIT = 4_000_000
"""Characters of all thumbnails of a page; the miniature's 396 take 0.32 million."""

LARGEST = 1 << 26
"""Largest image file that is opened, in bytes."""


class Thumbnails:
    """Thumbnails from a data folder; none for an image that is missing or has other content.

    Args:
        root: the folder that holds ``Animals92_OOP`` and the others.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._left = LIMIT
        self._made: dict[tuple[str, str], list[str | None]] = {}

    def of(self, fingerprint: str, name: str, side: ScoredSide) -> list[str | None]:
        """A JPEG in base64 for each class of a side (``oop`` or ``ip``), of its first image; None for none."""
        key = fingerprint, name
        if key not in self._made:
            first: dict[int, int] = {}
            for place in side.order():
                first.setdefault(side.labels[place], place)
            found = (self._one(side, first[c]) if c in first else None for c in range(len(side.names)))
            self._made[key] = [self._afford(made) for made in found]
        return self._made[key]

    def _one(self, side: ScoredSide, place: int) -> str | None:
        file = (self._root / side.folder / side.paths[place]).resolve()
        try:
            # A sheet of labels is untrusted: its paths must stay in the folder and match the image's hash.
            if not file.is_relative_to(self._root):
                return None
            content = read_file(file, LARGEST)
            if hashlib.sha256(content).hexdigest() != side.sha256[place]:
                return None
            small = ImageOps.fit(crop_to_middle(decode_image(content, file.name)), (SIZE, SIZE))
        except (OSError, ValueError, DataError):
            return None
        out = io.BytesIO()
        small.save(out, "JPEG", quality=QUALITY, optimize=True)
        return base64.b64encode(out.getvalue()).decode()

    def _afford(self, made: str | None) -> str | None:
        if made is None or len(made) > self._left:
            return None
        self._left -= len(made)
        return made
