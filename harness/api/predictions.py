"""The predictions of one cell, for Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.progress import pluralize

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """The predictions of one cell for n scored images.

    Attributes:
        paths: n paths, each ``folder/images/class/file``.
        names: k names; position = column.
        column: ``(n,)`` int64, the predicted column of every image.
        label: ``(n,)`` int64, its right column.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    column: NDArray[np.int64]
    label: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """``(n,)`` whether every prediction is right; its mean is the top-1 accuracy."""
        found: NDArray[np.bool_] = self.column == self.label
        return found

    def __repr__(self) -> str:
        return f"Predictions({pluralize(len(self.paths), 'images')}, {pluralize(len(self.names), 'names')})"

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame with an image a row: path, label and predicted (names), correct."""
        names = np.asarray(self.names, dtype=object)
        columns = {"label": names[self.label], "predicted": names[self.column], "correct": self.correct}
        return frame({"path": list(self.paths), **columns})


def frame(content: Any) -> pandas.DataFrame:
    """A data frame; raises HarnessError where pandas is not installed."""
    try:
        import pandas
    except ImportError:
        hint = "pip install pandas; .rows has the same as plain records"
        raise HarnessError("pandas is not installed", hint) from None
    return pandas.DataFrame(content)
