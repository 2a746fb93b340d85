"""The only module that imports open_clip: everything else goes through these functions."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import open_clip
from torch import nn


def register_architecture(name: str, config: dict[str, Any]) -> None:
    """Make a model configuration known to open_clip under ``name`` (idempotent)."""
    if open_clip.get_model_config(name) == config:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.json"
        path.write_text(json.dumps(config))
        open_clip.add_model_config(path)


def random_model(name: str) -> nn.Module:
    """The architecture ``name`` with random weights, in fp32 on the CPU."""
    model: nn.Module = open_clip.create_model(name, pretrained=None, pretrained_text=False)
    return model


def tokenizer(name: str) -> Any:
    """The tokenizer of architecture ``name``: a call turns a list of n texts into ids (n, context length)."""
    return open_clip.get_tokenizer(name)
