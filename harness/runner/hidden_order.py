"""The order in which a cell's process gets images: known to the parent alone, and the same in every run.

The images' own order, by sha256, is that of the stored labels. A process that had them, or a plugin that brought them
along, could read the labels off that order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.types.cell import Spec


class HiddenOrder(NamedTuple):
    """An order of n images: ``position[i]`` is where the i-th one that is sent comes from."""

    position: NDArray[np.int64]

    @classmethod
    def of(cls, spec: Spec, sha256: Sequence[str], what: str = "") -> HiddenOrder:
        """That of a cell: by sha256 of the image's sha256 and of a key, which the data's fingerprint is part of.

        Args:
            spec: of the cell. Its code versions are no part of the key: a corrected docstring must not change numbers.
            sha256: ``(n,)`` of the images.
            what: what the images are for.
        """
        key = f"{spec.dataset.fingerprint}/{spec.domain}/{spec.method.name}/{spec.shots}/{spec.seed}/{what}/"
        keyed = [hashlib.sha256((key + digest).encode()).digest() for digest in sha256]
        return cls(np.array(sorted(range(len(keyed)), key=keyed.__getitem__), dtype=np.int64))

    def restore(self, sent: NDArray[Any]) -> NDArray[Any]:
        """Values of images, from the order in which they were sent, in the images' own order."""
        found = np.empty_like(sent)
        found[self.position] = sent
        return found
