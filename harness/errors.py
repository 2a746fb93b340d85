"""Errors that a user can cause or meet: a message of one sentence, and a hint.

Only the command line turns them into text and exit codes. Any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
import os
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from types import FrameType


class HarnessError(Exception):
    """Base class of errors that are shown to the user without a traceback.

    Args:
        message: what is wrong, naming the file, option or object.
        hint: what to do about it; shown on a separate line.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type, tuple[str, str | None]]:
        # Errors are pickled between processes; the default would lose the hint.
        return type(self), (self.message, self.hint)


class UserError(HarnessError):
    """A wrong option or a name that does not exist."""


class DataError(HarnessError):
    """A data folder, split file or image that does not follow the LAION-Beyond format."""


class BackboneError(HarnessError):
    """A model or its weights cannot be found, fetched or loaded."""


class PluginError(HarnessError):
    """A plugin fails to import, to register or to follow its contract."""


class MethodError(HarnessError):
    """A method violates its contract."""


class StorageError(HarnessError):
    """A folder cannot be written, is full or contains a damaged file, or a file cannot be read at the moment."""


class NotApplicable(HarnessError):  # noqa: N818 - a result, not an error
    """A method cannot be evaluated as requested; the result records the reason."""


class FixedVocabulary(NotApplicable):
    """Raised by a method that cannot score names outside the vocabulary it was fitted on."""


LISTED = 5
"""Names of a folder that a hint lists."""

LONGEST = 1000
"""Characters of a message that are kept."""


def one_line(error: object) -> str:
    """The message of an exception as one line of printable text, cut to ``LONGEST`` characters.

    Third-party exceptions may even fail in ``__str__``; then the text says so.
    """
    try:
        text = " ".join(str(error)[: 2 * LONGEST].split())
    except Exception as another:
        text = f"its message is not available: {type(another).__name__}"
    text = printable(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 4].rstrip() + " ..."


def describe_error(error: BaseException) -> str:
    """The class of an exception and its message, such as ``ValueError: no names``."""
    kind, text = one_line(type(error).__name__)[:100], one_line(error)
    return f"{kind}: {text}" if text else kind


def printable(text: str) -> str:
    """Text that a terminal shows and never obeys: what is not printable becomes an escape such as ``\\x1b``.

    These are control characters, also those that reverse the direction of text, half surrogate pairs of undecodable
    file names, and unassigned characters. Line ends and the joiners of scripts and emoji stay.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() or c in _SHOWN else _escape(c) for c in text)


_SHOWN = "\n\N{NO-BREAK SPACE}\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def os_reason(error: Exception) -> str:
    """Why the operating system refused something, in lower case and without the path."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def with_location(reason: str, error: BaseException, module: str) -> str:
    """A reason, with ``error_location`` in brackets where an error has one."""
    where = error_location(error, module)
    return f"{reason} ({where})" if where else reason


def error_location(error: BaseException, module: str) -> str:
    """The last two frames of an error's traceback in a module's package, such as ``acme/clip.py:41 in fit``.

    Paths start at the package, so they name no folder of this machine. Empty if no frame belongs to the package.
    """
    package = module.partition(".")[0]
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _package(frame) == package]
    return ", ".join(f"{_file(frame)}:{line} in {frame.f_code.co_name}" for frame, line in frames[-2:])


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _file(frame: FrameType) -> str:
    path, depth = PurePath(frame.f_code.co_filename), str(frame.f_globals["__name__"]).count(".") + 1
    return "/".join(path.parts[-depth - (path.name == "__init__.py") :])


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and, one after another, what caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name with the most similar spelling, whatever its case, or None."""
    by_folded = {one.casefold(): one for one in known}
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def near_path(path: str | PurePath) -> str:
    """Where a path is missing: the path with the most similar name, or what the folder contains that should have it."""
    path = Path(path)
    folder = next((above for above in path.parents if os.path.isdir(above)), Path())  # noqa: PTH112 - raises nothing
    missing = path.relative_to(folder).parts[:1] if path.is_relative_to(folder) else ()
    try:
        names = sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    except OSError:
        return f"{folder} cannot be listed"
    near = closest(missing[0], names) if missing else None
    if near is not None and near != missing[0]:
        return f"a similar path is {folder / near}"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    where = "this folder" if folder == Path() else f"folder {folder}"
    return f"{where} has {', '.join(names[:LISTED]) or 'no files'}{more}"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for an unknown name; the hint is the closest known name, or else all known names."""
    known = sorted(known)
    near = closest(name, known)
    hint = f"did you mean {near}?" if near else f"known: {', '.join(known) or 'none'}"
    return UserError(f"no {kind} named {name!r}", hint)
