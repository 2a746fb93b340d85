"""Pack the images that a method may see: their features, and of each kind that it declares one array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.runner.array_files import ArrayFile, ArrayFiles
from harness.runner.feature_provider import FeatureProvider
from harness.runner.image_input import FEATURES, ImageInput, as_floats
from harness.runner.job import Job
from harness.types.features import Features

ROWS = 256
"""Images whose arrays are in memory at the same time while a file is written."""


class ImagePacker:
    """Packs images for one cell.

    Args:
        job: the cell.
        provider: serves features.
        files: for the arrays of pools and of scored images. None keeps all in memory.
    """

    def __init__(self, job: Job, provider: FeatureProvider, files: ArrayFiles | None) -> None:
        self._job, self._provider, self._files = job, provider, files
        self._written: list[ArrayFile] = []

    def drawn(self, features: Features) -> ImageInput:
        """Few-shot images, in all views of their features."""
        views = features.image.shape[1]
        kinds = {kind: self._rows(kind, features.sha256, views) for kind in self._job.method.kinds}
        return ImageInput({FEATURES: as_floats(features.image), **kinds})

    def pool(self, parts: Sequence[Features], position: NDArray[np.int64] | None = None, views: int = 1) -> ImageInput:
        """The images of several pools, in their own order or in that of positions, in v views."""
        sha256 = [digest for part in parts for digest in part.sha256]
        at = np.arange(len(sha256)) if position is None else position
        ordered = [sha256[i] for i in at.tolist()]
        kinds = {kind: self._large(kind, ordered, views) for kind in self._job.method.kinds}
        if views > 1:
            return ImageInput({FEATURES: self._large(FEATURES, ordered, views), **kinds})
        image = np.concatenate([as_floats(part.image) for part in parts])
        return ImageInput({FEATURES: image[at], **kinds})

    def remove_files(self) -> None:
        """Remove the files that were written for this cell."""
        if self._files is not None:
            self._files.remove(self._written)

    def _large(self, kind: str, sha256: Sequence[str], views: int) -> NDArray[Any] | ArrayFile:
        if self._files is None or not sha256:
            return self._rows(kind, sha256, views)
        written = self._files.save(len(sha256), self._in_parts(kind, sha256, views))
        self._written.append(written)
        return written

    def _in_parts(self, kind: str, sha256: Sequence[str], views: int) -> Iterator[NDArray[Any]]:
        for start in range(0, len(sha256), ROWS):
            yield self._rows(kind, sha256[start : start + ROWS], views)

    def _rows(self, kind: str, sha256: Sequence[str], views: int) -> NDArray[Any]:
        return self._provider.rows(kind, sha256, views, self._job.method.crop)
