"""Writes a new plugin: an installable package with one working method to start from."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
from importlib.resources import files
from pathlib import Path
from string import Template

from harness.errors import UserError
from harness.files import write_error
from harness.registry.entry_points import installed

FILES = {
    "pyproject.txt": "pyproject.toml",
    "readme.txt": "README.md",
    "method.txt": "src/{name}.py",
    "test.txt": "tests/test_{name}.py",
}
"""Template -> file. Under ``src``, because a folder with the module's name in the working folder hides the module."""


def write_package(name: str, parent: Path) -> Path:
    """Write the package ``parent/name`` and return its folder.

    Args:
        name: of the method, its module and its folder: lower case with underscores.
        parent: where the folder is made.

    Raises:
        UserError: a name that cannot be used or is taken, or a folder that exists.
        StorageError: the folder cannot be written.
    """
    folder = parent.expanduser() / name
    _require_usable(name, folder)
    title = name.replace("_", " ").capitalize()
    cls = "".join(part.capitalize() for part in name.split("_"))
    words = {"name": name, "distribution": name.replace("_", "-"), "title": title, "cls": cls}
    try:
        for template, target in FILES.items():
            path = folder / target.format(name=name)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = (files("harness") / "templates" / "plugin" / template).read_text(encoding="utf-8")
            path.write_text(Template(text).substitute(words), encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # half a package would be in the way of the next attempt
        raise write_error("the package", folder, error, "choose another place with --into") from None
    return folder


def _require_usable(name: str, folder: Path) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        hint = "use lower case letters, digits and single underscores, for example my_method"
        raise UserError(f"{name!r} cannot be the name of a method", hint)
    if os.path.lexists(folder):
        hint = f"move {folder} away, or write elsewhere: `harness plugins new {name} --into FOLDER`"
        raise UserError(f"{folder.absolute()} exists already", hint)
    for entry in installed():
        if (entry.kind, entry.origin.name) == ("method", name):
            raise UserError(f"{entry.origin} offers {name!r} already", "choose another name")
    if importlib.util.find_spec(name) is not None:
        raise UserError(f"{name!r} is the name of a Python module that is installed", "choose another name")
