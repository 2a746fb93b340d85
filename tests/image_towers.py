"""Small image towers of every family that open_clip has, with random weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from harness.backbones import openclip, preprocessing
from harness.backbones.backbone import Backbone

from .makers import make_spec
from .towers import CONFIGS, TEXT

RECORD = make_spec(backbone={"architecture": "fake", "pretrained": "x"}).backbone
VIT = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TIMM = {"image_size": 160, "timm_model_name": "test_vit"}

TOWERS: dict[str, dict[str, Any]] = {
    "vit": VIT,
    "vit-average": {**VIT, "pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 12, "head_width": 32, "patch_size": None},
    "timm-vit": {**TIMM, "timm_pool": "", "timm_proj": "linear"},
    "timm-vit-average": {**TIMM, "timm_pool": "avg", "timm_proj": "linear"},
    "timm-vit-classifier": {**TIMM, "timm_pool": "token", "timm_proj": None},
    "timm-map-classifier": {**TIMM, "timm_pool": "map", "timm_proj": None},
    "timm-siglip": {**TIMM, "timm_pool": "map", "timm_proj": "none"},
    "timm-eva": {
        "image_size": 384,
        "timm_model_name": "vit_pe_core_tiny_patch16_384",
        "timm_pool": "map",
        "timm_proj": None,
    },
    "timm-convnext": {
        "image_size": 160,
        "timm_model_name": "test_convnext",
        "timm_pool": "",
        "timm_proj": "linear",
    },
    "timm-convnext-mlp": {
        "image_size": 160,
        "timm_model_name": "test_convnext",
        "timm_pool": "",
        "timm_proj": "mlp",
    },
    "coca": CONFIGS["unit-coca"]["vision_cfg"],
}
"""Name -> configuration of the image tower."""

WITH_PROJECTION = tuple(name for name in TOWERS if name != "timm-siglip")
WITH_TOKENS = tuple(name for name in TOWERS if "resnet" not in name and "convnext" not in name and name != "coca")


@cache
def image_backbone(name: str) -> Backbone:
    """A backbone without a text side; every weight of its image tower is random."""
    width = 64 if name == "timm-siglip" else 24
    config = {"embed_dim": width, "vision_cfg": TOWERS[name], "text_cfg": TEXT}
    if name == "coca":
        config = {**CONFIGS["unit-coca"], "embed_dim": width}
    openclip.register_architecture(f"unit-{name}", config)
    torch.manual_seed(0)
    model = openclip.random_model(f"unit-{name}").eval().requires_grad_(False)
    for weight in model.visual.parameters():
        weight += torch.randn_like(weight) * 0.05
    settings = preprocessing.merge_settings({"size": openclip.model_image_size(model)}) | {"crop": 1.0}
    preprocess = openclip.transform(settings)
    return Backbone(RECORD, torch.device("cpu"), None, 1.0, preprocess, settings, model, width)  # type: ignore[arg-type]


def noise(backbone: Backbone, count: int = 2) -> torch.Tensor:
    """A preprocessed batch of random images."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, *backbone.preprocess_config["size"], generator=generator)
