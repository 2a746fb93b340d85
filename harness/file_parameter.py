"""A file as a parameter of a method: a result names its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from harness.errors import StorageError, UserError, os_reason
from harness.files import expanded, read_file

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema
    from typing_extensions import Self


@dataclass(frozen=True, init=False)
class File:
    """A file that is a parameter. Its name and the sha256 of its content decide the result, not the folder it lies in.

    The content is hashed when the parameter is read, and again whenever the method reads it: in whichever process that
    is, the method gets the bytes that the result names, or an error. Files are equal when name and content are.

    Args:
        path: where the file lies.

    Attributes:
        file: its name, without the folder.
        sha256: of its bytes.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """

    file: str
    sha256: str

    def __init__(self, path: str | PurePath) -> None:
        where = expanded(Path(path)).absolute()  # a method may change the working folder
        try:
            if not where.is_file():
                raise UserError(f"{path} is no file", "name one that exists")
            content = read_file(where)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {os_reason(error)}", "name a file that can be read") from None
        self._set(where.name, hashlib.sha256(content).hexdigest(), where)

    def _set(self, file: str, sha256: str, where: Path | None) -> None:
        for name, value in (("file", file), ("sha256", sha256), ("_where", where)):
            object.__setattr__(self, name, value)  # _where is no field: it is no part of the value or of a record

    @property
    def path(self) -> Path:
        """Where the file lies, for a library that reads files itself; its content is checked first.

        Raises:
            StorageError: the content is not what it was when the run began.
        """
        self.read_bytes()
        return self._located()

    def read_bytes(self) -> bytes:
        """The content.

        Raises:
            StorageError: it cannot be read, or is not what it was when the run began.
        """
        try:
            content = read_file(self._located())
        except OSError as error:
            raise StorageError(
                f"{self.file} cannot be read any more: {os_reason(error)}", "put the file back"
            ) from None
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise StorageError(f"{self.file} changed after the run began", "run the command again")
        return content

    def read_text(self, encoding: str = "utf-8") -> str:
        """The content as text.

        Raises:
            StorageError: as ``read_bytes``.
            UnicodeDecodeError: it is no text in that encoding.
        """
        return self.read_bytes().decode(encoding)

    @property
    def located(self) -> bool:
        """Whether it is known where the file lies; a record does not say so."""
        return self.__dict__["_where"] is not None

    def _located(self) -> Path:
        where: Path | None = self.__dict__["_where"]
        if where is None:
            raise UserError(f"the file {self.file} is needed (sha256 {self.sha256})", "give its path")
        return where

    @classmethod
    def _read(cls, value: Any) -> Self:
        """A file from a path; or from a record, which does not say where it lies."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str | PurePath):
            return cls(value)
        if not names_file(value):
            raise ValueError("input should be the path of a file")
        return cls._recorded(value, None)

    @classmethod
    def _recorded(cls, value: Mapping[str, str], where: Path | None) -> Self:
        made = cls.__new__(cls)
        made._set(value["file"], value["sha256"], where)
        return made

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema  # here, because listing plugins does without

        return core_schema.no_info_plain_validator_function(cls._read)


def names_file(value: Any) -> bool:
    """Whether a value of a record is that of a ``File``."""
    if not isinstance(value, Mapping) or value.keys() != {"file", "sha256"}:
        return False
    return all(isinstance(text, str) for text in value.values())


def with_paths(value: Any, paths: Mapping[str, Path]) -> Any:
    """A value of a record in which every ``File`` lies where the file of its sha256 does, if there is one.

    Args:
        value: plain JSON.
        paths: sha256 -> file; it may be called otherwise than the record says.
    """
    if names_file(value):
        return File._recorded(value, where.absolute()) if (where := paths.get(value["sha256"])) else value
    if isinstance(value, Mapping):
        return {key: with_paths(inner, paths) for key, inner in value.items()}
    return [with_paths(inner, paths) for inner in value] if isinstance(value, list | tuple) else value
