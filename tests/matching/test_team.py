"""The algorithms of the CUDA kernels, run by threads of the CPU: their logic and their barriers, not their speed."""

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
    found, steps = native.assign_as_gpu(batch, members, large)
    same(found, expected)
    assert (expected.gap == 0).all()
    return steps


def same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@schedules
@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(0, 6), st.sampled_from([0, 1, 2, 1000, UNIT]))
def test_equals_the_cpu_solver(large, data, n, extra, largest):
    g = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    matrix = g.integers(-largest, largest, (n, n + extra), endpoint=True).astype(np.int32)
    check(matrix, data.draw(st.sampled_from([1, 1, 2, 3] if large else [1, 1, 2])), large)


@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("shape", [(31, 31), (32, 32), (33, 33), (64, 65), (65, 65), (20, 97)])
def test_word_edges_and_team_sizes(shape, members):
    g = np.random.default_rng(shape[0])
    for largest in (1, UNIT):
        check(g.integers(-largest, largest, (2, *shape), endpoint=True).astype(np.int32), members, large=True)


@pytest.mark.parametrize(("shape", "warps"), [((31, 31), 1), ((32, 32), 2), ((33, 33), 1), ((20, 65), 2)])
def test_word_edges_and_numbers_of_warps(shape, warps):
    g = np.random.default_rng(shape[0])
    for largest in (1, UNIT):
        check(g.integers(-largest, largest, (1, *shape), endpoint=True).astype(np.int32), warps, large=False)


@schedules
@pytest.mark.parametrize("hard", [products, staircase, price_war])
def test_adversarial_matrices_stay_under_the_step_cap(hard, large):
    n = 120 if large else 24  # warps of 32 threads are slow here
    for matrix in (hard(n), hard(n)[::-1].copy(), hard(n)[: 3 * n // 4].copy(), hard(n)[: n - 2].copy()):
        assert check(matrix, 1, large).max() <= n**2 + 40 * n


# Steps after 32 rounds with epsilon zero alone, counted once with the same code.
PLAIN_STEPS = {(300, 300): 2972, (290, 300): 7695, (270, 300): 4601}


@pytest.mark.parametrize("shape", PLAIN_STEPS)
def test_phases_shorten_the_paths(shape):
    """What the large auction is for: with its coarse to fine prices few steps are left, in rectangles too."""
    p, t = instances.clip_like(0, 1, *shape)
    matrix = native.quantised_similarity(p, t, 1)[0]
    assert check(matrix, 1, large=True).max() < PLAIN_STEPS[shape] / 4


@schedules
@pytest.mark.parametrize("cosines", BEYOND_INT32)
def test_prices_beyond_int32_are_solved_in_int64(cosines, large):
    matrix = (np.array(cosines) * UNIT).astype(np.int32)
    check(matrix, 1, large)
    check(matrix[:, ::-1].copy(), 2, large)


@schedules
@pytest.mark.parametrize("name", sorted(instances.GENERATORS))
@pytest.mark.parametrize("shape", [(1, 1), (0.99, 1), (0.9, 1), (0.6, 1)])
def test_similarities(name, shape, large):
    size = 100 if large else 25
    p, t = instances.GENERATORS[name](0, 1, *(int(size * part) for part in shape))
    check(native.quantised_similarity(p, t, 1)[0], 1, large)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(20, 60), st.integers(1, 8), st.sampled_from([1, 2, 3]), st.booleans())
def test_crowded_rectangles_go_through_all_phases(seed, n, extra, members, ties):
    """Rows that want the same few columns: prices stay above zero on columns that end unmatched, and have to sink."""
    g = np.random.default_rng(seed)
    matrix = g.integers(0, 1000, (1, n, 1)) + g.integers(0, 4 if ties else UNIT // 2, (1, 1, n + extra))
    matrix = matrix + g.integers(0, 3 if ties else UNIT // 50, (1, n, n + extra))
    check(matrix.astype(np.int32), members, large=True)


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (17, 3), (33, 32), (20, 65)])
@pytest.mark.parametrize("dimension", [16, 31, 33])
def test_fused_kernel_from_rows_to_columns(shape, dimension):
    """256 threads in warps of 32 that multiply as the tensor cores do: an index that is wrong changes a similarity."""
    p, t = instances.uniform(sum(shape), 1, *shape, dimension)
    same(native.match_as_gpu(p, t), native.match(p, t, 1))


@pytest.mark.parametrize("m", [128, 129, 256, 257])
def test_lanes_that_hold_one_to_eight_columns_and_more(m):
    g = np.random.default_rng(m)
    matrix = (g.integers(0, UNIT // 2, (1, 1, m)) + g.integers(0, UNIT // 50, (1, 30, m))).astype(np.int32)
    assert check(matrix, 1, large=False).max() >= (1 if m <= 256 else 0)


def test_fused_kernel_with_two_tiles_on_each_side():
    p, t = instances.uniform(0, 1, 66, 65, 40)
    same(native.match_as_gpu(p, t), native.match(p, t, 1))


def test_fused_kernel_with_scales_ties_and_bad_numbers():
    p, t = (x.copy() for x in instances.clip_like(1, 5, 9, 12, 24))
    p[0], t[1, 3:8] = 0, t[1, 2]
    p[2] *= np.float32(1e-42)
    t[2] *= np.float32(1e30)
    p[3, 1, 1] = np.nan
    t[4, 11, 23] = np.inf
    same(native.match_as_gpu(p, t), native.match(p, t, 1))
