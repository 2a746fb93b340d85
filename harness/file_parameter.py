"""A file as a parameter of a method, identified by the sha256 of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from harness.errors import StorageError, UserError, os_reason
from harness.files import expand_user, read_file

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema
    from typing_extensions import Self

MAX_BYTES = 1 << 32
"""Largest file that a method may take as a parameter; it is read whole."""


@dataclass(frozen=True, init=False)
class File:
    """A file parameter. Results depend on its name and the sha256 of its content, not on its folder.

    The content is hashed when the parameter is created and again at every read, in any process: the method gets the
    bytes that the result records, or an error. Files are equal if name and content are.

    Args:
        path: path of the file.

    Attributes:
        file: name without the folder.
        sha256: of the content.

    Raises:
        UserError: the file does not exist or cannot be read.
    """

    file: str
    sha256: str

    def __init__(self, path: str | PurePath) -> None:
        where = expand_user(Path(path)).absolute()  # a method may change the working directory
        try:
            if not where.is_file():
                raise UserError(f"{path} is not a file", "give the path of an existing file")
            content = read_file(where, MAX_BYTES)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {os_reason(error)}", "give a file that can be read") from None
        self._set(where.name, hashlib.sha256(content).hexdigest(), where)

    def _set(self, file: str, sha256: str, where: Path | None) -> None:
        for name, value in (("file", file), ("sha256", sha256), ("_where", where)):
            object.__setattr__(self, name, value)  # _where is not a field: it is part of neither value nor record

    @property
    def path(self) -> Path:
        """The path, for a library that reads files itself; the content is checked first.

        Raises:
            StorageError: the content has changed since the run began.
        """
        self.read_bytes()
        return self._require_path()

    def read_bytes(self) -> bytes:
        """The content.

        Raises:
            StorageError: the file cannot be read, or has changed since the run began.
        """
        try:
            content = read_file(self._require_path(), MAX_BYTES)
        except OSError as error:
            raise StorageError(
                f"{self.file} cannot be read any more: {os_reason(error)}", "put the file back"
            ) from None
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise StorageError(f"{self.file} has changed since the run began", "run the command again")
        return content

    def read_text(self, encoding: str = "utf-8") -> str:
        """The content as text.

        Raises:
            StorageError: as for ``read_bytes``.
            UnicodeDecodeError: the content is not text in that encoding.
        """
        return self.read_bytes().decode(encoding)

    @property
    def has_path(self) -> bool:
        """Whether the path is known; a record does not contain it."""
        return self.__dict__["_where"] is not None

    def _require_path(self) -> Path:
        where: Path | None = self.__dict__["_where"]
        if where is None:
            raise UserError(f"the file {self.file} is needed (sha256 {self.sha256})", "give its path")
        return where

    @classmethod
    def _read(cls, value: Any) -> Self:
        """Create a file from a path, or from a record, which has no path."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str | PurePath):
            return cls(value)
        if not is_file_record(value):
            raise ValueError("input should be the path of a file")
        return cls._recorded(value, None)

    @classmethod
    def _recorded(cls, value: Mapping[str, str], where: Path | None) -> Self:
        made = cls.__new__(cls)
        made._set(value["file"], value["sha256"], where)
        return made

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema  # deferred: listing plugins does not need it

        return core_schema.no_info_plain_validator_function(cls._read)


def is_file_record(value: Any) -> bool:
    """Whether a value of a record describes a ``File``."""
    if not isinstance(value, Mapping) or value.keys() != {"file", "sha256"}:
        return False
    return all(isinstance(text, str) for text in value.values())


def attach_paths(value: Any, paths: Mapping[str, Path]) -> Any:
    """Replace every recorded ``File`` in a value by the file with the same sha256, if there is one.

    Args:
        value: plain JSON.
        paths: sha256 -> file; its name may differ from the recorded one.
    """
    if is_file_record(value):
        return File._recorded(value, where.absolute()) if (where := paths.get(value["sha256"])) else value
    if isinstance(value, Mapping):
        return {key: attach_paths(inner, paths) for key, inner in value.items()}
    return [attach_paths(inner, paths) for inner in value] if isinstance(value, list | tuple) else value
