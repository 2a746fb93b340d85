"""Cosines as integers: the same bits in numpy and C++, and within the documented error bounds."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from harness.matching import instances, match, native
from harness.matching.quantise import UNIT, error_bound, grid, grid_bits, quantised_similarity

needs_cpp = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")


def cosines(p, t):
    p, t = p.astype(np.float64), t.astype(np.float64)
    norms = np.linalg.norm(p, axis=-1)[..., :, None] * np.linalg.norm(t, axis=-1)[..., None, :]
    return np.divide(p @ np.swapaxes(t, -1, -2), norms, out=np.zeros_like(norms), where=norms > 0)


@given(st.integers(0, 10**6))
def test_sums_of_products_fit_a_double(dimension):
    assert dimension * 4 ** grid_bits(dimension) <= 2**53
    assert grid_bits(dimension) >= 16


# One product for every processor and a faster one for some (csrc/cpu/product_*.cpp), with equal results.
PRODUCTS = pytest.mark.parametrize("doubles_alone", [False, True], ids=["best", "doubles"])


def check_product(p, t, doubles_alone):
    whole, valid = native.quantised_similarity(p, t, 1, doubles_alone)
    assert valid.all()
    np.testing.assert_array_equal(whole, quantised_similarity(p, t))


@PRODUCTS
@pytest.mark.parametrize("n", [1, 3, 4, 5, 6, 7, 8, 9, 12, 47, 48, 49, 52])
@pytest.mark.parametrize("m", [1, 7, 8, 9, 15, 16, 17, 24, 25, 64, 65])
@needs_cpp
def test_cpp_equals_numpy_at_tile_edges(n, m, doubles_alone):
    g = np.random.default_rng(n * m)
    for dimension in (1, 7, 8, 9, 31, 32, 33, 512, 513):
        p = (g.standard_normal((2, n, dimension)) * 10.0 ** g.integers(-20, 20)).astype(np.float32)
        t = g.standard_normal((2, m, dimension)).astype(np.float32)
        check_product(p, t, doubles_alone)


@PRODUCTS
@pytest.mark.parametrize("dimension", [255, 256, 257, 512, 1024, 2048, 5000])
@needs_cpp
def test_the_largest_sums_do_not_wrap(dimension, doubles_alone):
    """Entries at the ends of the grid, all of one sign or in the signs that make both digits large."""
    top = np.float32(1.0)
    below = np.nextafter(top, np.float32(0))
    digits_alike = np.float32((2047 * 2048 + 1023) / 2**22)
    values = np.array([top, below, digits_alike, -top, -below, -digits_alike], np.float32)
    p = np.repeat(values[:, None], dimension, axis=1)[None]
    mixed = np.random.default_rng(0).choice(values, (1, 6, dimension))
    check_product(p, p, doubles_alone)
    check_product(p, mixed, doubles_alone)


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@needs_cpp
@settings(max_examples=200, deadline=None)
@given(hnp.arrays(np.float32, (3, 5), elements=floats), hnp.arrays(np.float32, (4, 5), elements=floats))
def test_cpp_equals_numpy_for_any_finite_rows(p, t):
    for doubles_alone in (False, True):
        check_product(p[None], t[None], doubles_alone)
    assert np.abs(quantised_similarity(p, t)).max() <= UNIT


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, (2, 6), elements=floats))
def test_grid_is_the_nearest_whole_number_of_a_scaled_row(rows):
    for row, whole in zip(rows, grid(rows), strict=True):
        top = np.abs(whole).max()
        assert top <= 2 ** grid_bits(6)
        if not row.any():
            assert top == 0
            continue
        assert top >= 2 ** (grid_bits(6) - 1)
        k = np.abs(row).argmax()
        scale = Fraction(2) ** round(np.log2(abs(whole[k])) - np.log2(float(abs(row[k]))))
        for x, w in zip(row, whole, strict=True):
            assert abs(Fraction(float(x)) * scale - int(w)) <= Fraction(1, 2)


@pytest.mark.parametrize("dimension", [1, 2, 16, 512, 768, 1024])
def test_error_bound_holds(dimension):
    g = np.random.default_rng(dimension)
    for rows in (
        g.standard_normal((60, dimension)),
        g.choice([-1.0, 1.0], (60, dimension)) + 1e-3,
        np.eye(60, dimension),
    ):
        p, t = rows[:30].astype(np.float32), rows[30:].astype(np.float32)
        assert np.abs(quantised_similarity(p, t) / UNIT - cosines(p, t)).max() <= error_bound(dimension)


@pytest.mark.parametrize("backend", [pytest.param("cpp", marks=needs_cpp), "scipy"])
@pytest.mark.parametrize("name", sorted(instances.GENERATORS))
@pytest.mark.parametrize("shape", [(113, 113), (60, 100), (100, 60)])
def test_total_is_within_the_stated_bound_of_the_real_optimum(name, shape, backend):
    n, m = shape
    for seed in range(3):
        prototypes, names = instances.GENERATORS[name](seed, 1, n, m)
        found = match(prototypes[0], names[0], backend=backend)
        rows = np.flatnonzero(found.columns >= 0)

        def shortfall(real, rows=rows, columns=found.columns):
            best = real[linear_sum_assignment(real, maximize=True)].sum()
            return best - real[rows, columns[rows]].sum()

        rounding = 1e-12  # of the float64 sums in this test
        pairs = 2 * min(n, m)
        assert shortfall(cosines(grid(prototypes[0]), grid(names[0]))) <= pairs * 2.0**-29 + rounding
        assert shortfall(cosines(prototypes[0], names[0])) <= pairs * error_bound(512) + rounding


def test_clip_like_names_are_crowded_as_documented():
    for shape in ((1, 113, 113), (1, 1000, 1000)):
        for seed in range(3):
            prototypes, names = instances.clip_like(seed, *shape)
            nearest = cosines(prototypes, names).argmax(axis=-1)
            assert 0.16 <= len(np.unique(nearest)) / shape[2] <= 0.43


@pytest.mark.parametrize("name", sorted(instances.GENERATORS))
def test_generators_return_reproducible_unit_rows(name):
    for shape in ((2, 30, 40), (1, 40, 30), (0, 3, 3), (2, 0, 5)):
        p, t = instances.GENERATORS[name](7, *shape, dimension=16)
        assert p.shape == (shape[0], shape[1], 16)
        assert t.shape == (shape[0], shape[2], 16)
        np.testing.assert_allclose(np.linalg.norm(p, axis=-1), 1, rtol=1e-5)
        np.testing.assert_array_equal(p, instances.GENERATORS[name](7, *shape, dimension=16)[0])
