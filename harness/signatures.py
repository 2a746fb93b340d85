"""Signatures of a user and of those whom they trust, by ``ssh-keygen -Y``: the format that git signs commits with.

Each user has a key in the harness's configuration folder; it is made when it is first needed. Whom else to trust is in
``allowed_signers`` in that folder, in the format of ssh-keygen: ``NAME ssh-ed25519 AAAA...``, one a line.
"""

from __future__ import annotations

import getpass
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from filelock import FileLock

from harness.errors import HarnessError, one_line
from harness.files import read_file, require_writable, save
from harness.folders import config_root

KEY, PUBLIC_KEY, ALLOWED = "verifier_key", "verifier_key.pub", "allowed_signers"

NAMESPACE = "laion-beyond-harness"
"""Signatures that a key made for another purpose are not valid here."""

HINT = "choose another folder with HARNESS_CONFIG, or use --no-mark"
TIMEOUT_SECONDS = 60
MAX_BYTES = 1 << 20
"""Of a public key or the file of allowed signers."""


class SigningError(Exception):
    """Raised when nothing can be signed on this machine; the message says why."""


class Signer(NamedTuple):
    """A name, and a public key such as ``ssh-ed25519 AAAA...``."""

    name: str
    key: str

    @property
    def line(self) -> bytes:
        """The line of a file of allowed signers."""
        return f"{self.name} {self.key}\n".encode()


def own_signer() -> Signer | None:
    """The user as a signer, None without a key; the name is the comment of the public key."""
    try:
        kind, key, *comment = read_file(config_root() / PUBLIC_KEY, MAX_BYTES).decode().split()
    except (OSError, ValueError, HarnessError):
        return None
    return Signer(as_name("".join(comment)), f"{kind} {key}")


def create_key() -> Signer:
    """The user as a signer; a key is made if there is none.

    Raises:
        SigningError: ssh-keygen is missing or too old.
        StorageError: the configuration folder cannot be written.
    """
    folder = config_root()
    require_writable(folder, "the key that signs marks", HINT)
    with FileLock(folder / ".verifier_key.lock"):
        if not (folder / KEY).exists():
            with TemporaryDirectory(dir=folder) as temporary:
                made = Path(temporary, KEY)
                _require(_ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", as_name(_user()), "-f", str(made)))
                made.replace(folder / KEY)
            (folder / PUBLIC_KEY).unlink(missing_ok=True)
        if own_signer() is None:
            content = _require(_ssh_keygen("-y", "-f", str(folder / KEY)))
            save(folder / PUBLIC_KEY, content, "the key that signs marks", HINT)
    signer = own_signer()
    if signer is None:
        raise SigningError(f"{folder / PUBLIC_KEY} is not a public key")
    return signer


def sign(message: bytes) -> str:
    """The user's signature of a message.

    Raises:
        SigningError: ssh-keygen is missing or too old, or the key cannot be used.
    """
    return _require(
        _ssh_keygen("-Y", "sign", "-f", str(config_root() / KEY), "-n", NAMESPACE, message=message)
    ).decode()


def signer_name(message: bytes, signature: str, allowed: bytes) -> str | None:
    """The name of the key that signed a message; None if it is not among the allowed ones, or ssh-keygen is missing.

    Args:
        message: what is signed.
        signature: as from ``sign``.
        allowed: lines of names and public keys, such as ``allowed_signers()``.
    """
    with TemporaryDirectory() as temporary:
        names, signed = Path(temporary, ALLOWED), Path(temporary, "signature")
        names.write_bytes(allowed)
        signed.write_text(signature)
        files = "-s", str(signed), "-f", str(names)
        try:
            name = (
                _ssh_keygen("-Y", "find-principals", *files).stdout.decode(errors="replace").partition("\n")[0].strip()
            )
            verified = _ssh_keygen("-Y", "verify", *files, "-I", name, "-n", NAMESPACE, message=message)
        except SigningError:
            return None
    return name if name and verified.returncode == 0 else None


def allowed_signers() -> bytes:
    """The user's own key, and those in the file of allowed signers, one a line."""
    own = own_signer()
    try:
        others = read_file(config_root() / ALLOWED, MAX_BYTES)
    except (OSError, HarnessError):
        others = b""
    return (own.line if own else b"") + others


def as_name(text: str) -> str:
    """A text as the name of a signer: without the characters that mean something in ``allowed_signers``."""
    return re.sub(r"[^\w.@+-]", "", text)[:64] or "unknown"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        return ""


def _ssh_keygen(*arguments: str, message: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen; it never asks for anything but a passphrase.

    Raises:
        SigningError: it is missing or does not answer.
    """
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments], input=message, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except FileNotFoundError:
        raise SigningError("there is no ssh-keygen on this machine (it is part of OpenSSH)") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SigningError(f"ssh-keygen does not answer: {one_line(error)}") from None


def _require(done: subprocess.CompletedProcess[bytes]) -> bytes:
    if b"UNPROTECTED PRIVATE KEY FILE" in done.stderr:
        key = config_root() / KEY
        raise SigningError(f"{key} can be read by others, so ssh-keygen does not use it: `chmod 600 {key}`")
    if done.returncode:
        reason = one_line(done.stderr.decode(errors="replace").strip())[:200]
        raise SigningError(f"ssh-keygen, of OpenSSH 8.2 or newer, cannot sign: {reason}")
    return done.stdout
