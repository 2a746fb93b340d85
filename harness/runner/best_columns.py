"""The prediction of an image: its best-scored column, and of several best ones the one that its bytes choose.

The process that scores knows no image's sha256, so it finds the best columns, and the parent chooses among several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK = 8192
"""Images that are scored at once."""

Indices = NDArray[np.int64]


class BestColumns(NamedTuple):
    """The columns with the highest score.

    Attributes:
        column: ``(m,)`` a best column of every image.
        tied: ``(r,)`` the images that have several.
        among: ``(r, ceil(k / 8))`` which these are, as bits.
    """

    column: Indices
    tied: Indices
    among: NDArray[np.uint8]

    @classmethod
    def of(cls, scores: Tensor) -> BestColumns:
        """Those of scores ``(m, k)``."""
        highest, column = scores.max(dim=1)
        best = scores == highest[:, None]
        several = best.sum(dim=1, dtype=torch.int32) > 1
        among = np.packbits(best[several].cpu().numpy(), axis=1)
        return cls(column.cpu().numpy().astype(np.int64), several.nonzero()[:, 0].cpu().numpy(), among)

    @classmethod
    def joined(cls, parts: Sequence[BestColumns]) -> BestColumns:
        """Those of the images of all parts."""
        column, among = (np.concatenate([getattr(part, name) for part in parts]) for name in ("column", "among"))
        starts = np.cumsum([0, *(len(part.column) for part in parts[:-1])])
        tied = np.concatenate([part.tied + start for part, start in zip(parts, starts, strict=True)])
        return cls(column, tied, among)

    def arrays(self, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
        """The arrays with their names, to send."""
        yield from ((name, self.column), (f"{name}.tied", self.tied), (f"{name}.among", self.among))

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[Any]], name: str, images: int, columns: int) -> BestColumns:
        """Those that another process sent under a name, of so many images and columns.

        Raises:
            ValueError: they are not.
        """
        column, tied, among = (arrays.get(key) for key in (name, f"{name}.tied", f"{name}.among"))
        if column is None or tied is None or among is None:
            raise ValueError(f"predictions of the {name} names are missing")
        if tied.ndim != 1:
            raise ValueError(f"predictions of the {name} names have wrong shapes")
        shapes = (images,), (len(tied),), (len(tied), (columns + 7) // 8)
        kinds = np.int64, np.int64, np.uint8
        given = column, tied, among
        if tuple(a.shape for a in given) != shapes or tuple(a.dtype for a in given) != tuple(map(np.dtype, kinds)):
            raise ValueError(f"predictions of the {name} names have wrong shapes")
        best = np.unpackbits(among, axis=1)
        fit = _within(column, columns) and _within(tied, images) and bool(best.any(axis=1).all())
        if not fit or best[:, columns:].any():
            raise ValueError(f"predictions of the {name} names are out of range")
        return cls(column, tied, among)

    def choose(self, sha256: Sequence[str]) -> Indices:
        """One column of every image ``(m,)``: among c best ones the image's own sha256 modulo c decides.

        So no name and no side is favoured, a method that scores all names alike is right by chance, and nothing depends
        on order, batch or device.
        """
        chosen = self.column.copy()
        if len(self.tied):
            among = np.unpackbits(self.among, axis=1)
            counts = among.sum(axis=1).tolist()
            turn = np.array([int(sha256[row], 16) % n for row, n in zip(self.tied, counts, strict=True)])
            chosen[self.tied] = (among.cumsum(axis=1) > turn[:, None]).argmax(axis=1)  # the first that is the turn's
        return chosen


def _within(values: Indices, end: int) -> bool:
    return not len(values) or 0 <= int(values.min()) <= int(values.max()) < end
