"""What a method shares with everything else in its process, and which of it was changed."""

from __future__ import annotations

import os
import random
from operator import attrgetter
from typing import Any

import numpy as np
import torch

ENVIRONMENT = "the environment variable"

SETTINGS = {
    "torch's matmul precision": (
        "get_float32_matmul_precision",
        "backends.cuda.matmul.allow_tf32",
        "backends.cuda.matmul.fp32_precision",  # the same in torch 2.9
        "backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
        "backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
    ),
    "cuDNN's flags": (
        "backends.cudnn.enabled",
        "backends.cudnn.benchmark",
        "backends.cudnn.allow_tf32",
        "backends.cudnn.conv.fp32_precision",
    ),
}
"""Where torch keeps what products and convolutions are computed with."""


def snapshot() -> dict[str, Any]:
    """The shared state by name, in values that can be compared."""
    kind, keys, *rest = np.random.get_state()
    state = {
        "Python's random state": random.getstate(),
        "numpy's random state": (kind, np.asarray(keys).tobytes(), *rest),
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": str(torch.empty(0).device),
        "torch's number of threads": torch.get_num_threads(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        **{name: tuple(_setting(path) for path in paths) for name, paths in SETTINGS.items()},
        "numpy's error handling": tuple(sorted(np.geterr().items())),
        "the working folder": os.getcwd(),  # noqa: PTH109 - a folder that was removed has no Path
        **{f"{ENVIRONMENT} {name}": value for name, value in os.environ.items()},
    }
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["CUDA's random state"] = torch.cuda.get_rng_state().numpy().tobytes()
    return state


def _setting(path: str) -> Any:
    """A setting of torch; None where this torch lacks it, or refuses to tell as it was set in a newer way."""
    try:
        found = attrgetter(path)(torch)
        return found() if callable(found) else found
    except (AttributeError, RuntimeError):
        return None


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what is not as it was. What appeared meanwhile (a library sets a variable at import) is left out."""
    return [name for name, value in before.items() if name not in after or after[name] != value]
