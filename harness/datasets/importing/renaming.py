"""Give classes other names than the source has, from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.datasets.importing.sides import read_lines
from harness.errors import DataError, UserError
from harness.files import read_error, read_file
from harness.parsing import parse_json

Rename = Callable[[str], str]
"""Class of the source -> its name."""


def read_renaming(path: Path) -> Rename:
    """Names from a JSON object of classes and names, or from a text file whose n-th line names class n, from 0.

    The function that is returned raises UserError for a class that a text file does not name.

    Raises:
        DataError: the file is damaged.
        StorageError: it cannot be read.
    """
    if path.suffix.lower() != ".json":
        names = read_lines(path)
        if "" in names:
            raise DataError(f"line {names.index('') + 1} of {path.name} is blank", "line n names class n, from 0")
        return lambda classname: _by_number(classname, names, path.name)
    try:
        content = parse_json(read_file(path), f"{path.name} is damaged")
    except OSError as error:
        raise read_error(path, error) from None
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content.values()):
        raise DataError(f"{path.name} is not an object of classes and names", 'write it as {"n01440764": "tench"}')
    return lambda classname: content.get(classname, classname)


def _by_number(classname: str, names: list[str], file: str) -> str:
    if not classname.isdecimal() or int(classname) >= len(names):
        raise UserError(
            f"{file} has {len(names)} lines and does not name class {classname!r}",
            "line n names class n, from 0; for classes that are no numbers write a .json file",
        )
    return names[int(classname)]
