"""Grid search: ties between settings."""

from __future__ import annotations

import numpy as np
import pytest

from harness_plugins._grid_search import first_of_best, middle_of_best


@pytest.mark.parametrize(
    ("right", "middle", "first"),
    [
        ([1, 5, 3], 1, 1),
        ([5, 5, 5], 1, 0),
        ([5, 5, 5, 5], 1, 0),  # of two middle ones the first
        ([1, 5, 5, 5, 5, 5], 3, 1),
        ([5, 5, 1, 1, 5], 1, 0),  # one of the best, though their mean is not
        ([7], 0, 0),
    ],
)
def test_ties_on_a_line_take_middle_or_first(right, middle, first):
    assert middle_of_best(right) == (middle,)
    assert first_of_best(right) == (first,)


def test_middle_of_plane_does_not_depend_on_parameter_order():
    right = np.zeros((7, 9), dtype=int)
    right[1:6, 2:7] = 4
    assert middle_of_best(right) == (3, 4)
    assert middle_of_best(right.T) == (4, 3)
    assert middle_of_best(right[::-1, ::-1]) == (3, 4)
    assert first_of_best(right) == (1, 2)


def test_middle_is_on_the_plateau():
    generator = np.random.default_rng(0)
    for _ in range(50):
        right = generator.integers(0, 3, (6, 5))
        assert right[middle_of_best(right)] == right[first_of_best(right)] == right.max()
        padded = np.pad(right, ((2, 0), (0, 3)), constant_values=-1)
        assert middle_of_best(padded) == tuple(np.add(middle_of_best(right), (2, 0)))
