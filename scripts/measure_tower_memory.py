"""Measure the peak host memory of training steps through the towers of ViT-B-16, with random weights and 113 names.

    python scripts/measure_tower_memory.py                       # every method and batch of CASES
    python scripts/measure_tower_memory.py clip_lora 32 true     # one: method, images of a step, checkpointing

Prints one JSON line for each, measured in a process of its own: the peak with the model loaded and the peak of a fit of
two steps, both in GiB.

On a GPU in fp32, a step of ``clip_lora`` with its authors' 32 images needs, in GB: 0.6 for 150 million weights; 0.003
for 184,320 learned values, their gradients and two moments; about 20 values are kept for each of the 197 x 768 numbers
of a block, so 20 x 197 x 768 x 4 bytes = 0.012 for an image and a block, and 4.6 for 32 images and 12 blocks; with 16
tokens of 512 numbers a prompt, 0.9 for 113 prompts. That is 6.1, and 7.5 if attention keeps its matrices (twice
12 x 197 x 197 x 4 bytes for an image and a block). A step of ``maple`` with 4 images needs
0.6 + 0.06 + 0.6 + 0.9 = 2.2.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

from harness.backbones import openclip
from harness.backbones.private_copy import ModelCopies
from harness.backbones.text import OpenClipTextTower
from harness.execution.one_thread import one_thread_per_operation
from harness.method import build
from harness.registry import load
from harness.runner.image_input import ArrayPixels
from harness.types.task import Support, Task

ARCHITECTURE = "ViT-B-16"
NAMES = 113
CASES = (("maple", 4, False), ("clip_lora", 32, False), ("clip_lora", 32, True))
"""Methods with their authors' batches, and whether they recompute activations."""


def main(words: list[str]) -> None:
    """Measure the case of the command line, or start a process for each."""
    if words:
        measure(words[0], int(words[1]), words[2:] == ["true"])
        return
    for name, batch, checkpointing in CASES:
        case = [name, str(batch), str(checkpointing).lower()]
        subprocess.run([sys.executable, __file__, *case], check=True)


def measure(name: str, batch: int, checkpointing: bool) -> None:
    """Fit a method for two steps and print its peak memory."""
    method: Any = build(name, load("method", name).value, "paper")
    method.batch, method.epochs, method.views, method.checkpointing = batch, 1, 1, checkpointing
    if hasattr(method, "steps_per_shot"):
        method.steps_per_shot = None
    task = task_of(2 * batch)
    before = _peak()
    begin = time.perf_counter()
    with one_thread_per_operation(task.device):
        method.fit(task)
    figures = {
        "method": name,
        "images": batch,
        "checkpointing": checkpointing,
        "learned": method.trainable(),
        "seconds": round(time.perf_counter() - begin, 1),
        "peak_gib_before": round(before, 2),
        "peak_gib": round(_peak(), 2),
    }
    print(json.dumps(figures), flush=True)


def task_of(images: int) -> Task:
    """A task of 113 names around a ViT-B-16 with random weights, and images of noise."""
    device = torch.device("cpu")
    model: Any = openclip.random_model(ARCHITECTURE).eval().requires_grad_(False)
    side = model.visual.image_size[0]
    noise = np.random.default_rng(0).integers(0, 256, (images, 1, 3, side, side), dtype=np.uint8)
    features = torch.nn.functional.normalize(torch.randn(images, 1, model.visual.output_dim), dim=-1)
    pixels = ArrayPixels(noise, lambda rows: rows.float().div(255).sub(0.5).div(0.25), device)
    return Task(
        noun="animal",
        text=OpenClipTextTower(model, openclip.tokenizer(ARCHITECTURE), device),
        logit_scale=100.0,
        generator=torch.Generator().manual_seed(0),
        device=device,
        shots=1,
        _support=Support(features, torch.arange(images) % NAMES, _pixels=pixels),
        _names=tuple(f"great spotted marsh bird of number {i}" for i in range(NAMES)),
        _model=ModelCopies(model, "fp32"),
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main(sys.argv[1:])
