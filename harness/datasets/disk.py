"""Class folders and files under ``images/``: maps names of a split file to paths inside the data folder."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Literal

from harness.errors import DataError, StorageError
from harness.files import PERMISSIONS_HINT
from harness.types.split import nfc

ProblemKind = Literal[
    "split file", "class folder", "outside", "missing", "unreadable", "empty", "corrupt", "label file", "altered"
]
"""Kind of a problem with a path of a data folder."""

_DRIVE = re.compile(r"[A-Za-z]:")


class UnusableName(Exception):  # noqa: N818 - callers turn it into a DataError with file, part and item
    """A name in a split file that has no usable path."""

    def __init__(self, kind: ProblemKind, path: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.path = path
        self.reason = reason


def unsafe_reason(name: str) -> str | None:
    """Why a name is not a safe file or folder name, or None if it is.

    Raises:
        StorageError: the name is safe, but the locale cannot encode it, so existing files would not be found.
    """
    if not name.strip(" ."):  # Windows drops trailing spaces and full stops: ".. " means ".."
        return "is not a file name"
    if "/" in name or "\\" in name or _DRIVE.match(name):
        return "is a path"
    if "\0" in name:
        return "contains a NUL"
    if name.isascii():
        return None
    try:
        text = name.encode()
    except UnicodeEncodeError:
        return "is not Unicode text"
    if _encode_file_name(name) != text:
        encoding = sys.getfilesystemencoding()
        raise StorageError(f"this locale ({encoding}) cannot name the file {name!r}", "set PYTHONUTF8=1")
    return None


def _require_safe(name: str) -> None:
    if reason := unsafe_reason(name):
        raise UnusableName("outside", "images", f"{name!r} {reason}")


def _encode_file_name(name: str) -> bytes | None:
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        return None


class ImageTree:
    """``images/`` of one folder, listed once; each class folder is listed on first use.

    Args:
        folder: the ``{Domain}{N}_{side}`` folder. Links may point anywhere inside it or its parent folder.

    Raises:
        DataError: ``images/`` is missing or cannot be listed.
    """

    def __init__(self, folder: Path) -> None:
        self._roots = _allowed_roots(folder)
        self._images = folder / "images"
        try:
            if self._outside(self._images):
                raise DataError(f"{folder.name}/images is a link that points outside the data folder")
            self._classes = self._list(self._images, folders=True)
        except OSError as error:
            if isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise DataError(f"{folder.name} has no images/ folder", "download or unpack the folder again") from None
            raise DataError(f"{folder.name}/images cannot be read: {error.strerror}", PERMISSIONS_HINT) from None
        self._folders: dict[str, str] = {}
        self._files: dict[str, _Listing] = {}

    def path_of(self, classname: str, image_name: str) -> str:
        """The path of an image relative to the folder, spelt as on disk; the file itself may be missing.

        Raises:
            UnusableName: a name is not a plain file name, the class has no folder, or a link points outside.
        """
        if classname not in self._folders:  # once, not for every image
            self._folders[classname] = self._folder_of(classname)
        _require_safe(image_name)
        folder = self._folders[classname]
        files = self.files(folder)
        path = f"images/{folder}/{files.find(image_name) or image_name}"
        self._refuse_outside(files, path)
        return path

    def _folder_of(self, classname: str) -> str:
        """The name on disk of the folder of a class; raises UnusableName."""
        _require_safe(classname)
        folder = self._classes.find(classname)
        if folder is None:
            reason = f"names class {classname!r}, which has no folder under images/"
            raise UnusableName("class folder", f"images/{classname}", reason)
        self._refuse_outside(self._classes, f"images/{folder}")
        return folder

    def files(self, folder: str) -> _Listing:
        """The files of one class folder, given its name on disk."""
        if folder not in self._files:
            try:
                self._files[folder] = self._list(self._images / folder, folders=False)
            except OSError as error:
                reason = f"names class {folder!r}, whose folder cannot be read: {error.strerror}"
                raise UnusableName("class folder", f"images/{folder}", reason) from None
        return self._files[folder]

    def paths(self) -> list[str]:
        """All files of all class folders, relative to the folder and sorted, without links that point outside."""
        found = []
        for folder in self._classes.names - self._classes.outside:
            try:
                files = self.files(folder)
            except UnusableName:
                continue
            found += [f"images/{folder}/{file}" for file in files.names - files.outside]
        return sorted(found)

    def _refuse_outside(self, listing: _Listing, path: str) -> None:
        if listing.outside and path.rpartition("/")[2] in listing.outside:
            raise UnusableName("outside", path, f"is {path}, a link that points outside the data folder")

    def _list(self, where: Path, folders: bool) -> _Listing:
        names, outside = set(), set()
        with os.scandir(where) as entries:
            for entry in entries:
                if entry.is_symlink() and self._outside(Path(entry.path)):
                    outside.add(entry.name)
                elif _is_folder(entry) != folders:
                    continue
                names.add(entry.name)
        return _Listing(names, outside)

    def _outside(self, path: Path) -> bool:
        real = Path(os.path.realpath(path))  # Path.resolve raises on a link to itself
        return not any(real.is_relative_to(root) for root in self._roots)


class _Listing:
    """Names in one folder, found exactly or else by their NFC form."""

    def __init__(self, names: set[str], outside: set[str]) -> None:
        self.names = names
        self.outside = outside
        self._composed: dict[str, list[str]] = {}
        for name in names:
            if not name.isascii():
                self._composed.setdefault(nfc(name), []).append(name)

    def find(self, name: str) -> str | None:
        """The name on disk, or None; raises UnusableName if two names have the same NFC form and neither is exact."""
        if name in self.names or name.isascii():
            return name if name in self.names else None
        same = self._composed.get(nfc(name), [])
        if len(same) > 1:
            raise UnusableName("class folder", name, f"names {name!r}, which exists twice on disk in two spellings")
        return same[0] if same else None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link
        return False


def _allowed_roots(folder: Path) -> list[Path]:
    """Folders that links may point to: the folder, its parent and, for a root in the Hub's cache, the cache's blobs."""
    above = folder.absolute().parent.resolve()
    roots = [folder.resolve(), above]
    if above.parent.name == "snapshots":
        roots.append(above.parent.parent / "blobs")
    return roots
