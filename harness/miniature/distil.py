"""Trains the miniature's vision transformer: `python -m harness.miniature.distil --out DIR`.

It learns to encode the pre-training images as the shipped ResNet does, so that it fits the shipped text tower and has
seen no OOP concept either. The same --out resumes an interrupted run.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from harness.backbones import openclip
from harness.miniature import corpus, model
from harness.miniature.figures import figures, normalised, table
from harness.miniature.pretrain import augment
from harness.miniature.training import CHECKPOINT, Log, Stage, TrainingPlan, logger, train

SHARPNESS = 25.0
"""Factor of cosines in the contrastive loss."""

COSINE_WEIGHT = 2.0
"""Weight of the distance to the ResNet's features, next to the contrastive loss."""

VISUAL = "visual."
"""Prefix of the image tower's weights."""


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m harness.miniature.distil", description=__doc__)
    parser.add_argument("--out", type=Path, default=model.WEIGHTS.parent, help="folder of weights and log")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=2, help="processes that draw")
    parser.add_argument(
        "--threads", type=int, default=TrainingPlan.threads, help="threads that compute; 1 on a busy machine"
    )
    parser.add_argument("--quick", action="store_true", help="a few steps on few images, to check that it runs")
    given = parser.parse_args(arguments)
    plan = TrainingPlan(given.out, given.steps, lr=given.lr, workers=given.workers, threads=given.threads)
    if given.quick:
        plan = replace(plan, steps=4, workers=1, every=2, images=64)
    torch.set_num_threads(plan.threads)
    run(plan, measure=not given.quick)


def run(plan: TrainingPlan, measure: bool) -> None:
    """Train; writes `beyond_mini_vit.safetensors` and `vit_log.txt` to ``plan.out``."""
    plan.out.mkdir(parents=True, exist_ok=True)
    log = logger(plan.out / "vit_log.txt")
    log(f"plan: steps {plan.steps}, lr {plan.lr}, seed {plan.seed}, torch {torch.__version__}")
    chosen = corpus.samples()
    if plan.images:
        chosen = chosen[:: len(chosen) // plan.images]
    pixels = torch.from_numpy(corpus.images(chosen, plan.workers))
    teacher, student = _models(plan)
    _learn(plan, teacher, student, pixels, log)
    weights = plan.out / model.VIT_WEIGHTS.name
    tower = {name: value for name, value in student.state_dict().items() if name.startswith(VISUAL)}
    save_file({name: value.half().contiguous() for name, value in tower.items()}, weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    (plan.out / CHECKPOINT).unlink(missing_ok=True)
    if measure:
        result = figures(student.float(), test=False, workers=plan.workers)
        log(f"figures on {result['scored']} images, percent\n{table(result)}")


def _models(plan: TrainingPlan) -> tuple[nn.Module, nn.Module]:
    """The shipped model, and one with its text tower and a seeded random vision transformer that alone is trained."""
    model.register()
    shipped = load_file(model.WEIGHTS)
    teacher = openclip.random_model(model.NAME)
    teacher.load_state_dict(shipped)
    torch.manual_seed(plan.seed)
    student = openclip.random_model(model.VIT_NAME)
    student.load_state_dict({k: v for k, v in shipped.items() if not k.startswith(VISUAL)}, strict=False)
    for name, weight in student.named_parameters():
        weight.requires_grad_(name.startswith(VISUAL))
    return teacher.eval().requires_grad_(False), student


def _learn(plan: TrainingPlan, teacher: nn.Module, student: nn.Module, pixels: Tensor, log: Log) -> None:
    def loss(rows: Tensor, captions: Tensor, rng: torch.Generator) -> Tensor:
        picture = normalised(teacher, augment(pixels[rows], rng))
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.bf16):
            wanted, found = (_unit(clip, picture) for clip in (teacher, student))
        contrast = F.cross_entropy(SHARPNESS * found @ wanted.T, torch.arange(len(found)))
        return contrast + COSINE_WEIGHT * (1 - (found * wanted).sum(dim=1)).mean()

    nothing = torch.zeros(len(pixels), 1, 1, dtype=torch.long)  # in place of captions
    train(plan, Stage(3, plan.steps, plan.lr), student, nothing, loss, log)


def _unit(clip: Any, picture: Tensor) -> Tensor:
    return F.normalize(clip.encode_image(picture).float(), dim=-1)


if __name__ == "__main__":
    main()
