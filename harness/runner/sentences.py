"""Sentences about names, for methods that need them: read from the user's file, or from the data set's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.datasets.domain import DomainData
from harness.datasets.layout import TEXTS
from harness.errors import DataError, UserError, os_reason
from harness.files import read_file
from harness.parsing import parse_json, unique_keys
from harness.prompts import clean_name
from harness.runner.chosen_method import ChosenMethod

MAX_BYTES = 1 << 28
FORM = "a JSON object of lists: name -> sentences"

Texts = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Sentences:
    """The content of a file of sentences.

    Attributes:
        sha256: of the file, part of every cell whose method is given sentences.
        texts: cleaned-up name -> its sentences.
    """

    sha256: str
    texts: Texts = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Sentences:
        """Read a file.

        Raises:
            UserError: there is no such file.
            DataError: it is not of that form.
        """
        try:
            content = read_file(path, MAX_BYTES)
        except (OSError, ValueError) as error:
            raise UserError(f"the sentences cannot be read from {path}: {os_reason(error)}", f"give {FORM}") from None
        found = parse_json(content, f"{path} has no sentences", f"write {FORM}", parse=unique_keys)
        if not isinstance(found, dict):
            raise DataError(f"{path} has no sentences: it is not an object", f"write {FORM}")
        for name, lines in found.items():
            if not isinstance(lines, list) or not all(isinstance(line, str) and line.strip() for line in lines):
                raise DataError(f"{path} has something else than a list of sentences for {name!r}", f"write {FORM}")
        texts = {clean_name(name): tuple(lines) for name, lines in found.items()}
        return cls(hashlib.sha256(content).hexdigest(), texts)


def with_sentences(
    methods: Sequence[ChosenMethod],
    domains: Iterable[DomainData],
    given: Path | None,
    root: Path | None,
    left_out: Callable[[str], None] | None = None,
) -> tuple[list[ChosenMethod], Texts]:
    """The methods, those that need sentences with the file in their record, and the sentences.

    Args:
        methods: of the run.
        domains: the data, whose names must all have a sentence.
        given: the file that the user names, or None.
        root: the folder of the data set, which may have a file of its own.
        left_out: without a file, methods that need one are left out, and this gets the reason; None: that is an error.

    Raises:
        UserError: a method needs sentences, and there is no file.
        DataError: the file is damaged, or lacks names.
    """
    needing = [method.record.name for method in methods if method.needs.texts]
    if not needing:
        return list(methods), {}
    path = given or (root / TEXTS if root is not None and (root / TEXTS).is_file() else None)
    if path is None and left_out is not None:
        left_out(f"left out: {', '.join(needing)}: no sentences about names are given (--texts)")
        return [method for method in methods if not method.needs.texts], {}
    if path is None:
        raise UserError(f"{needing[0]} needs sentences about every name", f"give --texts FILE: {FORM}")
    sentences = Sentences.read(path)
    names = {name for data in domains for split in data.scored.values() for name in split.names}
    if lacking := sorted(name for name in names if not sentences.texts.get(name)):
        fault = f"{path} has no sentence about {len(lacking)} of {len(names)} names: {', '.join(lacking)}"
        raise DataError(fault, f"{needing[0]} needs at least one about each")
    return [_recorded(method, sentences) if method.needs.texts else method for method in methods], sentences.texts


def _recorded(method: ChosenMethod, sentences: Sentences) -> ChosenMethod:
    return replace(method, record=method.record.model_copy(update={"texts": sentences.sha256}))
