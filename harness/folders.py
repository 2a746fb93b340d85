"""The folders of this user: the cache, and the configuration with its keys."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_config_path

from harness.errors import StorageError

APPLICATION = "laion-beyond-harness"


def cache_root(given: Path | None = None) -> Path:
    """The cache folder: the given one, else the variable HARNESS_CACHE, else the user's own.

    Raises:
        StorageError: the user has no home folder, for example a container user without a name.
    """
    variable = os.environ.get("HARNESS_CACHE")
    try:
        if given is not None:
            return given.expanduser()
        return Path(variable).expanduser() if variable else user_cache_path(APPLICATION)
    except RuntimeError:
        raise _no_home("cache", "choose a folder with --cache or HARNESS_CACHE") from None


def writable_cache(cache: Path) -> Path:
    """A cache folder; the user's own in place of one that exists and cannot be written, such as a shared one."""
    if not cache.is_dir() or os.access(cache, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        return cache
    try:
        return user_cache_path(APPLICATION)
    except RuntimeError:
        return cache


DATA_VARIABLE = "HARNESS_DATA"
"""The data folder of this machine, where no other is given."""


def default_data() -> Path | None:
    """The data folder that the variable HARNESS_DATA names; None if it is not set."""
    return Path(os.environ[DATA_VARIABLE]).expanduser() if os.environ.get(DATA_VARIABLE) else None


def config_root() -> Path:
    """The folder of the user's configuration and keys: the variable HARNESS_CONFIG, else the user's own.

    Raises:
        StorageError: the user has no home folder.
    """
    variable = os.environ.get("HARNESS_CONFIG")
    try:
        return Path(variable).expanduser() if variable else user_config_path(APPLICATION)
    except RuntimeError:
        raise _no_home("configuration", "choose a folder with HARNESS_CONFIG") from None


def private_folders(cache: Path) -> set[Path]:
    """Folders that no method may read or write: the cache, the user's own if it takes its place, and the keys."""
    try:
        return {cache, writable_cache(cache), config_root()}
    except StorageError:  # without a configuration folder there are no keys
        return {cache, writable_cache(cache)}


def _no_home(what: str, otherwise: str) -> StorageError:
    return StorageError(f"no {what} folder is known: the user has no home folder", f"set HOME, or {otherwise}")
