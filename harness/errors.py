"""Every error that a user can cause or meet: one sentence, and a hint what to do.

Only the command line turns them into text and exit codes. Any other exception is a bug and keeps its trace.
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import PurePath
from types import FrameType


class HarnessError(Exception):
    """An error that a sentence explains.

    Args:
        message: what is wrong, with the name of the thing that is wrong.
        hint: what to do about it; shown on a line of its own.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type, tuple[str, str | None]]:
        # Errors cross process borders; the default would lose the hint.
        return type(self), (self.message, self.hint)


class UserError(HarnessError):
    """A wrong option or a name that does not exist."""


class DataError(HarnessError):
    """A data folder, split file or image that does not follow the LAION-Beyond format."""


class BackboneError(HarnessError):
    """A model or its weights cannot be found, fetched or loaded."""


class PluginError(HarnessError):
    """A plugin failed to import, register or keep its contract."""


class MethodError(HarnessError):
    """A method returned something that its contract forbids."""


class StorageError(HarnessError):
    """A folder cannot be written, is full, or holds a damaged file; or a file cannot be read now."""


class NotApplicable(HarnessError):  # noqa: N818 - an answer, not a fault
    """A method has no place in what is asked; the result says so, and why."""


class FixedVocabulary(NotApplicable):
    """Raised by a method that cannot score names outside the vocabulary it was fitted on."""


def one_line(error: object) -> str:
    """What an exception says, on one line of printable text: foreign code may raise anything, even what has no text."""
    try:
        text = " ".join(str(error).split())
    except Exception as another:
        text = f"its text cannot be had: {type(another).__name__}"
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def os_reason(error: Exception) -> str:
    """Why the operating system refused something, in lower case and without the path."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def raised_in(error: BaseException, module: str) -> str:
    """The last two places of a module's package that an error came through: ``acme/clip.py:41 in fit``.

    A file is named from the package on, and by no folder of this machine. Empty if no code of the package took part.
    """
    package = module.partition(".")[0]
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _package(frame) == package]
    return ", ".join(f"{_file(frame)}:{line} in {frame.f_code.co_name}" for frame, line in frames[-2:])


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _file(frame: FrameType) -> str:
    path, depth = PurePath(frame.f_code.co_filename), str(frame.f_globals["__name__"]).count(".") + 1
    return "/".join(path.parts[-depth - (path.name == "__init__.py") :])


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is nearest in spelling, or None."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist, with the nearest one or all of them as hint."""
    known = sorted(known)
    near = closest(name, known)
    hint = f"did you mean {near}?" if near else f"known: {', '.join(known) or 'none'}"
    return UserError(f"no {kind} named {name!r}", hint)
