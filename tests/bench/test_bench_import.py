"""Importing 100,000 tiny images, next to hashing them: `pytest tests/bench/test_bench_import.py --benchmark-only`.

``import`` reads, hashes, decodes and copies every image and writes all documents; ``again`` is a second import, which
compares every byte and writes nothing. Seconds are CPU seconds of all threads, which other work on the machine hardly
changes.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

import pytest

from harness.datasets.importing.import_data import import_data
from harness.datasets.importing.request import ImportRequest
from harness.datasets.map_in_threads import SHORT_WORK, map_in_threads
from harness.files import read_file, walk_files

from ..datasets.importing.sources import picture

CLASSES, IMAGES = 200, 500


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Class folders of images of 250 bytes; each class has the same 500 with another last byte pair."""
    root = tmp_path_factory.mktemp("source")
    pictures = [picture(seed, "JPEG") for seed in range(IMAGES)]
    for label in range(CLASSES):
        (root / f"class {label}").mkdir()
        for number, content in enumerate(pictures):
            (root / f"class {label}" / f"{number}.jpg").write_bytes(content + label.to_bytes(2, "big"))
    return root


def digests(root: Path) -> int:
    """The sha256 of every file in a folder, by as many threads as an import has."""
    files = [path for _, path in walk_files(root)]
    return len(list(map_in_threads(lambda path: hashlib.sha256(read_file(path)).hexdigest(), files, 2, SHORT_WORK)))


@pytest.mark.benchmark(group="import 100,000 images", timer=time.process_time)
def test_hashing(benchmark, source):
    assert benchmark.pedantic(digests, (source,), rounds=3) == CLASSES * IMAGES


@pytest.mark.benchmark(group="import 100,000 images", timer=time.process_time)
def test_import(benchmark, source, tmp_path):
    def setup():
        shutil.rmtree(tmp_path / "root", ignore_errors=True)
        return (ImportRequest((str(source),), tmp_path / "root", "Things"),), {}

    assert benchmark.pedantic(import_data, setup=setup, rounds=1).written


@pytest.mark.benchmark(group="import 100,000 images", timer=time.process_time)
def test_again(benchmark, source, tmp_path):
    request = ImportRequest((str(source),), tmp_path / "root", "Things")
    import_data(request)
    assert not benchmark.pedantic(import_data, (request,), rounds=1).written
