"""Downloading small files at 50 ms latency: `pytest tests/bench/test_bench_download.py --benchmark-only`.

The server is a process of its own on this machine; each of its answers takes 50 ms. ``snapshot_download`` of
huggingface_hub fetches the same files in the same run. ``mirror`` reads the archives of `harness data pack` from a web
server without latency for each file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.datasets.download import download
from harness.datasets.hub import REPOSITORY, HuggingFace
from harness.datasets.mirror import Mirror, pack

from ..datasets.roots import write_json

LATENCY_S = 0.05
CLASSES, IMAGES = 20, 75
BYTES = 95_000  # the mean of the release


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder of 1,500 files as large as images; what they contain does not matter here."""
    root, rng = tmp_path_factory.mktemp("source"), np.random.default_rng(0)
    folder, split = root / f"Food{CLASSES}_OOP", {"train": {}, "val": {}, "test": {}}
    for label in range(CLASSES):
        (folder / "images" / f"c{label}").mkdir(parents=True)
        for number in range(IMAGES):
            (folder / "images" / f"c{label}" / f"{number}.jpg").write_bytes(rng.bytes(BYTES))
            split["test"][str(len(split["test"]))] = {
                "classname": f"c{label}",
                "image_name": f"{number}.jpg",
                "label": label,
            }
    write_json(folder / f"split_Xin_{folder.name}.json", split)
    return root


def server(*command: str) -> Iterator[str]:
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@pytest.fixture
def hub(root: Path, monkeypatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "*")
    program = "import sys; from tests.datasets.hub_server import main; main(*sys.argv[1:])"
    yield from server("-c", program, str(root), str(LATENCY_S))


@pytest.mark.parametrize("workers", [8, 16])
def test_snapshot_download(benchmark, hub, root, tmp_path, workers) -> None:
    from huggingface_hub import snapshot_download

    def run() -> None:
        options = {"local_dir": tmp_path / "dest", "endpoint": hub, "max_workers": workers}
        snapshot_download(REPOSITORY, repo_type="dataset", revision="main", cache_dir=tmp_path / "cache", **options)

    measure(benchmark, run, root, tmp_path)


@pytest.mark.parametrize("workers", [8, 16])
def test_harness_download(benchmark, hub, root, tmp_path, workers) -> None:
    run = lambda: download(tmp_path / "dest", remote=HuggingFace(endpoint=hub), workers=workers)  # noqa: E731
    measure(benchmark, run, root, tmp_path)


def test_mirror(benchmark, root, tmp_path) -> None:
    pack(root, tmp_path / "mirror")
    run = lambda: download(tmp_path / "dest", remote=Mirror(str(tmp_path / "mirror")))  # noqa: E731
    measure(benchmark, run, root, tmp_path)


def measure(benchmark, run, root: Path, tmp_path: Path) -> None:
    """One cold download, which must be complete."""
    benchmark.pedantic(run, rounds=1, iterations=1)
    names = [path.relative_to(root) for path in root.rglob("*.jpg")]
    assert len(names) == CLASSES * IMAGES
    assert all((tmp_path / "dest" / name).stat().st_size == BYTES for name in names)
