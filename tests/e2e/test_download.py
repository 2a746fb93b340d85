"""The commands that download, check and pack a data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from harness.datasets.hub import HuggingFace

from ..datasets.hub_server import Server, serving
from .conftest import Answer

FOLDERS = {"Animals2_OOP": ("ibex", "great auk"), "Animals1_IP": ("cat",)}


@pytest.fixture
def server(make_root: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server in the place of the Hub."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    with serving(make_root(tmp_path / "source", FOLDERS)) as server:
        for module in ("hub", "download"):
            monkeypatch.setattr(f"harness.datasets.{module}.HuggingFace", partial(HuggingFace, endpoint=server.address))
        yield server


def test_damaged_files_are_found_and_replaced(server: Server, harness: Callable[..., Answer], tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    answer = harness("data", "download", dest)
    assert (answer.code, answer.out.strip()) == (0, str(dest)), answer.err
    assert "fetching 35 files, 0.00 GB, from MHuangX/LAION-Beyond" in answer.err
    assert harness("data", "check", dest).code == 0
    first, second, *_ = sorted((dest / "Animals1_IP" / "images" / "cat").iterdir())
    whole = first.read_bytes()
    first.write_bytes(second.read_bytes())
    for options in ((), ("--against-hub",)):
        checked = harness("data", "check", dest, *options)
        assert checked.code == 1
        assert f"images/cat/{first.name}: is missing or differs from the listed file" in checked.out
    assert harness("data", "download", dest, "--offline").code == 2
    assert "fetching 1 file," in harness("data", "download", dest).err
    assert first.read_bytes() == whole


def test_a_packed_mirror_is_downloaded(server: Server, harness: Callable[..., Answer], tmp_path: Path) -> None:
    assert harness("data", "pack", server.root, tmp_path / "mirror").code == 0
    answer = harness("data", "download", tmp_path / "dest", "--mirror", tmp_path / "mirror", "-d", "Animals")
    assert answer.code == 0
    assert not server.requests
    assert harness("data", "check", tmp_path / "dest", "--against-hub").code == 0
    assert harness("data", "download", tmp_path / "other", "--mirror", tmp_path / "nowhere").code == 2
