"""The binding of the compiled module: typed arrays and capsules, and errors for everything else."""

import numpy as np
import pytest
import torch

from harness.matching import instances, native
from harness.matching.quantise import UNIT

pytestmark = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")
needs_cuda_build = pytest.mark.skipif(not native.has_cuda(), reason="the CUDA part is not built")

ROWS = np.ones((2, 3, 4), np.float32)


def test_unit_equals_that_of_python():
    assert native.module().unit == UNIT


def test_arrays_are_copied_only_where_they_are_not_contiguous():
    p, t = instances.clip_like(0, 2, 5, 6, dimension=8)
    expected = native.match(p, t, 1)
    for found in (
        native.match(np.asfortranarray(p), t[:, ::-1][:, ::-1], 1),
        native.match(np.broadcast_to(p, p.shape), t.copy(), 1),
    ):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


CPU_ERRORS = [
    (TypeError, "prototypes must be float32, not float64", "match_cpu", (ROWS.astype(np.float64), ROWS, 1)),
    (TypeError, "names must be float32, not int32", "quantise_cpu", (ROWS, ROWS.astype(np.int32), 1, False)),
    (TypeError, "similarity must be int32, not int64", "assign_cpu", (np.zeros((1, 2, 2), np.int64), 1)),
    (ValueError, "prototypes must have 3 axes, not 2", "match_cpu", (ROWS[0], ROWS, 1)),
    (ValueError, "similarity must have 3 axes, not 4", "assign_cpu", (np.zeros((1, 1, 2, 2), np.int32), 1)),
    (ValueError, "differ in batch or dimension", "match_cpu", (ROWS, ROWS[:1], 1)),
    (ValueError, "differ in batch or dimension", "match_cpu", (ROWS, ROWS[..., :2], 1)),
]


@pytest.mark.parametrize(("error", "sentence", "function", "arguments"), CPU_ERRORS)
def test_wrong_array_raises_a_sentence(error, sentence, function, arguments):
    with pytest.raises(error, match=sentence):
        getattr(native.module(), function)(*arguments)


@needs_cuda_build
@pytest.mark.parametrize("function", ["match_fused", "match_large"])
def test_wrong_capsule_raises_a_sentence(function):
    """Before anything is launched, so without a device."""

    def call(first):
        capsules = [torch.ones(2, 3, 4).__dlpack__(stream=-1) for _ in range(6 + (function == "match_large"))]
        getattr(native.module(), function)(first or capsules[0], *capsules[1:], 0)

    with pytest.raises(ValueError, match="prototypes must be on a CUDA device"):
        call(None)
    used = torch.ones(2, 3, 4).__dlpack__(stream=-1)
    torch.from_dlpack(used)
    with pytest.raises(TypeError, match="prototypes must be an unused DLPack capsule"):
        call(used)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        call(12345)
