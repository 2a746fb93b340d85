"""What a method shares with everything else in its process, and which of it was changed."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import torch

ENVIRONMENT = "the environment variable"


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
        "torch's matmul precision": torch.get_float32_matmul_precision(),
        "cuDNN's flags": (
            torch.backends.cudnn.enabled,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32,
        ),
        "numpy's error handling": tuple(sorted(np.geterr().items())),
        "the working folder": os.getcwd(),  # noqa: PTH109 - a folder that was removed has no Path
        **{f"{ENVIRONMENT} {name}": value for name, value in os.environ.items()},
    }
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["CUDA's random state"] = torch.cuda.get_rng_state().numpy().tobytes()
    return state


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what is not as it was. What appeared meanwhile (a library sets a variable at import) is left out."""
    return [name for name, value in before.items() if name not in after or after[name] != value]
