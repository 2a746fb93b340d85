from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.datasets.hub import HuggingFace

from .damage import OOP
from .hub_server import Server, serving
from .roots import FOLDERS, make_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A fresh root in the released format, free to be damaged."""
    return make_root(tmp_path / "data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder alone: the OOP side of Animals."""
    return make_root(tmp_path / "data", {OOP: FOLDERS[OOP]}) / OOP


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with the interface of the Hub, and a root with the ``FOLDERS`` of the test's module."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(make_root(tmp_path / "source", request.module.FOLDERS)) as server:
        yield server


@pytest.fixture
def hub(server: Server) -> HuggingFace:
    return HuggingFace(endpoint=server.address)
