"""The concepts to look for: of a LAION-Beyond root, a text file, or a JSON file with synonyms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.corpus.folding import clean, fold
from harness.datasets.folder_reader import read_splits
from harness.datasets.layout import find_folders
from harness.errors import DataError, UserError, os_reason
from harness.files import read_file, reading_hint
from harness.parsing import parse_json, parsing, unique_keys

Names = dict[str, tuple[str, ...]]
"""Name -> synonyms."""

_STOP_WORDS = (
    "a about after all also an and any are as at be because been before but by can could did do does for from "
    "get had has have he her here him his how i if in into is it its just like me more most my new no not now "
    "of off on one only or other our out over own she so some such than that the their them then there these "
    "they this to too under up us very was we were what when where which while who will with would you your"
)

_NO_SYNONYMS: tuple[str, ...] = ()

STOP_WORDS = frozenset(_STOP_WORDS.split())
"""English words that nearly every corpus has, so that a count of them says nothing about a concept."""

HINT = 'a names file has one name a line, or is JSON such as {"rose hip": ["hip", "haw"]}'


def read_names(path: Path) -> Names:
    """The concepts of a LAION-Beyond root, a text file with one name a line, or a JSON file.

    JSON is a list of names, or an object of names and their synonyms: a list, one string, or null.

    Raises:
        UserError: there is no such file, or it cannot be read.
        DataError: it is damaged or empty, or a name or synonym has no letter or number.
    """
    names: Names
    if path.is_dir():
        names = dict.fromkeys(_root_names(path), _NO_SYNONYMS)
    else:
        try:
            content = read_file(path)
        except OSError as error:
            hint = reading_hint(path, error, HINT)
            raise UserError(f"{path} cannot be read: {os_reason(error)}", hint) from None
        names = _from_json(content, path) if path.suffix == ".json" else _from_lines(content, path)
    if not names:
        raise DataError(f"{path} has no names", HINT)
    for name, synonyms in names.items():
        for text in (name, *synonyms):
            if not fold(clean(text)):
                raise DataError(
                    f"{path}: {text!r} is empty after folding, so no caption can be searched for it",
                    "write it with letters or numbers, or leave it out",
                )
    return names


def doubtful_names(names: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Sentences about names that say little: stop words, and names that are one name after folding."""
    same: dict[tuple[str, ...], list[str]] = {}
    for name, synonyms in names.items():
        for text in (name, *synonyms):
            words = tuple(word.text for word in fold(clean(text)))
            same.setdefault(words, []).append(text)
            if len(words) == 1 and words[0] in STOP_WORDS:
                yield f"{text!r} is a stop word, which captions have whatever they show"
    for texts in same.values():
        if len(texts) > 1:
            yield f"{', '.join(map(repr, texts))} are one name after folding, and are counted alike"


def _root_names(root: Path) -> Iterator[str]:
    for folder in find_folders(root):
        yield from read_splits(root / folder)["test"].names


def _from_lines(content: bytes, path: Path) -> Names:
    with parsing(f"{path} is not a list of names", HINT):
        lines = content.decode("utf-8-sig").splitlines()
    found: Names = {name: () for line in lines if (name := _spaced(line))}
    return found


def _from_json(content: bytes, path: Path) -> Names:
    problem = f"{path} is not a list of names"
    value = parse_json(content, problem, HINT, parse=unique_keys)
    if isinstance(value, list):
        value = dict.fromkeys(map(_text, value)) if all(isinstance(one, str) for one in value) else None
    if not isinstance(value, dict):
        raise DataError(f"{problem}: it is neither a list of texts nor an object", HINT)
    with parsing(problem, HINT):
        found = {_spaced(name): _synonyms(name, synonyms) for name, synonyms in value.items()}
        if len(found) < len(value):
            raise ValueError("two names differ in underscores alone")
        return found


def _spaced(name: str) -> str:
    """A name as captions write it: underscores are spaces, as in the names of a data root."""
    return " ".join(name.replace("_", " ").split())


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return _spaced(value)


def _synonyms(name: str, value: Any) -> tuple[str, ...]:
    synonyms = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(synonyms, list):
        raise ValueError(f"the synonyms of {name} are no list")
    return tuple(dict.fromkeys(text for text in map(_text, synonyms) if text != _spaced(name)))
