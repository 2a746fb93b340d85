"""Results do not depend on the width of SIMD registers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.matching import assign, check_backends, instances, match, native
from harness.matching.quantise import quantised_similarity

from .test_assignment import price_war, products, staircase

pytestmark = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")

WIDTHS = [16, 32, 64]


@pytest.fixture(params=WIDTHS)
def width(request):
    if native.registers(request.param) != request.param:
        pytest.skip("the processor has no such registers")
    yield request.param
    native.registers()


def test_width_is_at_most_that_of_the_processor():
    widest = native.registers()
    assert widest in WIDTHS
    assert native.registers(1000) == widest
    assert [native.registers(width) for width in WIDTHS] == [min(width, widest) for width in WIDTHS]
    assert native.registers() == widest


def test_result_equals_scipy(width):
    for prototypes, names in check_backends.problems():
        check_backends.require_same(prototypes, names, ["scipy"])
    for prototypes, names in (generate(3, 1, 200, 200, 65) for generate in instances.GENERATORS.values()):
        check_backends.require_same(prototypes, names, ["scipy"])


@pytest.mark.parametrize("hard", [products, staircase, price_war])
@pytest.mark.parametrize("stretched", [False, True])
def test_hard_matrices(width, hard, stretched):
    matrix = hard(70)
    if stretched:  # prices of such similarities are int64
        matrix = (matrix.astype(np.int64) * (2**31 - 1) // matrix.max()).astype(np.int32)
    ours, theirs = assign(matrix, backend="cpp"), assign(matrix, backend="scipy")
    np.testing.assert_array_equal(ours.columns, theirs.columns)
    assert (float(ours.similarity), float(ours.gap)) == (float(theirs.similarity), 0)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_similarities_do_not_depend_on_the_width(data):
    n, m, d = (data.draw(st.integers(1, most)) for most in (9, 20, 40))
    floats = st.floats(-1, 1, width=32)
    p, t = (data.draw(hnp.arrays(np.float32, (1, side, d), elements=floats)) for side in (n, m))
    expected = quantised_similarity(p, t)
    for width in WIDTHS:
        native.registers(width)
        for doubles_alone in (False, True):
            np.testing.assert_array_equal(native.quantised_similarity(p, t, 1, doubles_alone)[0], expected)
    native.registers()


def test_many_dimensions(width):
    p, t = instances.clip_like(5, 2, 30, 33, 1100)
    p[1, 2, 3] = np.nan
    found, expected = match(p, t, backend="cpp"), match(p, t, backend="scipy")
    for field in check_backends.FIELDS:
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
