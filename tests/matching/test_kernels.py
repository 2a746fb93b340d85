"""The CUDA kernels by an emulator on the CPU (emulator/): equal to the CPU's solver, whatever the order of threads."""

import numpy as np
import pytest

from harness.matching import instances, native

pytestmark = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")

KERNELS = ["fused", "large"]


def same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (1, 2, 3), (2, 1, 5), (33, 33, 33), (20, 65, 40), (66, 64, 16)])
def test_tile_edges_with_ties_and_a_bad_number(kernel, n, m, d, emulator):
    p, t = instances.uniform(n, 3, n, m, d)
    t[1], p[2, 0, 0] = t[1, :1], np.nan
    found, _ = emulator("plain").match(kernel, p, t)
    same(found, native.match(p, t, 1))
