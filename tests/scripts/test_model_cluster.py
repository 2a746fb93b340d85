"""The model of a cluster is arithmetic on measured costs, and the page has the table that it prints."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "leaderboards" / "benchmarks" / "cluster_cpu.json"

pytestmark = pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="needs the source tree")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    from scripts import model_cluster

    return model_cluster


def test_stages_follow_from_costs(script: ModuleType) -> None:
    costs = script.Costs(hash_image=0.001, prepare_image=0.01, store_image=0.0001, cell=0.1, cell_image=0.00001)
    found = script.model(costs, images=90_000, gpus=8, cores=4, cells=100)
    assert found.hashing == pytest.approx(90 / 4)
    assert found.preparing == pytest.approx(900 / 32)
    assert found.storing == pytest.approx(9)
    assert found.judging == pytest.approx(100 * (0.1 + 0.1))  # 10,000 images in each of nine domains
    assert found.images_per_gpu == pytest.approx(400)  # four cores prepare 100 a second each
    assert found.seconds_per_cell == pytest.approx(8 * 0.2)
    assert script.model(costs, images=90_000, gpus=1000).images_per_gpu == pytest.approx(10)  # the driver stores 10,000


def test_the_page_has_the_table_of_the_measured_costs(script: ModuleType) -> None:
    costs = script.Costs(**json.loads(MEASURED.read_text()))
    assert min(vars(costs).values()) > 0
    assert script.table(costs) in (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


def test_costs_of_an_image_are_measured(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_bytes(script._jpeg())
    assert min(script._image_costs(tmp_path / "image.jpg")) > 0
