"""The CUDA kernels on the CPU emulator (emulator/): equal to the C++ solver, in any order of threads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.matching import instances, native

from .emulator.device import EmulatorError
from .test_assignment import price_war, products, staircase

pytestmark = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")

KERNELS = ["fused", "large"]
kernels = pytest.mark.parametrize("kernel", KERNELS)


@pytest.fixture(scope="session")
def check(emulator):
    """Run a problem on the emulator, compare all results with the C++ solver, and return the launches."""

    def run(kernel, p, t, build="plain", **device):
        found, launches = emulator(build).match(kernel, p, t, **device)
        plain = [torch.as_tensor(side).float().numpy() for side in (p, t)]
        for ours, theirs in zip(found, native.match(*plain, 1), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        return {launch.kernel: launch.synchronisations for launch in launches}

    return run


def rows_of(similarity):
    """Embeddings (1, n, m + 1) and (1, m, m + 1) whose cosines are `similarity` (n, m), up to a factor and rounding."""
    s = similarity / np.linalg.norm(similarity, axis=1).max()
    rest = np.sqrt(1 - (s**2).sum(axis=1, keepdims=True).clip(max=1))
    names = np.eye(s.shape[1] + 1, dtype=np.float32)[: s.shape[1]]
    return np.concatenate([s, rest], axis=1).astype(np.float32)[None], names[None]


def rectangle(seed, batch, n, m, dimension=32):
    """Rows that compete for few columns: prices above zero on columns that end unmatched have to decrease."""
    p, t = instances.clip_like(seed, batch, n, m, dimension)
    return p + 4 * p[:, :1], t


def extended_by_pairs(side, count):
    """Rows (b, count + n, count + d) of a larger problem, whose first `count` rows form perfect pairs."""
    batch, n, d = side.shape
    larger = np.zeros((batch, count + n, count + d), np.float32)
    larger[:, :count, :count], larger[:, count:, count:] = np.eye(count), side
    return larger


@kernels
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_equals_the_cpu_solver(kernel, data, check):
    """Few directions make many ties, of which the lowest optimum is required."""
    draw = data.draw
    batch, n, m, d = (draw(st.integers(1, most)) for most in (3, 12, 12, 4))
    g = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = draw(st.sampled_from([[-1, 1], [-1, 0, 1], [-1, 0, 0.5, 1], [0.1, 0.2, 0.3]]))
    p, t = (g.choice(values, (batch, side, d)).astype(np.float32) for side in (n, m))
    device = {"processors": draw(st.integers(1, 3)), "cooperative": draw(st.booleans())}
    check(kernel, p, t, **device, seed=draw(st.integers(0, 1000)))


@kernels
@pytest.mark.parametrize("shape", [(31, 31), (32, 32), (33, 33), (64, 65), (65, 65), (97, 20)])
def test_word_edges(kernel, shape, check):
    check(kernel, *instances.uniform(0, 2, *shape, 8))
    g = np.random.default_rng(0)
    check(kernel, *(g.integers(-1, 2, (1, side, 3)).astype(np.float32) for side in shape))


@kernels
@pytest.mark.parametrize("shape", [(1, 1), (63, 66), (66, 64), (129, 20)])
@pytest.mark.parametrize("dimension", [1, 16, 31, 33])
def test_tile_edges(kernel, shape, dimension, check):
    check(kernel, *instances.uniform(sum(shape), 1, *shape, dimension))


@kernels
@pytest.mark.parametrize("dimension", [511, 512, 513, 1100])
def test_rows_longer_than_one_load_of_a_warp(kernel, dimension, check):
    p, t = (x.copy() for x in instances.uniform(0, 2, 3, 4, dimension))
    t[1, 2, -1] = np.nan
    p[0, :, -1] *= 100
    check(kernel, p, t)


@pytest.mark.parametrize("m", [128, 129, 256, 257])
def test_four_to_eight_columns_per_lane_and_more(m, check):
    p, t = instances.clip_like(0, 1, 30, m, 16)
    check("fused", p + p[:, :1], t)


@kernels
@pytest.mark.parametrize("name", sorted(instances.GENERATORS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_types(kernel, name, dtype, check):
    check(kernel, *(torch.from_numpy(x).to(dtype) for x in instances.GENERATORS[name](0, 1, 50, 57, 40)))


@kernels
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(20, 60), st.integers(1, 8), st.booleans())
def test_crowded_rectangles_go_through_all_phases(kernel, check, seed, n, extra, swapped):
    p, t = rectangle(seed, 1, n, n + extra)
    check(kernel, *((t, p) if swapped else (p, t)))


@kernels
@pytest.mark.parametrize("hard", [products, staircase, price_war])
def test_adversarial_matrices_stay_under_the_step_cap(kernel, hard, check):
    """A step of a path search is one barrier of the block, or one ballot of the searching warp."""
    searching, step = {"large": ("paths_kernel", "__syncthreads"), "fused": ("fused_kernel", "__ballot_sync")}[kernel]
    n = 40
    matrix = hard(n).astype(np.float64)
    for part in (matrix, matrix[::-1], matrix[: 3 * n // 4], matrix[: n - 2]):
        assert check(kernel, *rows_of(part))[searching][step] <= n**2 + 40 * n


def used_int64(launches, n):
    """Only reductions of int64 use shuffles; in the fused kernel, those of the rows' norms always do."""
    norms = 5 * -(-2 * n // 8)
    shuffles = [launches[name]["__shfl_xor_sync"] for name in ("fused_kernel", "paths_kernel") if name in launches]
    return shuffles[0] > (norms if "fused_kernel" in launches else 0)


@kernels
@pytest.mark.parametrize(("n", "dimension"), [(4, 1), (5, 2), (6, 2)])
def test_prices_beyond_int32_are_solved_in_int64(kernel, n, dimension, check):
    g = np.random.default_rng(n)
    values = [-1, 0, 1] if dimension == 1 else [-1, -0.5, 0.5, 1]
    launches = check(kernel, *(g.choice(values, (60, n, dimension)).astype(np.float32) for _ in range(2)))
    assert used_int64(launches, n)


def test_prices_beyond_int32_end_the_auction(check):
    """Otherwise a row that may not bid delays every phase to its last round."""
    g = np.random.default_rng(5)
    sides = [g.integers(-1, 2, (2, 7, 1)).astype(np.float32) for _ in range(2)]
    launches = check("large", *(extended_by_pairs(side[:1], 60) for side in sides))
    assert used_int64(launches, 67)
    assert launches["auction_kernel"]["grid.sync"] < 200


@kernels
def test_scales_zero_rows_and_bad_numbers(kernel, check):
    p, t = (x.copy() for x in instances.clip_like(1, 6, 30, 35, 24))
    p[0], t[1, 10:20] = 0, t[1, 9]
    p[2, 5:15], p[3, 1, 1], t[4, 34, 23] = p[2, 4], np.nan, np.inf
    p[5] *= np.float32(1e-42)
    t[5] *= np.float32(1e30)
    check(kernel, p, t)


@kernels
@pytest.mark.parametrize(("dtype", "offset"), [(torch.float32, 4), (torch.float16, 2), (torch.bfloat16, 2)])
def test_unaligned_rows(kernel, dtype, offset, check):
    check(kernel, *(torch.from_numpy(x).to(dtype) for x in instances.clip_like(0, 2, 20, 30, 64)), offset=offset)


@kernels
def test_many_problems_and_none(kernel, check):
    check(kernel, *instances.clip_like(0, 40, 9, 12, 8))
    assert check(kernel, *instances.clip_like(0, 0, 9, 12, 8)) == {}


def test_the_largest_sums_fit_int32(check):
    """32768 entries whose lower digits are -128 both, the largest that they get."""
    p = np.full((1, 2, 32768), 7 * 2**16 - 128 * 2**8 - 128, np.float32)
    check("fused", p, p[:, ::-1] * np.float32([[[1], [-1]]]))


@pytest.mark.parametrize("device", [{"cooperative": False}, {"processors": 1}, {"processors": 3}, {"seed": 2}])
def test_result_does_not_depend_on_the_device(device, check):
    launches = check("large", *rectangle(0, 2, 40, 44), **device)
    assert ("lone_auction_kernel" in launches) == (device == {"cooperative": False})


@pytest.mark.parametrize("shape", [(2, 40, 44), (1, 60, 60), (1, 40, 520)])
def test_rounds_and_steps_do_not_depend_on_the_device(shape, check):
    """Nor on the order of threads: only the next round reads a round's bids. From 512 columns on, blocks bid."""
    p, t = rectangle(1, *shape)
    work = set()
    for seed, processors in enumerate((1, 2, 3, 3)):
        launches = check("large", p, t, processors=processors, seed=seed)
        work.add((launches["auction_kernel"]["grid.sync"], launches["paths_kernel"]["__syncthreads"]))
    assert len(work) == 1


@pytest.mark.parametrize(("shared_limit", "largest"), [(163 * 1024, 187), (227 * 1024, 226)])
def test_fused_fits_as_documented(shared_limit, largest, check):
    p, t = instances.planted(0, 1, largest + 1, largest + 1, 8)
    check("fused", p[:, :largest], t[:, :largest], shared_limit=shared_limit)
    with pytest.raises(EmulatorError, match="does not fit"):
        check("fused", p, t, shared_limit=shared_limit)


# Steps after 32 rounds with epsilon zero alone, counted once with the same code.
PLAIN_STEPS = {(300, 300): 2972, (290, 300): 7695, (270, 300): 4601}


@pytest.mark.parametrize("shape", PLAIN_STEPS)
def test_phases_shorten_the_paths(shape, check):
    """With prices from coarse to fine, few steps remain, in rectangles too."""
    launches = check("large", *instances.clip_like(0, 1, *shape))
    assert launches["paths_kernel"]["__syncthreads"] < PLAIN_STEPS[shape] / 4


@kernels
@pytest.mark.parametrize("build", ["races", "memory"])
def test_sanitizers_report_nothing_in_few_problems(kernel, build, check):
    """Every kernel, ties, int64, bad numbers."""
    p, t = instances.uniform(20, 1, 20, 34, 20)
    t[0, 3:9], p[0, 0, 0] = t[0, :1], np.nan
    check(kernel, p, t, build)
    g = np.random.default_rng(7)
    beyond = [g.choice([-1, -0.5, 0.5, 1], (1, 6, 2)).astype(np.float32) for _ in range(2)]
    assert used_int64(check(kernel, *beyond, build), 6)
    check(kernel, *(g.integers(-1, 2, (2, side, 2)).astype(np.float32) for side in (12, 13)), build, cooperative=False)


@pytest.mark.slow
@kernels
@pytest.mark.parametrize("build", ["races", "memory"])
def test_sanitizers_report_nothing(kernel, build, check):
    """Small and varied: every kernel, edges of tiles and words, ties, int64, rectangles, bad numbers."""

    def run(p, t, **device):
        return check(kernel, p, t, build, **device)

    for n, m, d in ((1, 1, 1), (33, 33, 33), (20, 65, 40), (66, 66, 16)):
        p, t = instances.uniform(n, 2 if n < 66 else 1, n, m, d)
        t[0, 3:9], p[1:, 0, 0] = t[0, :1], np.nan
        run(p, t)
    g = np.random.default_rng(7)
    beyond = [g.choice([-1, -0.5, 0.5, 1], (1, 6, 2)).astype(np.float32) for _ in range(2)]
    assert used_int64(run(*beyond), 6)
    assert used_int64(run(*(extended_by_pairs(side, 62) for side in beyond)), 68)
    for n, m in ((12, 13), (40, 41)):
        run(*(g.integers(-1, 2, (2, side, 2)).astype(np.float32) for side in (n, m)))
    run(*instances.clip_like(0, 1, 10, 260, 16))
    run(*instances.clip_like(0, 20, 9, 12, 8))
    p, t = (torch.from_numpy(side).half() for side in rectangle(0, 1, 30, 33))
    run(p, t, offset=2)
    run(t, p, cooperative=False)
