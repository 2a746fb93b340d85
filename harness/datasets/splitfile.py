"""Parse ``split_Xin_<folder>.json`` into entries, and report invalid entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.datasets.disk import ProblemKind
from harness.errors import DataError
from harness.files import detect_placeholder, read_file
from harness.parsing import parse_json, unique_keys
from harness.prompts import clean_name
from harness.types.split import PARTS, Part, nfc

OnProblem = Callable[[ProblemKind, str, str], None]
"""Callback with (kind, path relative to the folder, message); the reader raises, the check collects."""

_DOWNLOAD_HINT = "download or unpack the folder again"
_SHOWN = 200  # characters of a wrong key or value in a message
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


class SplitEntry(NamedTuple):
    """One image as listed in the split file; the superclass after clean-up."""

    part: Part
    key: str
    classname: str
    image_name: str
    label: int
    caption: str | None
    s_label: int | None
    superclass: str | None


class OneToOne:
    """A one-to-one relation of names and labels, defined by the first pair of each.

    Args:
        name: term for a name in messages.
        label: term for a label in messages.

    Attributes:
        name_of: label -> name.
    """

    def __init__(self, name: str, label: str) -> None:
        self._name, self._label = name, label
        self.name_of: dict[int, str] = {}
        self._label_of: dict[str, int] = {}

    def conflict(self, name: str, label: int) -> str | None:
        """Why a pair contradicts an earlier one, or None."""
        first = self._label_of.setdefault(name, label)
        if first != label:
            contradiction = f"{self._label} {label}, but an earlier item gives it {self._label} {first}"
            return f"gives {self._name} {name!r} {contradiction}"
        other = self.name_of.setdefault(label, name)
        if other != name:
            return f"gives {self._label} {label} to {self._name} {name!r}, but an earlier item gives it to {other!r}"
        return None


def find_split_file(folder: Path) -> Path:
    """``split_Xin_<folder>.json``, or the only ``split_Xin_*.json`` of a renamed folder.

    Raises:
        DataError: there is none, or several of which none has the folder's name.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}", "check the path and its permissions") from None
    found = [name for name in names if name.startswith("split_Xin_") and name.endswith(".json")]
    wanted = f"split_Xin_{folder.name}.json"
    exact = [name for name in found if nfc(name) == nfc(wanted)]
    if len(exact or found) == 1:
        return folder / (exact or found)[0]
    if not found:
        raise DataError(f"{folder.name} has no split file {wanted}", _DOWNLOAD_HINT)
    raise DataError(
        f"{folder.name} has {len(found)} split files and none is {wanted}: {', '.join(found)}",
        "keep the one that belongs to this folder",
    )


def read_json(path: Path, name: str) -> Any:
    """The content of a JSON file without duplicate keys.

    Raises:
        DataError: the file is unreadable, empty, truncated or not JSON; the message calls it ``name``.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}", "check its permissions") from None
    if reason := detect_placeholder(content):
        raise DataError(f"{name} is {reason}")
    return parse_json(content, f"{name} is damaged or truncated", _DOWNLOAD_HINT, parse=unique_keys)


def parse_entries(path: Path, on_problem: OnProblem) -> Iterator[SplitEntry]:
    """Yield the entries of a split file in its order, parts in the order train, val, test.

    Invalid entries are reported and left out.

    Raises:
        DataError: the file as a whole is unreadable or malformed.
    """
    where = f"{path.parent.name}/{path.name}"
    content = read_json(path, where)
    if not isinstance(content, dict):
        raise DataError(
            f"{where}: the file must contain an object with train, val and test, not {_json_type(content)}",
            _DOWNLOAD_HINT,
        )
    for part in PARTS:
        if part not in content:
            raise DataError(f"{where}: part {part} is missing", _DOWNLOAD_HINT)
        if not isinstance(content[part], dict):
            raise DataError(
                f"{where}: part {part} must be an object of items, not {_json_type(content[part])}", _DOWNLOAD_HINT
            )
    for part in PARTS:
        for key, raw in content[part].items():
            entry = _parse_entry(part, key, raw)
            if isinstance(entry, SplitEntry):
                yield entry
            else:
                on_problem("split file", path.name, f"{where}: {part} item {key[:_SHOWN]} {entry}")


def _parse_entry(part: Part, key: str, raw: Any) -> SplitEntry | str:
    """The parsed entry, or what is wrong with it."""
    if not isinstance(raw, dict):
        return f"must be an object, not {_json_type(raw)}"
    label = _parse_integer(raw.get("label"))
    if label is None or not isinstance(raw.get("classname"), str) or not isinstance(raw.get("image_name"), str):
        return _wrong_field(raw)
    info = raw.get("INFO")
    caption = _parse_text(info.get("Refined_caption3")) if isinstance(info, dict) else None
    superclass = clean_name(nfc(_parse_text(raw.get("superclass")) or "")) or None
    return SplitEntry(
        part, key, raw["classname"], raw["image_name"], label, caption, _parse_integer(raw.get("s_label")), superclass
    )


def _wrong_field(raw: dict[str, Any]) -> str:
    """Which field of an item is missing or has a wrong type."""
    for field in ("classname", "image_name"):
        if field not in raw:
            return f"has no {field}"
        if not isinstance(raw[field], str):
            return f"has a {field} that is {_json_type(raw[field])}, not a string"
    return f"has label {repr(raw['label'])[:_SHOWN]}, which is not an integer" if "label" in raw else "has no label"


def _parse_integer(value: Any) -> int | None:
    if isinstance(value, int):
        return None if isinstance(value, bool) or abs(value) >= 10**18 else value
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value.strip()) else None


def _parse_text(value: Any) -> str | None:
    if not isinstance(value, str) or not (text := value.removeprefix("\ufeff")).strip():
        return None
    # JSON allows half a surrogate pair, which tokenizers and files reject.
    return text if text.isascii() else text.encode(errors="replace").decode()


def _json_type(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
