"""The training loop of one stage; all randomness depends on (seed, stage, step), so runs resume exactly.

An interrupted run continues from its last checkpoint with the same result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from harness.errors import StorageError
from harness.miniature.world import WORLD

BATCH = 256
CHECKPOINT = "checkpoint.pt"

Log = Callable[[str], None]
Loss = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""The loss of image rows (n,) with token ids (n, context); the generator is the step's own."""


@dataclass(frozen=True)
class TrainingPlan:
    """One pre-training run; ``every``: steps between checkpoints; ``images``: approximate number to use."""

    out: Path
    steps: int = 800
    text_steps: int = 1000
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


class Stage(NamedTuple):
    """One stage of a run."""

    number: int
    steps: int
    lr: float


def train(plan: TrainingPlan, stage: Stage, clip: nn.Module, ids: Tensor, loss: Loss, log: Log) -> None:
    """AdamW with warm-up and cosine; ``ids`` (images, captions, context). Logs and saves every ``plan.every`` steps.

    Raises:
        StorageError: the folder holds the checkpoint of another run.
    """
    optimiser = _optimiser(clip, stage.lr)
    done, running, began = _resume(plan, stage, clip, optimiser, log), 0.0, time.perf_counter()
    for step in range(done, stage.steps):
        for group in optimiser.param_groups:
            group["lr"] = stage.lr * _schedule(step, stage.steps, plan.warmup)
        rng = generator(plan.seed, stage.number, step)
        rows = epoch_rows(plan.seed, stage.number, step, len(ids))
        captions = ids[rows, torch.randint(ids.shape[1], (len(rows),), generator=rng)]
        clip.train()
        value = loss(rows.to(plan.device), captions.to(plan.device), rng)
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
        optimiser.step()
        scale = clip.get_parameter("logit_scale").data.clamp_(0, math.log(100))
        running += float(value.detach())
        if (step + 1) % plan.every == 0 or step + 1 == stage.steps:
            seconds, count = time.perf_counter() - began, (step % plan.every) + 1
            log(
                f"stage {stage.number} step {step + 1}/{stage.steps} loss {running / count:.3f} "
                f"scale {float(scale.exp()):.1f} {count / seconds:.2f} steps/s"
            )
            _save(plan, stage, step + 1, clip, optimiser)
            running, began = 0.0, time.perf_counter()


def generator(seed: int, stage: int, step: int) -> torch.Generator:
    """The generator of one step (or, below zero, of one epoch)."""
    return torch.Generator().manual_seed(((seed * 8 + stage) << 32) + step)


def epoch_rows(seed: int, stage: int, step: int, n: int) -> Tensor:
    """The images of a step: a slice of its epoch's permutation of n."""
    batch = min(BATCH, n)
    epoch, place = divmod(step, n // batch)
    order = torch.randperm(n, generator=generator(seed, stage, -1 - epoch))
    return order[place * batch : (place + 1) * batch]


def logger(path: Path) -> Log:
    """A function that prints lines and appends them to a file."""

    def log(line: str) -> None:
        print(line, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return log


def _schedule(step: int, steps: int, warmup: int) -> float:
    return min(1, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / steps))


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


def _identity(plan: TrainingPlan) -> list[Any]:
    """What must be equal for a checkpoint to belong to this run."""
    free = ("out", "device", "workers", "threads", "every")
    return [WORLD, *(value for key, value in vars(plan).items() if key not in free)]


def _save(plan: TrainingPlan, stage: Stage, step: int, clip: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    place = {"run": _identity(plan), "stage": stage.number, "step": step}
    partial = plan.out / f"{CHECKPOINT}.partial"
    torch.save({**place, "model": clip.state_dict(), "optimiser": optimiser.state_dict()}, partial)
    partial.replace(plan.out / CHECKPOINT)


def _resume(plan: TrainingPlan, stage: Stage, clip: nn.Module, optimiser: torch.optim.Optimizer, log: Log) -> int:
    """Load the last checkpoint; returns the steps of this stage that are done."""
    path = plan.out / CHECKPOINT
    if not path.exists():
        return 0
    state = torch.load(path, map_location=plan.device, weights_only=True)
    if state["run"] != _identity(plan):
        raise StorageError(f"{path} is the checkpoint of another run", "delete it, or choose another --out")
    if state["stage"] < stage.number:
        return 0
    clip.load_state_dict(state["model"])
    if state["stage"] > stage.number:
        return stage.steps
    optimiser.load_state_dict(state["optimiser"])
    log(f"stage {stage.number} continues after step {state['step']}")
    return int(state["step"])
