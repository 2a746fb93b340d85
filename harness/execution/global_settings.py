"""The global settings of a process that numbers or images depend on, library by library.

Torch's are found by the names of its functions: every ``_set_x`` of ``torch._C`` with a matching ``_get_x``,
``_is_x`` or ``_x_enabled`` (attention back ends, mkldnn, cuDNN, cuBLAS, quantized engine, gradient modes, the
JIT), every precision of a back end and an operation, and every variable of the modules ``torch.backends.*``. Pillow's
are the constants of its modules (``ImageFile.LOAD_TRUNCATED_IMAGES``, ``Image.MAX_IMAGE_PIXELS``). All others
are listed by hand.

Not covered: replaced functions and classes, decoders added to Pillow, tensor modes that are entered and not left, new
environment variables, settings of torch's compilers, the number of BLAS threads (which
``harness.execution.one_thread.one_thread_per_operation`` sets before every cell), and state of other libraries. Only a
separate process, as with ``--isolate``, protects other methods from those.
"""

from __future__ import annotations

import os
import random
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from functools import cache, partial
from types import ModuleType
from typing import Any, NamedTuple

NOT_READABLE = object()
"""The value of a setting that cannot be read, or only by starting a device."""

NO_SETTING = re.compile(
    r"nvfuser|tunableop|autocast_.*(enabled|dtype)$|deterministic_algorithms|anomaly|thread_name|interop"
)
"""Functions of ``torch._C`` to skip: deprecated, without consequence, or with one more argument (listed by hand)."""

OF_CUDA = re.compile(r"^_(cuda|accelerator)")
"""Functions that are called only if CUDA is initialized: they would initialize it."""

OF_VARIABLES = ("torch.backends.", "PIL.")
"""Name prefixes of modules whose variables are settings."""

PRECISIONS = [(end, of) for end in ("generic", "cuda", "mkldnn") for of in ("all", "conv", "rnn", "matmul")]
"""Back ends and operations with their own precision; torch rejects some of the pairs."""

_ENTERED: list[Any] = []
"""Modes that were entered to restore an earlier one; they end when they are freed."""


class GlobalSetting(NamedTuple):
    """One global setting: how to read it, as a comparable value, and how to restore such a value."""

    get: Callable[[], Any]
    put: Callable[[Any], object]


def groups() -> Iterator[Mapping[str, GlobalSetting]]:
    """The settings of Python and of each library that is completely imported."""
    yield of_python()
    for module, group in OF_LIBRARIES.items():
        if _ready(module):
            yield group()
    for name in [name for name in sys.modules if name.startswith(OF_VARIABLES) and _ready(name)]:
        yield variables(name)


def _ready(module: str) -> bool:
    """Whether a module is completely imported."""
    there = sys.modules.get(module)
    return there is not None and not getattr(there.__spec__, "_initializing", False)


def variables(module: str) -> Mapping[str, GlobalSetting]:
    """The variables of a module that are settings; in Pillow's modules the upper-case ones."""
    owner = sys.modules[module]
    inner = getattr(owner, "m", owner) if type(owner) is not ModuleType else owner  # torch wraps some of its modules
    found = {}
    for name, value in list(vars(inner).items()):
        mutable = name.isupper() if module.startswith("PIL.") else not (name.isupper() or name.startswith("__"))
        if mutable and _is_plain(value):
            found[f"{module}.{name}"] = GlobalSetting(
                partial(_variable, owner, name), partial(_assign, owner, inner, name)
            )
    return found


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | Enum)


def _variable(owner: ModuleType, name: str) -> Any:
    value = getattr(owner, name, NOT_READABLE)
    return value if _is_plain(value) else NOT_READABLE


def _assign(owner: ModuleType, inner: ModuleType, name: str, value: Any) -> None:
    if owner is not inner:
        vars(owner).pop(name, None)  # it hides the inner one
    setattr(inner, name, value)


@cache
def of_python() -> Mapping[str, GlobalSetting]:
    """Python's own settings."""
    return {
        "Python's random state": GlobalSetting(random.getstate, random.setstate),
        "the working folder": GlobalSetting(_folder, _put_folder),
        "Python's recursion limit": GlobalSetting(sys.getrecursionlimit, sys.setrecursionlimit),
        "Python's warnings that are errors": GlobalSetting(_fatal_warnings, _put_fatal_warnings),
    }


@cache
def _of_numpy() -> Mapping[str, GlobalSetting]:
    import numpy as np

    def random_state() -> tuple[Any, ...]:
        kind, keys, *rest = np.random.get_state()
        return kind, np.asarray(keys).tobytes(), *rest

    def put_random_state(state: tuple[Any, ...]) -> None:
        kind, keys, *rest = state
        np.random.set_state((kind, np.frombuffer(keys, dtype=np.uint32), *rest))

    return {
        "numpy's random state": GlobalSetting(random_state, put_random_state),
        "numpy's error handling": GlobalSetting(np.geterr, lambda given: np.seterr(**given)),
        "numpy's buffer size": GlobalSetting(np.getbufsize, np.setbufsize),
    }


@cache
def _of_sklearn() -> Mapping[str, GlobalSetting]:
    import sklearn

    return {
        "scikit-learn's configuration": GlobalSetting(sklearn.get_config, lambda given: sklearn.set_config(**given))
    }


@cache
def _of_torch() -> Mapping[str, GlobalSetting]:
    import torch

    def flushes() -> bool:
        return sys.float_info.min * 0.5 == 0.0  # half the least normal number is a denormal one

    def enter_inference_mode(wanted: bool) -> None:
        _ENTERED.append(torch.inference_mode(wanted))
        _ENTERED[-1].__enter__()

    def state_of_cuda() -> Any:
        started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        return torch.cuda.get_rng_state().numpy().tobytes() if started else NOT_READABLE

    def tensor(state: bytes) -> Any:
        return torch.frombuffer(bytearray(state), dtype=torch.uint8)

    return {
        "torch's random state": GlobalSetting(
            lambda: torch.get_rng_state().numpy().tobytes(), lambda state: torch.set_rng_state(tensor(state))
        ),
        "CUDA's random state": GlobalSetting(state_of_cuda, lambda state: torch.cuda.set_rng_state(tensor(state))),
        "torch's default device": GlobalSetting(
            lambda: str(torch.get_default_device()), lambda d: torch.set_default_device(None if d == "cpu" else d)
        ),
        "torch's deterministic mode": GlobalSetting(
            lambda: (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            ),
            lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
        ),
        "torch's anomaly mode": GlobalSetting(
            lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
            lambda value: torch.set_anomaly_enabled(*value),
        ),
        "torch's inference mode": GlobalSetting(torch.is_inference_mode_enabled, enter_inference_mode),
        "torch's flushing of denormal numbers": GlobalSetting(flushes, torch.set_flush_denormal),
        **{f"torch's autocast on {device}": _autocast(torch, device) for device in ("cpu", "cuda")},
        **_hooks_of_all_modules(torch.nn.modules.module),
        **_paired(torch._C, torch.cuda.is_initialized),
        **_precisions(torch._C),
    }


def _autocast(torch: Any, device: str) -> GlobalSetting:
    def put(value: tuple[bool, Any]) -> None:
        torch.set_autocast_enabled(device, value[0])
        torch.set_autocast_dtype(device, value[1])

    return GlobalSetting(lambda: (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)), put)


def _hooks_of_all_modules(owner: Any) -> dict[str, GlobalSetting]:
    """Hooks that torch calls for every module, such as those of ``register_module_forward_hook``."""

    def get(hooks: dict[Any, Any]) -> tuple[Any, ...]:
        return tuple(hooks.items())

    def put(hooks: dict[Any, Any], value: tuple[Any, ...]) -> None:
        hooks.clear()
        hooks.update(value)

    return {
        f"torch's {name.strip('_').replace('_', ' ')}": GlobalSetting(partial(get, hooks), partial(put, hooks))
        for name, hooks in vars(owner).items()
        if name.startswith("_global_") and isinstance(hooks, dict)
    }


OF_LIBRARIES: Mapping[str, Callable[[], Mapping[str, GlobalSetting]]] = {
    "numpy": _of_numpy,
    "sklearn": _of_sklearn,
    "torch": _of_torch,
}
"""Module -> its settings, once it is imported."""


def _paired(owner: Any, cuda_started: Callable[[], bool]) -> dict[str, GlobalSetting]:
    """The settings with a function ``set_x`` in torch's core and another one that reads it without arguments."""
    found = {}
    for setter in dir(owner):
        place = re.search(r"(?:^|_)set_", setter)
        if place is None or NO_SETTING.search(setter):
            continue
        before, stem = setter[: place.end() - len("set_")], setter[place.end() :]
        getter = next((name for name in _getters(before, stem) if hasattr(owner, name)), None)
        if getter is None:
            continue
        get = _reading(getattr(owner, getter), cuda_started if OF_CUDA.match(setter) else None)
        words = f"{before} {stem}".replace("_", " ").split()
        found[" ".join(("torch's", *words))] = GlobalSetting(get, partial(_spread, getattr(owner, setter)))
    return found


def _getters(before: str, stem: str) -> Iterator[str]:
    """Possible names of the function that reads what ``<before>set_<stem>`` sets."""
    attention = re.sub(r"^sdp_use_(\w+)$", r"\1_sdp_enabled", stem)
    for prefix in dict.fromkeys((before, before.removeprefix("_"))):
        yield from (f"{prefix}get_{attention}", f"{prefix}is_{stem}", f"{prefix}is_{stem}_enabled")
        yield from (f"{prefix}{stem}_enabled", f"{prefix}{stem}")


def _precisions(owner: Any) -> dict[str, GlobalSetting]:
    if not hasattr(owner, "_get_fp32_precision_getter"):  # before torch 2.9
        return {}
    get, put = owner._get_fp32_precision_getter, owner._set_fp32_precision_setter
    return {
        f"torch's precision of {end} {of}": GlobalSetting(_reading(partial(get, end, of)), partial(put, end, of))
        for end, of in PRECISIONS
    }


def _reading(get: Callable[[], Any], started: Callable[[], bool] | None = None) -> Callable[[], Any]:
    def read() -> Any:
        if started is not None and not started():
            return NOT_READABLE
        try:
            return get()
        except (RuntimeError, TypeError):  # it was set in another way, or needs an argument
            return NOT_READABLE

    return read


def _spread(put: Callable[..., object], value: Any) -> object:
    return put(*value) if isinstance(value, tuple) else put(value)


def _fatal_warnings() -> tuple[Any, ...]:
    return tuple(one for one in warnings.filters if one[0] == "error")


def _put_fatal_warnings(fatal: tuple[Any, ...]) -> None:
    others = [one for one in warnings.filters if one[0] != "error"]
    warnings.filters[:] = [*fatal, *others]  # type: ignore[index]
    warnings.filterwarnings("default", append=True)  # invalidates Python's cache of the filters


def _folder() -> str | None:
    with suppress(OSError):  # it was removed
        return os.getcwd()  # noqa: PTH109 - as text: a Path may not encode it
    return None


def _put_folder(path: str | None) -> None:
    with suppress(OSError, TypeError):
        os.chdir(path)  # type: ignore[arg-type]
