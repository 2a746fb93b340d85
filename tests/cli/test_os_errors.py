"""System errors that no caller handles: what the environment lacks is a sentence, a bug keeps its traceback."""

from __future__ import annotations

import errno

import pytest

from harness.cli.os_errors import from_os_error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENAMETOOLONG, "", "nnn"), "nnn cannot be used: file name too long"),
        (OSError(errno.EMFILE, ""), "a file or a process cannot be used: too many open files"),
        (OSError(errno.ENOSPC, ""), "stdout cannot be written: no space left on device"),
        (OSError(errno.ENOENT, "", "nnn"), None),
    ],
)
def test_from_os_error_translates_environment_errors_only(error: OSError, sentence: str | None) -> None:
    found = from_os_error(error)
    assert (found and found.message) == sentence
