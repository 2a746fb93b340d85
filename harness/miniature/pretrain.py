"""Pre-trains the shipped weights: `python -m harness.miniature.pretrain --out DIR`.

Stage 1 trains both towers. Stage 2 trains the text tower alone, on captions in which half the mentions have a stem that
is used once only: so it learns to read the words around an unknown name, while the image tower does not change. The
same --out resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from harness.backbones import openclip
from harness.miniature import corpus, model
from harness.miniature.figures import encode_images, normalised, record
from harness.miniature.text import encode_text
from harness.miniature.training import BATCH, CHECKPOINT, Log, Stage, TrainingPlan, logger, train

SHIFT = 4
"""Random shift of the training images, in pixels each way."""


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m harness.miniature.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, default=model.WEIGHTS.parent, help="folder of weights, figures and log")
    parser.add_argument("--steps", type=int, default=TrainingPlan.steps, help="steps of stage 1")
    parser.add_argument("--text-steps", type=int, default=TrainingPlan.text_steps, help="steps of stage 2")
    parser.add_argument("--seed", type=int, default=TrainingPlan.seed)
    parser.add_argument("--device", default=TrainingPlan.device)
    parser.add_argument("--workers", type=int, default=TrainingPlan.workers, help="processes that draw")
    parser.add_argument(
        "--threads", type=int, default=TrainingPlan.threads, help="threads that compute; 1 on a busy machine"
    )
    parser.add_argument("--fp32", action="store_true", help="image tower in fp32, for processors without bf16")
    parser.add_argument("--no-test", action="store_true", help="do not score the test images, for development")
    parser.add_argument("--quick", action="store_true", help="a few steps on few images, to check that it runs")
    given = parser.parse_args(arguments)
    plan = TrainingPlan(
        given.out,
        given.steps,
        given.text_steps,
        seed=given.seed,
        device=given.device,
        workers=given.workers,
        threads=given.threads,
        bf16=not given.fp32,
    )
    if given.quick:
        plan = replace(plan, steps=2, text_steps=2, workers=1, every=1, images=64)
    torch.set_num_threads(plan.threads)
    run(plan, test=not (given.no_test or given.quick))


def run(plan: TrainingPlan, test: bool) -> None:
    """Both stages; writes `beyond_mini.safetensors`, `figures.json` and `log.txt` to ``plan.out``."""
    plan.out.mkdir(parents=True, exist_ok=True)
    log = logger(plan.out / "log.txt")
    shown = ", ".join(f"{key} {value}" for key, value in vars(plan).items() if key != "out")
    log(f"plan: {shown}, batch {BATCH}, torch {torch.__version__}")
    chosen = corpus.samples()
    if plan.images:
        chosen = chosen[:: len(chosen) // plan.images]
    began = time.perf_counter()
    images = corpus.images(chosen, plan.workers)
    log(f"{len(images)} images drawn in {time.perf_counter() - began:.0f} s")
    clip = _fresh(plan)
    joint(plan, clip, images, _ids(corpus.texts(chosen)), log)
    text_only(plan, clip, images, _ids(corpus.texts(chosen, aliased=0.5)), log)
    weights = plan.out / model.WEIGHTS.name
    save(clip, weights)
    record(weights, test, plan.workers, log)
    (plan.out / CHECKPOINT).unlink(missing_ok=True)


def joint(plan: TrainingPlan, clip: nn.Module, images: NDArray[np.uint8], ids: Tensor, log: Log) -> None:
    """Stage 1: both towers, contrastive loss. ``images`` (n, 64, 64, 3), ``ids`` (n, captions, 32)."""
    pixels = torch.from_numpy(images).to(plan.device)

    def loss(rows: Tensor, captions: Tensor, rng: torch.Generator) -> Tensor:
        picture = normalised(clip, augment(pixels[rows], rng))
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=plan.bf16):
            image = clip.encode_image(picture)  # type: ignore[operator]
        image = F.normalize(image.float(), dim=-1)
        return _contrast(clip, image, captions)

    train(plan, Stage(1, plan.steps, plan.lr), clip, ids, loss, log)


def text_only(plan: TrainingPlan, clip: nn.Module, images: NDArray[np.uint8], ids: Tensor, log: Log) -> None:
    """Stage 2: the text tower alone, against the image tower's features of the same images and their mirror images."""
    for parameter in clip.visual.parameters():  # type: ignore[union-attr]
        parameter.requires_grad_(False)
        parameter.grad = None  # stage 1's last gradient would count when the norm is clipped

    features: list[Tensor] = []

    def loss(rows: Tensor, captions: Tensor, rng: torch.Generator) -> Tensor:
        if not features:  # only now: a resumed run has loaded the image tower of its checkpoint
            features.extend(encode_images(clip, view) for view in (images, np.ascontiguousarray(images[:, :, ::-1])))
        view = int(torch.randint(2, (1,), generator=rng))
        return _contrast(clip, features[view][rows], captions)

    train(plan, Stage(2, plan.text_steps, plan.text_lr), clip, ids, loss, log)


def save(clip: nn.Module, path: Path) -> None:
    """Write the weights in fp16, under open_clip's own names."""
    halves = {name: value.half() if value.is_floating_point() else value for name, value in clip.state_dict().items()}
    save_file({name: value.cpu().contiguous() for name, value in halves.items()}, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors leaves it to the owner alone


def _fresh(plan: TrainingPlan) -> nn.Module:
    """The architecture with seeded random weights; rows of tokens that are in no caption are never trained."""
    model.register()
    torch.manual_seed(plan.seed)
    clip = openclip.random_model(model.NAME).to(plan.device)
    clip.visual.to(memory_format=torch.channels_last)
    return clip


def _contrast(clip: nn.Module, image: Tensor, captions: Tensor) -> Tensor:
    """CLIP's symmetric loss of unit image features (n, 128) and token ids (n, 32)."""
    text = F.normalize(encode_text(clip, captions), dim=-1)
    scores = clip.get_parameter("logit_scale").exp() * image @ text.T
    target = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2


def augment(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Pixels (n, 64, 64, 3), each image shifted by up to ``SHIFT`` pixels and mirrored half the time."""
    n, size = pixels.shape[:2]
    shifts = torch.randint(-SHIFT, SHIFT + 1, (2, n, 1), generator=rng).to(pixels.device)
    mirrored = torch.rand(n, 1, generator=rng).to(pixels.device) < 0.5
    along = torch.arange(size, device=pixels.device)[None]
    down = (along + shifts[0]).clamp(0, size - 1)
    across = (torch.where(mirrored, along.flip(1), along) + shifts[1]).clamp(0, size - 1)
    return pixels[torch.arange(n, device=pixels.device)[:, None, None], down[:, :, None], across[:, None, :]]


def _ids(texts: list[list[str]]) -> Tensor:
    """Token ids (n, captions, 32)."""
    ids: Tensor = openclip.tokenizer(model.NAME)([line for lines in texts for line in lines])
    return ids.view(len(texts), corpus.CAPTIONS, -1)


if __name__ == "__main__":
    main()
