"""Makes the shipped weights: `python -m harness.miniature.pretrain --out DIR`.

Stage 1 trains both towers. Stage 2 trains the text tower alone, on captions in which half the mentions carry a stem
that is never used again: so it learns to read the words around a name that it does not know, while the image tower
keeps what it has.

All that is random at a step depends on (seed, stage, step) alone. So a run that was interrupted goes on from its last
checkpoint as if nothing had happened: give the same --out again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from harness.backbones import openclip
from harness.miniature import corpus, model
from harness.miniature.figures import encode_images, figures, normalised, table

BATCH = 256
SHIFT = 4
"""Random shift of the training images, in pixels each way."""


@dataclass(frozen=True)
class Plan:
    """One pre-training run."""

    out: Path
    steps: int = 3000
    text_steps: int = 1500
    lr: float = 2e-3
    text_lr: float = 1.5e-3
    warmup: int = 200
    seed: int = 0
    device: str = "cpu"
    workers: int = 2
    threads: int = 2
    bf16: bool = True
    every: int = 250
    images: int | None = None


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m harness.miniature.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, default=model.WEIGHTS.parent, help="folder of weights, figures and log")
    parser.add_argument("--steps", type=int, default=Plan.steps, help="steps of stage 1")
    parser.add_argument("--text-steps", type=int, default=Plan.text_steps, help="steps of stage 2")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--device", default=Plan.device)
    parser.add_argument("--workers", type=int, default=Plan.workers, help="processes that draw")
    parser.add_argument("--threads", type=int, default=Plan.threads, help="threads that compute; 1 on a busy machine")
    parser.add_argument("--fp32", action="store_true", help="image tower in fp32, for processors without bf16")
    parser.add_argument("--no-test", action="store_true", help="while developing: leave the test images alone")
    parser.add_argument("--quick", action="store_true", help="a few steps on few images, to see that it runs")
    given = parser.parse_args(arguments)
    plan = Plan(
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
        plan = replace(plan, steps=4, text_steps=4, workers=1, every=2, images=64)
    torch.set_num_threads(plan.threads)
    run(plan, test=not (given.no_test or given.quick))


def run(plan: Plan, test: bool) -> None:
    """Both stages; writes `beyond_mini.safetensors`, `figures.json` and `log.txt` to ``plan.out``."""
    plan.out.mkdir(parents=True, exist_ok=True)
    log = _logger(plan.out / "log.txt")
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
    save(clip, plan.out / model.WEIGHTS.name)
    for part in (False, True) if test else (False,):
        result = figures(clip, part, plan.workers)
        log(f"figures on {result['scored']} images, percent\n{table(result)}")
    rounded = json.loads(json.dumps(result), parse_float=lambda text: round(float(text), 4))
    (plan.out / "figures.json").write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
    (plan.out / "checkpoint.pt").unlink(missing_ok=True)


def joint(plan: Plan, clip: nn.Module, images: NDArray[np.uint8], ids: Tensor, log: Callable[[str], None]) -> None:
    """Stage 1: both towers, contrastive loss. ``images`` (n, 64, 64, 3), ``ids`` (n, captions, 32)."""
    pixels = torch.from_numpy(images).to(plan.device)

    def loss(rows: Tensor, captions: Tensor, rng: torch.Generator) -> Tensor:
        picture = normalised(clip, _augment(pixels[rows], rng))
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=plan.bf16):
            image = clip.encode_image(picture)  # type: ignore[operator]
        image = F.normalize(image.float(), dim=-1)
        return _contrast(clip, image, captions)

    _train(plan, 1, clip, plan.steps, plan.lr, ids, loss, log)


def text_only(plan: Plan, clip: nn.Module, images: NDArray[np.uint8], ids: Tensor, log: Callable[[str], None]) -> None:
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

    _train(plan, 2, clip, plan.text_steps, plan.text_lr, ids, loss, log)


def save(clip: nn.Module, path: Path) -> None:
    """Write the weights in fp16, under open_clip's own names."""
    halves = {name: value.half() if value.is_floating_point() else value for name, value in clip.state_dict().items()}
    save_file({name: value.cpu().contiguous() for name, value in halves.items()}, path, metadata={"format": "pt"})


def _train(
    plan: Plan,
    stage: int,
    clip: nn.Module,
    steps: int,
    lr: float,
    ids: Tensor,
    loss: Callable[[Tensor, Tensor, torch.Generator], Tensor],
    log: Callable[[str], None],
) -> None:
    """AdamW with warm-up and cosine; logs and checkpoints every ``plan.every`` steps."""
    optimiser = _optimiser(clip, lr)
    done, running, began = _resume(plan, stage, clip, optimiser, log), 0.0, time.perf_counter()
    for step in range(done, steps):
        rate = lr * min(1, (step + 1) / plan.warmup) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        rng = torch.Generator().manual_seed(hash_of(plan.seed, stage, step))
        rows = _rows(plan.seed, stage, step, len(ids))
        captions = ids[rows, torch.randint(ids.shape[1], (len(rows),), generator=rng)]
        clip.train()
        value = loss(rows.to(plan.device), captions.to(plan.device), rng)
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            clip.get_parameter("logit_scale").clamp_(0, math.log(100))
        running += float(value.detach())
        if (step + 1) % plan.every == 0 or step + 1 == steps:
            seconds, count = time.perf_counter() - began, (step % plan.every) + 1
            scale = float(clip.get_parameter("logit_scale").detach().exp())
            log(
                f"stage {stage} step {step + 1}/{steps} loss {running / count:.3f} "
                f"scale {scale:.1f} {count / seconds:.2f} steps/s"
            )
            _checkpoint(plan, stage, step + 1, clip, optimiser)
            running, began = 0.0, time.perf_counter()


def _fresh(plan: Plan) -> nn.Module:
    """The architecture with seeded random weights: rows of tokens that no caption holds stay as they are here."""
    model.register()
    torch.manual_seed(plan.seed)
    clip = openclip.random_model(model.NAME).to(plan.device)
    clip.visual.to(memory_format=torch.channels_last)
    return clip


def _contrast(clip: nn.Module, image: Tensor, captions: Tensor) -> Tensor:
    """CLIP's symmetric loss of unit image features (n, 128) and token ids (n, 32)."""
    text = F.normalize(model.encode_text(clip, captions), dim=-1)
    scores = clip.get_parameter("logit_scale").exp() * image @ text.T
    target = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2


def _augment(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Pixels (n, 64, 64, 3), each image shifted by up to ``SHIFT`` pixels and mirrored half the time."""
    n, size = pixels.shape[:2]
    shifts = torch.randint(-SHIFT, SHIFT + 1, (2, n, 1), generator=rng).to(pixels.device)
    mirrored = torch.rand(n, 1, generator=rng).to(pixels.device) < 0.5
    along = torch.arange(size, device=pixels.device)[None]
    down = (along + shifts[0]).clamp(0, size - 1)
    across = (torch.where(mirrored, along.flip(1), along) + shifts[1]).clamp(0, size - 1)
    return pixels[torch.arange(n, device=pixels.device)[:, None, None], down[:, :, None], across[:, None, :]]


def _rows(seed: int, stage: int, step: int, n: int) -> Tensor:
    """The images of a step: a slice of the epoch's permutation."""
    batch = min(BATCH, n)
    epoch, place = divmod(step, n // batch)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(hash_of(seed, stage, -1 - epoch)))
    return order[place * batch : (place + 1) * batch]


def hash_of(seed: int, stage: int, step: int) -> int:
    """One number of (seed, stage, step), the same everywhere."""
    return ((seed * 8 + stage) << 32) + step


def _optimiser(clip: nn.Module, lr: float) -> torch.optim.AdamW:
    """AdamW; no decay for gains, biases, the scale, and token embeddings (unused rows must keep their values)."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in clip.named_parameters():
        if parameter.requires_grad:
            groups[parameter.ndim >= 2 and name != "token_embedding.weight"].append(parameter)
    return torch.optim.AdamW(
        [{"params": groups[True], "weight_decay": 0.1}, {"params": groups[False], "weight_decay": 0.0}],
        lr=lr,
        betas=(0.9, 0.98),
        fused=True,
    )


def _ids(texts: list[list[str]]) -> Tensor:
    """Token ids (n, captions, 32)."""
    ids: Tensor = openclip.tokenizer(model.NAME)([line for lines in texts for line in lines])
    return ids.view(len(texts), corpus.CAPTIONS, -1)


def _checkpoint(plan: Plan, stage: int, step: int, clip: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    state = {"stage": stage, "step": step, "model": clip.state_dict(), "optimiser": optimiser.state_dict()}
    fresh = plan.out / "checkpoint.partial"
    torch.save(state, fresh)
    fresh.replace(plan.out / "checkpoint.pt")


def _resume(
    plan: Plan, stage: int, clip: nn.Module, optimiser: torch.optim.Optimizer, log: Callable[[str], None]
) -> int:
    """Load the last checkpoint; returns the steps of this stage that are done."""
    path = plan.out / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location=plan.device, weights_only=True)
    if state["stage"] < stage:
        return 0
    clip.load_state_dict(state["model"])
    if state["stage"] > stage:
        return 10**9
    optimiser.load_state_dict(state["optimiser"])
    log(f"stage {stage} goes on after step {state['step']}")
    return int(state["step"])


def _logger(path: Path) -> Callable[[str], None]:
    def log(line: str) -> None:
        print(line, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return log


if __name__ == "__main__":
    main()
