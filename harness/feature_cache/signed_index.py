"""The signed index of a shared cache: whoever maintains the cache signs the list of the shards that they wrote."""

from __future__ import annotations

import json
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
    unsigned = SignedIndex(shards=tuple(path.relative_to(root).as_posix() for path in own))
    signed = unsigned.model_copy(update={"signature": sign(unsigned.message)})
    save(root / FILE, signed.model_dump_json(indent=1).encode() + b"\n", "the signed index", CACHE_HINT)
    return len(own), len(paths) - len(own), signer.line.decode().strip()


def signed_shards(root: Path) -> dict[Path, str]:
    """The shards of an index that a trusted key signed, each with the key's name; none if it is not valid."""
    try:
        index = parse_record(SignedIndex, read_file(root / FILE, MAX_BYTES), f"{root / FILE} is damaged")
    except (OSError, DataError):
        return {}
    name = signer_name(index.message, index.signature, allowed_signers())
    return dict.fromkeys((root / path for path in index.shards), name) if name else {}
