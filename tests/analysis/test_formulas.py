"""Formulas of the analyses, against plain code in double precision and scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.describability import describability
from harness.analysis.effective_gain import effective_gain, effective_gains, fit_logits, logit
from harness.analysis.modality_gap import alignment, centroid_distance, linear_separability, modality_gap, uniformity
from harness.analysis.name_familiarity import correlation, familiarity
from harness.errors import UserError
from harness.leaderboard.assemble import assemble

from ..makers import few, make_cell, unit_rows


def rows(n: int, seed: int, d: int = 6) -> np.ndarray:
    return unit_rows(n, d, seed).double().numpy()


# -- effective gain ----------------------------------------------------------------------------------------------------


@few
@given(
    st.lists(st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)), min_size=3, max_size=9, unique_by=lambda p: p[0])
)
def test_the_line_is_least_squares_in_logits(points: list[tuple[float, float]]) -> None:
    from sklearn.linear_model import LinearRegression

    x, y = ([math.log(p / (1 - p)) for p in column] for column in zip(*points, strict=True))
    if np.ptp(x) < 1e-2 or np.ptp(y) < 1e-2:
        return
    peer = LinearRegression().fit(np.array(x)[:, None], y)
    fit = fit_logits(points)
    assert (fit.slope, fit.intercept) == pytest.approx((peer.coef_[0], peer.intercept_), rel=1e-6, abs=1e-8)
    assert fit.r2 == pytest.approx(peer.score(np.array(x)[:, None], y), abs=1e-8)
    expected = 1 / (1 + math.exp(-(fit.slope * math.log(0.3 / 0.7) + fit.intercept)))
    assert effective_gain(0.3, 0.8, fit) == pytest.approx(0.8 - expected, rel=1e-12)


def test_accuracies_of_none_and_all_have_finite_logits() -> None:
    assert (logit(0.0), logit(1.0)) == pytest.approx((math.log(0.001 / 0.999), math.log(999)))


def board(values: dict[str, dict[str, tuple[float, float]]]) -> Any:
    cells = []
    for method, domains in values.items():
        for domain, (ip, oop) in domains.items():
            cell = make_cell(domain=domain, method={"name": method})
            cells.append(cell.model_copy(update={"metrics": {"ip_top1": ip, "oop_top1": oop}}))
    return assemble(cells).rows


def test_rows_on_the_line_gain_nothing_and_others_what_they_are_above_it() -> None:
    plain = {"Animals": (0.3, 0.3), "Food": (0.5, 0.5), "Attire": (0.8, 0.8)}
    tuned = {domain: (ip, oop + 0.1) for domain, (ip, oop) in plain.items()}
    fit, gains = effective_gains(board({"zero_shot": plain, "tuned": tuned}), "zero_shot")
    assert (fit.slope, fit.intercept, fit.points, fit.r2) == pytest.approx((1, 0, 3, 1))
    assert [gain.mean for gain in gains] == pytest.approx([0.1, 0.0], abs=1e-12)
    assert gains[0].domains["Food"] == pytest.approx((0.5, 0.6, 0.1))


def test_too_few_plain_points_are_refused() -> None:
    rows_ = board({"zero_shot": {"Animals": (0.3, 0.3), "Food": (0.5, 0.5)}})
    with pytest.raises(UserError, match=r"a line needs 3 points of plain rows .* and there are 2"):
        effective_gains(rows_, "zero_shot")
    with pytest.raises(UserError, match="no method in these files named 'coop'"):
        effective_gains(rows_, "coop")


# -- names -------------------------------------------------------------------------------------------------------------


def test_describability_equals_plain_search_for_the_best_name() -> None:
    image, names = rows(40, 1), rows(12, 2)
    label = np.random.default_rng(0).integers(4, 7, 40)  # of three names of a domain that has the columns 4 to 8
    own, every, within = 0, 0, 0
    for x, y in zip(image, label, strict=True):
        scores = [sum(a * b for a, b in zip(x, t, strict=True)) for t in names]
        best = max(range(12), key=scores.__getitem__)
        own += max(range(4, 9), key=scores.__getitem__) == y
        every, within = every + (best == y), within + (4 <= best < 9)
    found = describability(image, label, names, 4, 9)
    assert found == (40, own / 40, every / 40, within / 40)
    assert 0 < found.every <= found.own
    assert found.every <= found.within


def test_familiarity_is_the_largest_cosine_to_a_known_name() -> None:
    oop, ip = rows(5, 1), rows(3, 2)
    wanted = [max(float(np.dot(a, b)) for b in ip) for a in oop]
    assert familiarity(oop, ip) == pytest.approx(wanted)
    assert familiarity(ip, ip) == pytest.approx([1.0] * 3)


def test_correlations_are_scipys_over_classes_with_images() -> None:
    from scipy.stats import pearsonr, spearmanr

    rng = np.random.default_rng(0)
    familiar, accuracy = rng.random(20), [None if i % 7 == 0 else float(rng.integers(0, 5)) / 5 for i in range(20)]
    known = [i for i, a in enumerate(accuracy) if a is not None]
    x, y = familiar[known], [accuracy[i] for i in known]
    assert correlation(familiar, accuracy) == pytest.approx((len(known), pearsonr(x, y)[0], spearmanr(x, y)[0]))
    assert correlation(familiar, [0.5] * 20) == (20, None, None)
    assert correlation(familiar[:1], [0.5]) == (1, None, None)


# -- modality gap ------------------------------------------------------------------------------------------------------


def test_gap_measures_equal_plain_sums() -> None:
    image, names = rows(30, 3), rows(4, 4)
    label = np.arange(30) % 4
    squared = [[math.fsum((a - b) ** 2 for a, b in zip(x, t, strict=True)) for t in names] for x in image]
    assert alignment(image, label, names) == pytest.approx(math.fsum(squared[i][label[i]] for i in range(30)) / 30)
    middle = [[math.fsum(column) / len(part) for column in part.T] for part in (image, names)]
    assert centroid_distance(image, names) == pytest.approx(math.dist(*middle))
    pairs = [math.exp(-2 * math.dist(a, b) ** 2) for i, a in enumerate(image) for b in image[:i]]
    assert uniformity(image) == pytest.approx(math.log(math.fsum(pairs) / len(pairs)))
    assert uniformity(image[:1]) is None
    assert modality_gap(image, label, names)[:3] == (
        centroid_distance(image, names),
        linear_separability(image, label, names),
        alignment(image, label, names),
    )


def test_separability_is_one_for_apart_and_half_for_the_same() -> None:
    image, names = rows(2000, 5, 3), rows(200, 6, 3)
    label = np.arange(2000) % 200
    assert linear_separability(image, label, names) == pytest.approx(0.5, abs=0.06)
    far = np.array([5.0, 0, 0])
    assert linear_separability(image + far, label, names - far) == 1.0
    assert linear_separability(image[:5] + far, label[:5] * 0, names[:1] - far) == 1.0
