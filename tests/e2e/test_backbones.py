"""Every kind of open_clip text tower evaluates from a weights file: CLIP, CustomTextCLIP and CoCa."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harness.backbones import openclip

TEXT = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
CLIP = {"embed_dim": 32, "vision_cfg": VISION, "text_cfg": TEXT}
COCA = {
    "embed_dim": 32,
    "vision_cfg": {**VISION, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
    "text_cfg": {**TEXT, "embed_cls": True, "output_tokens": True},
    "multimodal_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    "custom_text": True,
}
CONFIGS = {"test-clip": CLIP, "test-custom-text-clip": {**CLIP, "custom_text": True}, "test-coca": COCA}


def random_weights(name: str, folder: Path) -> Path:
    """Register a tiny architecture and save random weights of it."""
    openclip.register_architecture(name, copy.deepcopy(CONFIGS[name]))
    torch.manual_seed(0)
    state = openclip.random_model(name).state_dict()
    save_file({key: value.contiguous().clone() for key, value in state.items()}, folder / "weights.safetensors")
    return folder / "weights.safetensors"


@pytest.mark.parametrize(("name", "cls"), list(zip(CONFIGS, ["CLIP", "CustomTextCLIP", "CoCa"], strict=True)))
def test_it_evaluates(harness, world, tmp_path, name, cls):
    weights = random_weights(name, tmp_path)
    assert type(openclip.random_model(name)).__name__ == cls
    where = ("--data", world, "--out", tmp_path / "results", "--backbone", name, "--pretrained", weights)
    answer = harness("evaluate", "--all-domains", *where, "--seeds", "1", "--shots", "2", "--workers", "1", "--json")
    assert answer.code == 0, answer.err
    row = answer.json["rows"][0]
    assert row["backbone"] == f"{name}/weights.safetensors"
    assert row["backbone_record"]["corpus"] == "unknown"
    assert row["backbone_record"]["quick_gelu"] == "unchecked"
    assert row["oop_exact"] == "unknown"
    assert set(row["mean"]) >= {"oop_top1", "ip_top1", "joint_top1"}


def test_weights_of_another_architecture_are_a_sentence(harness, world, tmp_path):
    weights = random_weights("test-clip", tmp_path)
    where = ("--data", world, "--out", tmp_path / "results", "--pretrained", weights)
    answer = harness("evaluate", "--all-domains", *where, "--backbone", "ViT-B-32", "--workers", "1")
    assert answer.code == 2
    assert "weights.safetensors cannot be loaded into ViT-B-32" in answer.err
