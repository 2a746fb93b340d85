"""Signing with ``ssh-keygen``: what it refuses becomes one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.signatures import KEY, SigningError, create_key, sign

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


def test_a_key_that_others_can_read_is_answered_with_chmod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CONFIG", str(tmp_path))
    create_key()
    (tmp_path / KEY).chmod(0o644)
    with pytest.raises(SigningError) as found:
        sign(b"message")
    assert str(found.value).endswith(f"`chmod 600 {tmp_path / KEY}`")
    assert "@" not in str(found.value)
    assert "\n" not in str(found.value)
