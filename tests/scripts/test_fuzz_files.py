"""A small, seeded part of scripts/fuzz_files.py: damaged files of every kind, read by the code that reads them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="needs the source tree")


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory):
    sys.path.insert(0, str(ROOT))
    try:
        from scripts import file_readers, fuzz_files
    finally:
        sys.path.remove(str(ROOT))
    return fuzz_files, file_readers.Samples(tmp_path_factory.mktemp("samples"))


KINDS = (
    *("leaderboard", "costs", "marks", "cell", "labels", "manifest", "predictions"),
    *("archive", "split", "shard", "image", "config", "hub listing", "mirror listing"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_neither_traces_nor_believed(fuzzer, kind: str) -> None:
    module, samples = fuzzer
    assert set(samples.kinds) == set(KINDS)
    findings = module.Findings()
    with module.watched():
        module.fuzz(samples, kind, 8, 1, findings)
    assert findings.found == {}
    assert findings.files[kind] == 8


def test_a_trace_is_a_finding(fuzzer, monkeypatch: pytest.MonkeyPatch) -> None:
    module, samples = fuzzer
    contents, _ = samples.kinds["config"]

    def read(content: bytes, original: bytes) -> str | None:
        if content != original:
            raise ValueError("a bug")
        return None

    monkeypatch.setitem(samples.kinds, "config", (contents, read))
    findings = module.Findings()
    module.fuzz(samples, "config", 3, 0, findings)
    assert len(findings.found["config"]) == 3
    assert "ValueError: a bug" in findings.found["config"][0]
