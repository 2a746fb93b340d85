"""Files that a user names: a weights file, or a model folder with its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import BackboneError, DataError, one_line
from harness.files import read_file
from harness.parsing import parse_json
from harness.types.cell import TIMM

WEIGHTS_SUFFIXES = {".pt", ".pth", ".bin", ".safetensors", ".ckpt"}
"""Suffixes of weights files: a name with one of them is a file, not a published tag."""


def find_weights_file(pretrained: str) -> Path | None:
    """The weights file of that path; None if it is neither a file nor looks like the path of one.

    Raises:
        BackboneError: it looks like a path, and there is no such file.
    """
    file = Path(pretrained).expanduser()
    if file.is_file():
        return file
    if file.suffix in WEIGHTS_SUFFIXES or "/" in pretrained:
        raise BackboneError(f"no weights file at {pretrained}", "check the path given as --pretrained")
    return None


def split_folder_name(name: str, pretrained: str | None) -> tuple[str, str]:
    """Kind (``local-dir`` or ``hf-hub``) and place of a model folder.

    Raises:
        BackboneError: it names no place, or --pretrained is given, which would not be used.
    """
    kind, _, where = name.removeprefix(TIMM).partition(":")
    if not where:
        raise BackboneError(f"{name} names no folder", "write --backbone local-dir:FOLDER, or hf-hub:OWNER/NAME")
    if pretrained is not None:
        raise BackboneError(
            f"{name} comes with its own weights, so --pretrained {pretrained} would not be used",
            "leave out one of them",
        )
    return kind, where


def require_folder(where: str) -> Path:
    """The folder of that path; raises BackboneError if there is none."""
    folder = Path(where).expanduser()
    if not folder.is_dir():
        raise BackboneError(f"there is no folder {folder}", "check the path given as --backbone local-dir:FOLDER")
    return folder


def read_config(name: str, file: Path, hint: str) -> dict[str, Any]:
    """The configuration of a model folder, a JSON object.

    Args:
        name: name of the model in messages.
        file: the configuration file.
        hint: what the file should be.

    Raises:
        BackboneError: it cannot be read or is not an object.
    """
    problem = f"{file.name} of {name} cannot be read"
    try:
        content = parse_json(read_file(file), problem)
    except OSError as error:
        raise BackboneError(f"{problem}: {one_line(error)}", hint) from None
    except DataError as error:
        raise BackboneError(error.message, hint) from None
    if not isinstance(content, dict):
        raise BackboneError(f"{problem}: it is not an object", hint)
    return content
