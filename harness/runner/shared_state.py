"""What a method shares with everything else in its process: seeded before every cell, and put back after it.

So no cell's numbers depend on the cells before it, whichever process they ran in.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import torch

ENVIRONMENT = "the environment variable"


class Setting(NamedTuple):
    """Something shared: how to read it, as a value that can be compared, and how to put such a value back."""

    get: Callable[[], Any]
    put: Callable[[Any], object]


def _quietly(get: Callable[[], Any], put: Callable[[Any], object]) -> Setting:
    """None where torch refuses to tell, as it was set in another way; what is None is not put back."""

    def tell() -> Any:
        with suppress(AttributeError, RuntimeError):
            return get()

    def put_back(value: Any) -> None:
        if value is not None and tell() != value:
            with suppress(RuntimeError):
                put(value)

    return Setting(tell, put_back)


def _attribute(path: str) -> Setting:
    """An attribute of torch, which this torch may lack."""
    owner, _, name = path.rpartition(".")
    return _quietly(lambda: attrgetter(path)(torch), lambda value: setattr(attrgetter(owner)(torch), name, value))


def _all_of(*settings: Setting) -> Setting:
    def put(values: tuple[Any, ...]) -> None:
        for setting, value in zip(settings, values, strict=True):
            setting.put(value)

    return Setting(lambda: tuple(setting.get() for setting in settings), put)


def _numpy_random() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()
    return kind, np.asarray(keys).tobytes(), *rest


def _put_numpy_random(state: tuple[Any, ...]) -> None:
    kind, keys, *rest = state
    np.random.set_state((kind, np.frombuffer(keys, dtype=np.uint32), *rest))


def _folder() -> str | None:
    with suppress(OSError):  # it was removed
        return os.getcwd()  # noqa: PTH109 - as text, which may be no Path of this platform's encoding
    return None


def _put_folder(path: str | None) -> None:
    with suppress(OSError, TypeError):
        os.chdir(path)  # type: ignore[arg-type]


SHARED: dict[str, Setting] = {
    "Python's random state": Setting(random.getstate, random.setstate),
    "numpy's random state": Setting(_numpy_random, _put_numpy_random),
    "torch's random state": Setting(
        lambda: torch.get_rng_state().numpy().tobytes(),
        lambda state: torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8)),
    ),
    "torch's default dtype": Setting(torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": Setting(lambda: str(torch.empty(0).device), torch.set_default_device),
    "torch's number of threads": Setting(torch.get_num_threads, torch.set_num_threads),
    "torch's gradient mode": Setting(torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's deterministic mode": Setting(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms
    ),
    "torch's matmul precision": _all_of(
        _attribute("backends.fp32_precision"),  # the names of torch 2.9; the older ones set several of them
        _quietly(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        _attribute("backends.cuda.matmul.fp32_precision"),
        _attribute("backends.mkldnn.matmul.fp32_precision"),
        _attribute("backends.cuda.matmul.allow_tf32"),
        _attribute("backends.cuda.matmul.allow_bf16_reduced_precision_reduction"),
        _attribute("backends.cuda.matmul.allow_fp16_reduced_precision_reduction"),
    ),
    "cuDNN's flags": _all_of(
        _attribute("backends.cudnn.enabled"),
        _attribute("backends.cudnn.benchmark"),
        _attribute("backends.cudnn.conv.fp32_precision"),
        _attribute("backends.cudnn.allow_tf32"),
    ),
    "numpy's error handling": Setting(np.geterr, lambda given: np.seterr(**given)),
    "the working folder": Setting(_folder, _put_folder),
}


def snapshot() -> dict[str, Any]:
    """The shared state by name, in values that can be compared."""
    state = {name: setting.get() for name, setting in SHARED.items()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["CUDA's random state"] = torch.cuda.get_rng_state().numpy().tobytes()
    return state | {f"{ENVIRONMENT} {name}": value for name, value in os.environ.items()}


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what is not as it was. What appeared meanwhile (a library sets a variable at import) is left out."""
    return [name for name, value in before.items() if name not in after or after[name] != value]


@contextmanager
def kept(seed: int) -> Iterator[None]:
    """Seed every generator that is shared, and put all that is shared back in the end."""
    before = snapshot()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)  # of CUDA devices too
    try:
        yield
    finally:
        for name in changes(before, snapshot()):
            if name in SHARED:
                SHARED[name].put(before[name])
            elif name.startswith(ENVIRONMENT):
                os.environ[name.removeprefix(f"{ENVIRONMENT} ")] = before[name]
            else:
                torch.cuda.set_rng_state(torch.frombuffer(bytearray(before[name]), dtype=torch.uint8))
