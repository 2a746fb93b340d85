"""Marks that only this user can make: message authentication codes by a secret key in the user's configuration.

A cache folder may be shared, and whoever can write files there can write any content under any name. What carries a
valid mark was written by this user.
"""

from __future__ import annotations

import hmac
import os
import secrets
from functools import cache
from pathlib import Path

from harness.errors import StorageError
from harness.files import TEMPORARY_PREFIX, read_error, read_file
from harness.folders import config_root

KEY_FILE = "cache-key"

KEY_BYTES = 32

MARK_DIGITS = 32
"""Hexadecimal digits of a mark."""


def mark(*parts: str) -> str:
    """The mark of a text in parts, none of which has a NUL.

    Raises:
        StorageError: the key file is damaged or cannot be read.
    """
    return hmac.digest(_key(), "\0".join(parts).encode("utf-8", "surrogateescape"), "sha256").hex()[:MARK_DIGITS]


def has_mark(given: str, *parts: str) -> bool:
    """Whether ``given`` is the mark of these parts.

    Raises:
        StorageError: the key file is damaged or cannot be read.
    """
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), mark(*parts).encode())


@cache
def _key() -> bytes:
    """The user's key, made on first use; one of this process alone where no configuration can be written."""
    try:
        file = config_root() / KEY_FILE
        if not file.exists():
            _create(file)
    except (OSError, StorageError):
        return secrets.token_bytes(KEY_BYTES)
    try:
        key = read_file(file, KEY_BYTES)
    except OSError as error:
        raise read_error(file, error) from None
    if len(key) != KEY_BYTES:
        raise StorageError(f"{file} is damaged: it must have {KEY_BYTES} bytes", "remove it; a new one is made")
    return key


def _create(file: Path) -> None:
    """Write a new key that only this user can read, unless another process has written one meanwhile."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(secrets.token_bytes(KEY_BYTES))
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(temporary, file)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
