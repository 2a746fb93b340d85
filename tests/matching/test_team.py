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
def test_adversarial_matrices_stay_under_the_step_cap(hard, large):
    for matrix in (hard(120), hard(120)[::-1].copy(), hard(120)[:90].copy(), hard(120)[:118].copy()):
        assert check(matrix, 1, large).max() <= 120**2 + 40 * 120


@pytest.mark.parametrize("shape", [(300, 300), (290, 300), (270, 300)])
def test_phases_shorten_the_paths(shape):
    """What the large auction is for: with its coarse to fine prices few steps are left, in rectangles too."""
    p, t = instances.clip_like(0, 1, *shape)
    matrix = native.quantised_similarity(p, t, 1)[0]
    assert 2 * check(matrix, 1, large=True).max() < check(matrix, 1, large=False).max()


@schedules
@pytest.mark.parametrize("cosines", BEYOND_INT32)
def test_prices_beyond_int32_are_solved_in_int64(cosines, large):
    matrix = (np.array(cosines) * UNIT).astype(np.int32)
    check(matrix, 1, large)
    check(matrix[:, ::-1].copy(), 2, large)


@schedules
@pytest.mark.parametrize("name", sorted(instances.GENERATORS))
@pytest.mark.parametrize("shape", [(100, 100), (99, 100), (90, 100), (60, 100)])
def test_similarities(name, shape, large):
    p, t = instances.GENERATORS[name](0, 2, *shape)
    check(native.quantised_similarity(p, t, 1)[0], 1, large)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(20, 60), st.integers(1, 8), st.sampled_from([1, 2, 3]), st.booleans())
def test_crowded_rectangles_go_through_all_phases(seed, n, extra, members, ties):
    """Rows that want the same few columns: prices stay above zero on columns that end unmatched, and have to sink."""
    g = np.random.default_rng(seed)
    matrix = g.integers(0, 1000, (1, n, 1)) + g.integers(0, 4 if ties else UNIT // 2, (1, 1, n + extra))
    matrix = matrix + g.integers(0, 3 if ties else UNIT // 50, (1, n, n + extra))
    check(matrix.astype(np.int32), members, large=True)


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (17, 3), (33, 32), (20, 65), (66, 64)])
@pytest.mark.parametrize("dimension", [1, 16, 31, 33, 64])
def test_fused_kernel_from_rows_to_columns(shape, dimension):
    """256 threads in warps of 32 that multiply as the tensor cores do: an index that is wrong changes a similarity."""
    p, t = instances.uniform(sum(shape), 1, *shape, dimension)
    same(native.match_as_gpu(p, t), native.match(p, t, 1))


def test_fused_kernel_with_scales_ties_and_bad_numbers():
    p, t = (x.copy() for x in instances.clip_like(1, 5, 9, 12, 24))
    p[0], t[1, 3:8] = 0, t[1, 2]
    p[2] *= np.float32(1e-42)
    t[2] *= np.float32(1e30)
    p[3, 1, 1] = np.nan
    t[4, 11, 23] = np.inf
    same(native.match_as_gpu(p, t), native.match(p, t, 1))
