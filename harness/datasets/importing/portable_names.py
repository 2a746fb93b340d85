"""Names of files and folders that every operating system accepts."""

from __future__ import annotations

import re

from harness.datasets.disk import unsafe_reason
from harness.types.split import nfc

MAX_NAME_BYTES = 200
"""Most bytes of a name; file systems accept 255, of which temporary names need some."""

_MAX_ENDING = 16  # bytes of an ending that a shortened name keeps, and of the number of a name that is taken

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def unportable_reason(name: str) -> str | None:
    """Why a name cannot be a folder's on every system, or None if it can.

    Raises:
        StorageError: this locale cannot encode it.
    """
    if reason := unsafe_reason(name):
        return reason
    if found := _FORBIDDEN.search(name):
        return f"contains {found[0]!r}"
    if name != name.strip() or name.endswith("."):
        return "begins or ends with a space or full stop"
    if _DEVICES.fullmatch(name):
        return "is a device on Windows"
    if name.startswith("."):
        return "begins with a full stop, as hidden files do"
    return f"has more than {MAX_NAME_BYTES} bytes" if len(name.encode()) > MAX_NAME_BYTES else None


class FileNames:
    """Gives the images of one folder portable names that differ in more than case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, wanted: str) -> str:
        """The wanted name, or the nearest one that is portable and not taken."""
        safe = _FORBIDDEN.sub("_", nfc(wanted).encode(errors="replace").decode()).strip(" .")
        stem, dot, ending = safe.rpartition(".")
        if not stem or len(ending.encode()) > _MAX_ENDING:
            stem, dot, ending = safe, "", ""
        stem = stem.encode()[: MAX_NAME_BYTES - 2 * _MAX_ENDING].decode(errors="ignore").strip() or "image"
        if _DEVICES.fullmatch(stem):
            stem = f"_{stem}"
        name, number = f"{stem}{dot}{ending}", 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}{dot}{ending}"
        self._taken.add(name.casefold())
        return name
