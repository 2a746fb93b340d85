"""The assignment of the CUDA kernels, run by threads of the CPU: its logic and its barriers, not its speed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.matching import instances, native
from harness.matching.quantise import UNIT

from .test_assignment import BEYOND_INT32, price_war, products, staircase

pytestmark = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")

schedules = pytest.mark.parametrize("large", [False, True], ids=["fused", "large"])


def check(matrix, members, large):
    batch = matrix[None] if matrix.ndim == 2 else matrix
    expected = native.assign(batch, 1)
    for ours, theirs in zip(native.assign_as_gpu(batch, members, large), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (expected.gap == 0).all()


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(0, 6), st.sampled_from([0, 1, 2, 1000, UNIT]), st.booleans())
def test_equals_the_cpu_solver(data, n, extra, largest, large):
    g = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    matrix = g.integers(-largest, largest, (n, n + extra), endpoint=True).astype(np.int32)
    check(matrix, data.draw(st.sampled_from([1, 1, 2, 3])), large)


@schedules
@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("shape", [(31, 31), (32, 32), (33, 33), (64, 65), (65, 65), (20, 97)])
def test_word_edges_and_team_sizes(shape, members, large):
    g = np.random.default_rng(shape[0])
    for largest in (1, UNIT):
        check(g.integers(-largest, largest, (2, *shape), endpoint=True).astype(np.int32), members, large)


@schedules
@pytest.mark.parametrize("hard", [products, staircase, price_war])
def test_adversarial_matrices(hard, large):
    check(hard(120), 1, large)
    check(hard(120)[:90].copy(), 1, large)


@schedules
@pytest.mark.parametrize("cosines", BEYOND_INT32)
def test_prices_beyond_int32_are_solved_in_int64(cosines, large):
    matrix = (np.array(cosines) * UNIT).astype(np.int32)
    check(matrix, 1, large)
    check(matrix[:, ::-1].copy(), 2, large)


@schedules
@pytest.mark.parametrize("name", sorted(instances.GENERATORS))
def test_similarities(name, large):
    p, t = instances.GENERATORS[name](0, 2, 100, 100)
    check(native.quantised_similarity(p, t, 1)[0], 1, large)
