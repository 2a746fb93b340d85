"""What all code of a process shares is found by rule, read, and put back, also what a library brings that is new."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
import sklearn
import torch

from harness.execution.global_state import (
    changes,
    listed,
    preserve_global_state,
    put_back,
    seeded_global_state,
    snapshot,
)

HELD: list[Any] = []
"""Modes that were entered and never left: one that is freed ends."""


def moves(folder: Path) -> dict[str, Callable[[], object]]:
    """Name of a setting -> what changes it, by each library's public functions."""
    cuda, mkldnn = torch.backends.cuda, torch.backends.mkldnn
    return {
        "Python's random state": random.random,
        "Python's recursion limit": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1),
        "Python's warnings that are errors": lambda: warnings.simplefilter("error", BytesWarning),
        "the working folder": lambda: os.chdir(folder),
        "the environment variable ZOO": lambda: os.environ.pop("ZOO"),
        "numpy's random state": np.random.rand,
        "numpy's error handling": lambda: np.seterr(all="raise"),
        "numpy's buffer size": lambda: np.setbufsize(4096),
        "scikit-learn's configuration": lambda: sklearn.set_config(assume_finite=True),
        "PIL.ImageFile.LOAD_TRUNCATED_IMAGES": lambda: setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", True),
        "PIL.ImageFile.MAXBLOCK": lambda: setattr(PIL.ImageFile, "MAXBLOCK", 1),
        "PIL.Image.MAX_IMAGE_PIXELS": lambda: setattr(PIL.Image, "MAX_IMAGE_PIXELS", None),
        "torch's random state": lambda: torch.rand(1),
        "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
        "torch's default device": lambda: torch.set_default_device("meta"),
        "torch's num threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
        "torch's grad enabled": lambda: torch.set_grad_enabled(False),
        "torch's inference mode": lambda: (HELD.append(torch.inference_mode()), HELD[-1].__enter__()),
        "torch's anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
        "torch's deterministic mode": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        "torch's deterministic fill uninitialized memory": lambda: setattr(
            torch.utils.deterministic, "fill_uninitialized_memory", False
        ),
        "torch's flushing of denormal numbers": lambda: torch.set_flush_denormal(True),
        "torch's autocast on cpu": lambda: torch.autocast("cpu").__enter__(),
        "torch's sdp use flash": lambda: cuda.enable_flash_sdp(False),
        "torch's sdp use mem efficient": lambda: cuda.enable_mem_efficient_sdp(False),
        "torch's sdp use math": lambda: cuda.enable_math_sdp(False),
        "torch's sdp use cudnn": lambda: cuda.enable_cudnn_sdp(False),
        "torch's math sdp allow fp16 bf16 reduction": lambda: cuda.allow_fp16_bf16_reduction_math_sdp(True),
        "torch's sdp priority order": lambda: torch._C._set_sdp_priority_order([0, 1, 2, 3, 4]),
        "torch's mkldnn enabled": lambda: setattr(mkldnn, "enabled", False),
        "torch's mkldnn deterministic": lambda: setattr(mkldnn, "deterministic", True),
        "torch's float32 matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
        "torch's cublas allow tf32": lambda: setattr(cuda.matmul, "allow_tf32", True),
        "torch's cublas allow bf16 reduced precision reduction": lambda: setattr(
            cuda.matmul, "allow_bf16_reduced_precision_reduction", False
        ),
        "torch's cudnn enabled": lambda: setattr(torch.backends.cudnn, "enabled", False),
        "torch's cudnn benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
        "torch's cudnn allow tf32": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
        "torch's nnpack enabled": lambda: torch.backends.nnpack.set_flags(False),
        "torch.backends.mha._is_fastpath_enabled": lambda: torch.backends.mha.set_fastpath_enabled(False),
        "torch.backends.opt_einsum.enabled": lambda: setattr(
            torch.backends.opt_einsum, "enabled", not torch.backends.opt_einsum.enabled
        ),
    }


@pytest.mark.parametrize("name", moves(Path()))
def test_a_change_is_noticed_by_name_and_put_back(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO", "1")
    monkeypatch.chdir(tmp_path.parent)
    move = moves(tmp_path)[name]
    before = snapshot()
    with preserve_global_state() as changed:
        move()
        assert name in changes(before)
    assert name in changed or name.endswith("random state")
    assert changes(before) == []
    with seeded_global_state(3):
        move()
    assert changes(before) == []


def other(value: Any) -> Any:
    """Another value of the same type; the value itself where none is known."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, Enum) or hasattr(type(value), "__members__"):
        return next((one for one in type(value).__members__.values() if one != value), value)
    return value


@pytest.mark.filterwarnings("ignore")
def test_whatever_of_torch_can_be_switched_is_put_back() -> None:
    """The settings are found by the names of torch's functions: of all that this torch has, one after the other."""
    before = snapshot()
    switched = []
    for name, setting in before.settings.items():
        if name.startswith("torch") and (value := other(before.values[name])) is not before.values[name]:
            with suppress(RuntimeError):  # this machine has no such mode
                setting.put(value)
            if changes(before):
                switched.append(name)
                assert name in put_back(before)
                assert changes(before) == [], name
    assert len(switched) > 40


def test_no_import_of_a_library_counts_as_a_change_and_what_it_brings_is_watched() -> None:
    code = """
import sys
from harness.execution.global_state import preserve_global_state
assert not {"torch", "numpy", "PIL", "sklearn"} & set(sys.modules)
with preserve_global_state() as changed:
    from PIL import ImageFile, Image
    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = True, None
    import numpy, torch, sklearn.linear_model, PIL.PngImagePlugin, open_clip
    torch.set_grad_enabled(False)
    torch.backends.cuda.enable_flash_sdp(False)
found = {"PIL.ImageFile.LOAD_TRUNCATED_IMAGES", "PIL.Image.MAX_IMAGE_PIXELS", "torch's grad enabled"}
assert set(changed) == found | {"torch's sdp use flash"}, changed
assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS is None) == (False, False)
assert torch.is_grad_enabled() and torch.backends.cuda.flash_sdp_enabled()
assert not any(type(finder).__name__ == "_Watcher" for finder in sys.meta_path)
assert "exec_module" not in vars(torch.__spec__.loader)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_variable_that_is_new_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot()
    monkeypatch.setenv("ZOO_NEW", "1")
    assert changes(before) == []


def test_many_names_are_shortened() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_a_library_that_is_imported_in_nested_blocks_is_restored_by_both(tmp_path: Path) -> None:
    code = """
from harness.execution.global_state import preserve_global_state
with preserve_global_state() as outer:
    with preserve_global_state() as inner:
        from PIL import ImageFile
        ImageFile.LOAD_TRUNCATED_IMAGES = True
    assert not ImageFile.LOAD_TRUNCATED_IMAGES and inner, inner
    ImageFile.LOAD_TRUNCATED_IMAGES = True
assert not ImageFile.LOAD_TRUNCATED_IMAGES and outer, outer
"""
    subprocess.run([sys.executable, "-c", code], check=True)
