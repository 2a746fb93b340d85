"""Check the arguments of the Python API, and bring them into the form of a request."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files import expand_user
from harness.matching.native import usable_cores
from harness.method import Method
from harness.types.feature_set import FeatureSet


def listed(given: Any) -> list[Any]:
    """One thing or several, as a list."""
    several = isinstance(given, Iterable) and not isinstance(given, str | type | Method | FeatureSet)
    return list(given) if several else [given]


def texts(name: str, given: str | Iterable[str]) -> tuple[str, ...]:
    """A name or several.

    Raises:
        UserError: one is not text.
    """
    found = listed(given)
    if not all(isinstance(text, str) for text in found):
        raise UserError(f"{name}={given!r} is not a name or a list of names", "give text, or a list of texts")
    return tuple(found)


def numbers(name: str, given: int | Iterable[int]) -> tuple[int, ...]:
    """A whole number or several, without repetitions.

    Raises:
        UserError: one is not a whole number.
    """
    several = [given] if _is_whole(given) else listed(given)
    if not all(map(_is_whole, several)):
        raise UserError(f"{name}={given!r} is not a whole number or a list of them", f"for example {name}=[1, 2, 4]")
    return tuple(dict.fromkeys(map(operator.index, several)))


def worker_count(given: int | None) -> int:
    """The number of workers; None is one for each core.

    Raises:
        UserError: it is not a whole number.
    """
    if given is None:
        return usable_cores()
    if not _is_whole(given):
        raise UserError(f"workers={given!r} is not a whole number", "for example workers=2")
    return operator.index(given)


def _is_whole(given: Any) -> bool:
    """Whether something is an integer of Python, numpy or torch; a bool is not."""
    try:
        return operator.index(given) is not None and not isinstance(given, bool)
    except TypeError:
        return False


def path(name: str, given: str | PathLike[str]) -> Path:
    """A path whose ``~`` is the home folder.

    Raises:
        UserError: it is not a path.
    """
    if not isinstance(given, str | PathLike):
        raise UserError(f"{name}={given!r} is not a path", f'for example {name}="folder"')
    return expand_user(Path(given))


def paths(name: str, given: str | PathLike[str] | Iterable[str | PathLike[str]]) -> tuple[Path, ...]:
    """A path or several.

    Raises:
        UserError: one is not a path.
    """
    every = [given] if isinstance(given, str | PathLike) else list(given)
    return tuple(path(name, one) for one in every)


def path_or_none(name: str, given: str | PathLike[str] | None) -> Path | None:
    """A path whose ``~`` is the home folder, None for None.

    Raises:
        UserError: it is not a path.
    """
    return None if given is None else path(name, given)


def feature_sets(given: FeatureSet | Iterable[FeatureSet]) -> tuple[FeatureSet, ...]:
    """One set of features or several.

    Raises:
        UserError: one is not a ``harness.FeatureSet``.
    """
    found = listed(given)
    if not all(isinstance(one, FeatureSet) for one in found):
        raise UserError("features are not a harness.FeatureSet or a list of them", "make one of each array")
    return tuple(found)


def parameter_values(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Values by parameter name; none for None.

    Raises:
        UserError: it is not a dictionary of names.
    """
    if given is not None and not (isinstance(given, Mapping) and all(isinstance(name, str) for name in given)):
        raise UserError(f"parameters={given!r} are not values by name", 'for example parameters={"lr": 0.002}')
    return given or {}
