"""The vision transformer of the miniature: trained to encode as the ResNet does, on the same text tower."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from harness.backbones.backbone import load, resolve
from harness.backbones.find import find
from harness.datasets.image_bytes import file_digest
from harness.miniature import distil, model
from harness.miniature.offer import Vit

pytestmark = pytest.mark.slow


def test_a_quick_run_writes_the_image_tower_alone_and_resumes(tmp_path):
    distil.main(["--quick", "--out", str(tmp_path), "--threads", "1"])
    tower = load_file(tmp_path / model.VIT_WEIGHTS.name)
    assert {name.partition(".")[0] for name in tower} == {"visual"}
    assert {value.dtype for value in tower.values()} == {torch.float16}
    before = (tmp_path / model.VIT_WEIGHTS.name).read_bytes()
    distil.main(["--quick", "--out", str(tmp_path), "--threads", "1"])
    assert (tmp_path / model.VIT_WEIGHTS.name).read_bytes() == before, "the same seed gives the same weights"


def test_the_model_has_the_transformer_and_the_shipped_text_tower(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    offer = Vit.harness_backbone()
    weights = offer.weights()
    assert weights == offer.weights()
    assert weights.stem == file_digest(weights)
    whole, text, tower = (load_file(path) for path in (weights, model.WEIGHTS, model.VIT_WEIGHTS))
    assert set(whole) == {name for name in text if not name.startswith("visual.")} | set(tower)
    assert all(torch.equal(whole[name], tower.get(name, text.get(name))) for name in whole)
    found = find("beyond-mini-vit", None, offer=offer)
    backbone = load(resolve(found, "fp32", file_digest), torch.device("cpu"))
    assert type(backbone.model.visual).__name__ == "VisionTransformer"
