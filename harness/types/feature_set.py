"""Image features with labels and names, as they are handed out and taken in: arrays in the order of a split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.prompts import clean_name
from harness.types.split import PARTS, SIDES, Part, Side


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of the images of one part of one side of a domain.

    Attributes:
        domain: e.g. ``Food``.
        side: ``ip`` or ``oop``.
        part: ``train``, ``val`` or ``test``.
        names: k class names, all different; position = label.
        features: ``(n, d)`` float32; unit rows where the harness made them, else of any length but zero. An array or a
            torch tensor of any floating-point type may be given.
        labels: ``(n,)`` int64, from whole numbers.
        paths: n paths in the folder, all different; they decide few-shot draws. () is the numbers of the images.
        captions: n captions or Nones; () is none at all.

    Raises:
        DataError: a field is of a wrong type, the shapes do not fit, or a number is not finite.
    """

    domain: str
    side: Side
    part: Part
    names: tuple[str, ...]
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    paths: tuple[str, ...] = ()
    captions: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        features, labels = self._array("features", "fiuV", np.float32), self._array("labels", "iu", np.int64)
        n = len(labels)
        names = self._texts("names")
        paths = self._texts("paths") or tuple(f"{number:08d}" for number in range(n))
        captions = self._texts("captions", (str, type(None))) or (None,) * n
        fields = {"names": names, "features": features, "labels": labels, "paths": paths, "captions": captions}
        for field, value in fields.items():
            object.__setattr__(self, field, value)
        self._require(self.side in SIDES and self.part in PARTS, "has no such side or part")
        self._require(features.ndim == 2 and labels.ndim == 1, "must have features (n, d) and labels (n,)")
        self._require(len(features) == n == len(paths) == len(captions), "has parts of different lengths")
        self._require(len(set(paths)) == n, "has a path twice")
        self._require(len(set(map(clean_name, names))) == len(names), "has a class name twice")
        self._require(bool(((labels >= 0) & (labels < len(names))).all()), "has a label without a name")
        self._require(bool(np.isfinite(features).all() and features.any(axis=1).all()), "has a zero or infinite row")

    def _texts(self, field: str, types: tuple[type, ...] = (str,)) -> tuple[Any, ...]:
        """A field of several texts, as a tuple."""
        given = getattr(self, field)
        several = isinstance(given, Iterable) and not isinstance(given, str)
        found = tuple(given) if several else ()
        self._require(
            several and all(isinstance(text, types) for text in found), f"must have a list of texts as {field}"
        )
        return found

    def _array(self, field: str, kinds: str, dtype: Any) -> NDArray[Any]:
        """A field as an array of a type, from numbers of some of numpy's kinds."""
        try:
            given = _numpy(getattr(self, field))
            found = np.ascontiguousarray(given, dtype=dtype)
        except (TypeError, ValueError, RuntimeError):  # text, None, or rows of different lengths
            given = found = np.array([None])
        good = given.dtype.kind in kinds or not given.size
        self._require(good, f"must have an array of {'whole ' if kinds == 'iu' else ''}numbers as {field}")
        return found

    def _require(self, good: bool, fault: str) -> None:
        if not good:
            raise DataError(f"the features of {self.domain} {self.side} {self.part}: the set {fault}")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.features.shape))
        return f"FeatureSet({self.domain} {self.side} {self.part}: {shape} features of {len(self.names)} classes)"


def _numpy(given: Any) -> NDArray[Any]:
    if hasattr(given, "detach"):  # a torch tensor; numpy has no bfloat16
        given = given.detach().cpu().double().numpy() if given.is_floating_point() else given.detach().cpu().numpy()
    return np.asarray(given)
