"""Remembers what methods declare, so that a run whose cells are all known imports no method."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter

from harness.errors import DataError, StorageError
from harness.files import read_file, save
from harness.folders import writable_cache
from harness.parsing import parsing
from harness.runner.chosen_method import MethodFacts
from harness.user_key import has_mark, mark

MAX_BYTES = 1 << 24
"""Of the file; a larger one is made anew."""

_FACTS = TypeAdapter(dict[str, MethodFacts])


class KnownFacts:
    """Facts by question, in a file of this user in the cache; it may be removed, and is replaced if damaged.

    A question is a digest of everything that decides the answer, or None if that is not known.

    Args:
        cache: the cache folder.
    """

    def __init__(self, cache: Path) -> None:
        user = os.getuid() if hasattr(os, "getuid") else 0
        self._file = writable_cache(cache) / f"methods-{user}.json"
        self._facts = self._read()

    def get(self, question: str | None) -> MethodFacts | None:
        """The facts that answer a question; None if they are not known."""
        return None if question is None else self._facts.get(question)

    def put(self, answers: Mapping[str | None, MethodFacts]) -> None:
        """Remember the facts that answer questions, unless they name files, which may change."""
        new = {question: facts for question, facts in answers.items() if question is not None and not facts.files}
        if not new:
            return
        self._facts = {**self._read(), **new}
        text = _FACTS.dump_json(self._facts)
        if len(text) >= MAX_BYTES:  # of many versions of the harness
            self._facts = new
            text = _FACTS.dump_json(self._facts)
        with suppress(StorageError):  # the cache is optional
            save(self._file, mark("methods", text.decode()).encode() + b"\n" + text, "methods", "")

    def _read(self) -> dict[str, MethodFacts]:
        try:
            given, _, text = read_file(self._file, MAX_BYTES).partition(b"\n")
            with parsing(f"{self._file} is damaged"):
                return _FACTS.validate_json(text) if has_mark(given.decode(), "methods", text.decode()) else {}
        except (OSError, DataError, StorageError):
            return {}
