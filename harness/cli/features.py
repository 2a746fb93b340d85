"""``harness features``: list, clear and verify the cache of image features."""

from __future__ import annotations

import time
from pathlib import Path

from harness.cli import console
from harness.errors import UserError
from harness.feature_cache import contents
from harness.feature_cache.signed_index import FILE, sign_index
from harness.folders import cache_root
from harness.progress import pluralize
from harness.signatures import ALLOWED, SigningError


def list_entries(cache: Path | None, json: bool) -> int:
    """Print one line per kind of rows and encoder: key, description, number (all views), size, last use."""
    root = cache_root(cache) / "features"
    found = contents.list_encoders(root)
    if json:
        console.document([entry.__dict__ for entry in found])
        return 0
    rows = [(e.key[:12], e.description, f"{e.images:,}", f"{e.bytes / 1e6:.1f} MB", _when(e.used)) for e in found]
    console.out().print(console.table(str(root), ("key", "rows", "number", "size", "last used"), rows, left=2))
    return 0


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def clear(key: str | None, cache: Path | None) -> int:
    """Remove features, and print which and the freed space."""
    removed = contents.clear(cache_root(cache) / "features", key)
    freed = f"freed {sum(entry.bytes for entry in removed) / 1e6:.1f} MB"
    console.lines(*(f"removed: {entry.description}" for entry in removed), freed)
    return 0


def sign(cache: Path | None) -> int:
    """Sign the index of a cache, and print how others trust it."""
    root = cache_root(cache) / "features"
    try:
        count, left_out, line = sign_index(root)
    except SigningError as error:
        raise UserError(f"the cache is not signed: {error}", "install OpenSSH 8.2 or newer") from None
    console.lines(f"{root / FILE}: {pluralize(count, 'files')} signed, {left_out} damaged or of other users left out")
    console.lines(f"others trust it with this line in their {ALLOWED}: {line}")
    return 0


def verify(cache: Path | None) -> int:
    """Verify all shards; returns 1 if one is damaged."""
    root = cache_root(cache) / "features"
    count, damaged, foreign = contents.verify(root)
    rows = {entry.key: entry.description for entry in contents.list_encoders(root)} if damaged else {}
    for path in damaged:
        console.err().print(f"damaged: {path} ({rows[path.parent.parent.name]})", style="red", markup=False)
    hint = "; they are encoded again when they are needed, `harness features clear` removes them" if damaged else ""
    console.lines(f"{pluralize(count, 'files')} checked, {len(damaged)} damaged{hint}")
    if foreign:
        check = "`harness leaderboard verify --features` encodes a sample again"
        console.lines(f"{len(foreign)} not written by this user; {check}")
    return 1 if damaged else 0
