"""Signed indexes of a cache: whoever wrote some of its shards signs the list of them.

The maintainer of a shared cache writes ``signed.json``; that of pulled features is ``signed-DIGEST.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from harness.errors import DataError
from harness.feature_cache import shard
from harness.files import CACHE_HINT, list_paths, read_file, save
from harness.parsing import parse_record
from harness.signatures import allowed_signers, create_key, sign, signer_name

FILE = "signed.json"
MAX_BYTES = 1 << 26


class SignedIndex(BaseModel):
    """Paths of shards below the folder of all encoders, and the signature of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["laion-beyond-features/1"] = "laion-beyond-features/1"
    shards: tuple[str, ...]
    signature: str = ""

    @property
    def message(self) -> bytes:
        """What is signed."""
        return json.dumps([self.format, *self.shards]).encode()


def sign_index(root: Path) -> tuple[int, int, str]:
    """Sign the undamaged shards that this user wrote; an index that is there is replaced.

    Returns:
        How many are signed, how many are left out, and the line by which others trust this user's signatures.

    Raises:
        SigningError: nothing can be signed on this machine.
        StorageError: a shard cannot be read, or the index or the key cannot be written.
    """
    paths = list_paths(root, "*/view-*/*.safetensors", CACHE_HINT)
    own = [path for path in paths if shard.is_own(path) and shard.check(path, shard.RowRule()) is not None]
    signer = create_key()
    content = signed_index([path.relative_to(root).as_posix() for path in own])
    save(root / FILE, content, "the signed index", CACHE_HINT)
    return len(own), len(paths) - len(own), signer.line.decode().strip()


def signed_index(shards: Sequence[str]) -> bytes:
    """The content of an index that this user signs.

    Raises:
        SigningError: nothing can be signed on this machine.
        StorageError: the key cannot be written.
    """
    create_key()
    unsigned = SignedIndex(shards=tuple(shards))
    signed = unsigned.model_copy(update={"signature": sign(unsigned.message)})
    return signed.model_dump_json(indent=1).encode() + b"\n"


def add_index(root: Path, content: bytes) -> None:
    """Add the index of somebody else.

    Raises:
        StorageError: it cannot be written.
    """
    name = f"signed-{hashlib.sha256(content).hexdigest()[:32]}.json"
    save(root / name, content, "the signed index", CACHE_HINT)


def signer_of(content: bytes) -> tuple[str | None, tuple[str, ...]]:
    """The name of the trusted key that signed an index, None if there is none, and the shards of the index."""
    try:
        index = parse_record(SignedIndex, content, "the index is damaged")
    except DataError:
        return None, ()
    return signer_name(index.message, index.signature, allowed_signers()), index.shards


def signed_shards(root: Path) -> dict[Path, str]:
    """The shards of all indexes that trusted keys signed, each with the key's name; none of one that is not valid."""
    found: dict[Path, str] = {}
    for path in list_paths(root, "signed*.json", CACHE_HINT):
        try:
            name, shards = signer_of(read_file(path, MAX_BYTES))
        except OSError:
            continue
        found |= dict.fromkeys((root / shard for shard in shards), name) if name else {}
    return found
