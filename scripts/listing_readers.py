"""True listings of the Hub and of a mirror, and whole downloads that read damaged ones; for ``fuzz_files.py``."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from harness.datasets.download import download
from harness.datasets.hub import HuggingFace
from harness.datasets.identity import DOWNLOAD_RECORD
from harness.datasets.listing import LISTINGS
from harness.datasets.mirror import INDEX, Mirror, pack
from harness.datasets.remote import Remote
from harness.errors import HarnessError
from tests.datasets.hub_server import COMMIT, Server
from tests.datasets.roots import make_root

FOLDER = "Food1_IP"

TRIES = 9
"""Requests of one listing that get the damaged answer; more than a download sends."""

Kind = tuple[list[bytes], Callable[[bytes, bytes], "str | None"]]


def hub_listings(folder: Path) -> Kind:
    """The listing of a folder, as a server with the Hub's protocol sends it.

    It sends true files, so every file that is stored must be the source's. It lives as long as this process.
    """
    source = _small_root(folder / "hub")
    os.environ["NO_PROXY"] = "*"
    server = Server(source)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub = HuggingFace(endpoint=server.address)
    true = json.dumps([server.entry(path) for path in sorted((source / FOLDER).rglob("*"))]).encode()

    def read(content: bytes, original: bytes) -> str | None:
        answer = (200, {"Content-Type": "application/json"}, content)
        server.faults = {f"/tree/{COMMIT}/{FOLDER}": [answer] * TRIES}
        return _download(hub, folder / "hub", source)

    return [true], read


def mirror_listings(folder: Path) -> Kind:
    """The index and the listing of a mirror."""
    source, mirror = _small_root(folder / "mirror"), folder / "mirror" / "packed"
    pack(source, mirror)
    paths = {path.read_bytes(): path for path in (mirror / INDEX, mirror / FOLDER / "listing.json")}

    def read(content: bytes, original: bytes) -> str | None:
        paths[original].write_bytes(content)
        try:
            return _download(Mirror(str(mirror)), folder / "mirror", None)
        finally:
            paths[original].write_bytes(original)

    return list(paths), read


def _small_root(folder: Path) -> Path:
    return make_root(folder / "source", {FOLDER: ("oak",)}, {"train": 1, "val": 1, "test": 1})


def _download(remote: Remote, folder: Path, source: Path | None) -> str | None:
    """Download into an empty folder; what is stored outside of it or differs from the source is a finding."""
    dest, before = folder / "dest", _files(folder)
    waits: list[float] = []
    refused = None
    try:
        download(dest, ["Food"], remote=remote, sleep=waits.append, workers=1)
    except HarnessError as error:
        refused = error
    stored = {one for one in _files(dest) if one[0].parts[0] not in (LISTINGS, DOWNLOAD_RECORD)}
    shutil.rmtree(dest, ignore_errors=True)
    if outside := _files(folder) - before:
        return f"it writes outside of the folder: {min(outside)[0]}"
    if waits:
        return f"a server that answered is asked again after a wait: {refused}"
    if other := stored - _files(source) if source else ():
        return f"a stored file differs from the source: {min(other)[0]}"
    if refused:
        raise refused
    return None


def _files(folder: Path) -> set[tuple[Path, bytes]]:
    return {(path.relative_to(folder), path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
