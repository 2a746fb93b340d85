"""Every kind of open_clip text tower evaluates from a weights file: CLIP, CustomTextCLIP and CoCa."""

from __future__ import annotations

import copy
import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harness.backbones import openclip
from harness.miniature import model as miniature
from harness.results.leaderboard_file import read_board
from harness.site.reproduce_command import evaluate_command

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
def test_evaluates_with_backbone(harness, world, tmp_path, name, cls):
    weights = random_weights(name, tmp_path)
    assert type(openclip.random_model(name)).__name__ == cls
    where = ("--data", world, "--out", tmp_path / "results", "--backbone", name, "--pretrained", weights)
    answer = harness("evaluate", "--all-domains", *where, "--seeds", "1", "--shots", "2", "--workers", "1", "--json")
    assert answer.code == 0, answer.err
    row = answer.json["rows"][0]
    assert row["backbone"] == f"{name}/weights.safetensors"
    assert row["backbone_record"]["corpus"] == "unknown"
    assert row["backbone_record"]["quick_gelu"] == "unchecked"
    assert all("pretraining" not in data or data["pretraining"] is None for data in row["data"].values())
    assert set(row["mean"]) >= {"oop_top1", "ip_top1", "joint_top1"}


def test_mismatched_weights_are_user_error(harness, world, tmp_path):
    weights = random_weights("test-clip", tmp_path)
    where = ("--data", world, "--out", tmp_path / "results", "--pretrained", weights)
    answer = harness("evaluate", "--all-domains", *where, "--backbone", "ViT-B-32", "--workers", "1")
    assert answer.code == 2
    assert "weights.safetensors cannot be loaded into ViT-B-32" in answer.err


@pytest.mark.parametrize("offender", [("ViT-B-61", "laion400m_e32"), ("ViT-B-16", "laion400m_e33")])
def test_unknown_backbone_fails_before_any_work(harness, tmp_path, offender):
    name, tag = offender
    cache = tmp_path / "cache"
    answer = harness("evaluate", "--all-domains", "--backbone", name, "--pretrained", tag, "--cache", cache)
    assert answer.code == 2
    assert "did you mean" in answer.err
    assert "drawing" not in answer.err
    assert "reading" not in answer.err
    assert not list(cache.glob("beyond*"))


def test_local_model_row_has_no_path_and_is_reproducible(harness, world, tmp_path, monkeypatch):
    folder = tmp_path / "models" / "Mini-CLIP"
    folder.mkdir(parents=True)
    shutil.copy(miniature.WEIGHTS, folder / "model.safetensors")
    settings = {name: value for name, value in miniature.PREPROCESSING.items() if name not in ("size", "mode")}
    description = {"model_cfg": miniature.CONFIG, "preprocess_cfg": settings}
    (folder / "open_clip_config.json").write_text(json.dumps(description))
    where = ("--data", world, "--out", tmp_path / "results", "--plugin", "zero_shot", "--seeds", "1", "--workers", "1")
    answer = harness("evaluate", "--all-domains", *where, "--backbone", f"local-dir:{folder}", "--json")
    assert answer.code == 0, answer.err
    (row,) = answer.json["rows"]
    record = row["backbone_record"]
    assert row["backbone"] == "local-dir:Mini-CLIP/model.safetensors"
    assert (record["preprocessing_source"], record["quick_gelu"]) == ("model folder", "ok")
    assert str(tmp_path) not in json.dumps(row)
    own = harness("evaluate", "--all-domains", *where, "--backbone", "beyond-mini", "--json").json["rows"]
    assert row["domains"] == next(r for r in own if r["backbone_record"]["architecture"] == "beyond-mini")["domains"]
    ids = {r.backbone: r.id for r in read_board(tmp_path / "results").rows}
    again = ("reproduce", f"{tmp_path / 'results'}#{ids[row['backbone']]}", "--data", world, "--workers", "1", "--json")
    lost = harness(*again)
    assert lost.code == 2
    assert "there is no folder Mini-CLIP" in lost.err
    found = harness(*again, "--pretrained", folder)
    assert found.code == 0, found.err
    assert (found.json["settings"], found.json["results"]) == ([], [])
    refused = harness(
        "evaluate", "--all-domains", *where, "--backbone", f"local-dir:{folder}", "--pretrained", "openai"
    )
    assert refused.code == 2
    assert "comes with its own weights, so --pretrained openai would not be used" in refused.err


def test_stated_preprocessing_is_recorded_and_reproduced(harness, world, tmp_path):
    where = ("--data", world, "--out", tmp_path / "results", "--plugin", "zero_shot", "--seeds", "1", "--workers", "1")
    named = ("--all-domains", "--backbone", "beyond-mini")
    plain = harness("evaluate", *named, *where, "--json").json["rows"][0]
    stated = harness(
        "evaluate", *named, *where, "--preprocessing", "mean=[0.4,0.5,0.6],std=0.5,resize_mode=squash", "--json"
    )
    assert stated.code == 0, stated.err
    rows = {row.backbone_record.preprocessing_source: row for row in read_board(tmp_path / "results").rows}
    row = rows["stated"]
    assert row.backbone_record.preprocessing.mean == (0.4, 0.5, 0.6)
    assert row.backbone_record.preprocessing.std == (0.5, 0.5, 0.5)
    assert rows["plugin"].model_dump(mode="json")["domains"] == plain["domains"]
    assert row.domains != rows["plugin"].domains
    again = harness("reproduce", f"{tmp_path / 'results'}#{row.id}", "--data", world, "--workers", "1", "--json")
    assert again.code == 0, again.err
    assert (again.json["settings"], again.json["results"]) == ([], [])
    command = shlex.split(evaluate_command(row).replace("LAION_BEYOND_ROOT", str(world)))
    answer = harness(*command[1:], "--out", tmp_path / "results", "--dry-run")
    assert answer.out.startswith(f"{len(row.data)} cells: {len(row.data)} known, 0 to run"), answer.err
