"""Turn an OSError that no caller handles into a user-facing error."""

from __future__ import annotations

import errno
import os

from harness.errors import StorageError
from harness.files import LIMIT_ERRNOS, LIMITS_HINT, NO_SPACE_ERRNOS, PERMISSIONS_HINT

_HINT_BY_ERRNO = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), PERMISSIONS_HINT),
    **dict.fromkeys(NO_SPACE_ERRNOS, "free some space"),
    **dict.fromkeys(LIMIT_ERRNOS, LIMITS_HINT),
    **dict.fromkeys((errno.EIO, errno.ESTALE), "run the same command again when the device answers"),
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""Hint for each error number of the operating system."""


def from_os_error(error: OSError) -> StorageError | None:
    """The user-facing error; None for an error number that means a bug.

    Covered are permissions, full disks, failing file systems (most likely of a redirected stdout) and process limits.
    """
    hint = _HINT_BY_ERRNO.get(error.errno or 0)
    if hint is None:
        return None
    what = error.filename or ("a file or a process" if error.errno in LIMIT_ERRNOS else "stdout")
    action = "written" if error.errno in NO_SPACE_ERRNOS else "used"
    return StorageError(f"{what} cannot be {action}: {os.strerror(error.errno or 0).lower()}", hint)
