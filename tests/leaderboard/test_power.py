"""Power of comparisons: components of variance, sizes and tests, against simulation and scipy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from harness.errors import UserError
from harness.leaderboard import power
from harness.leaderboard.bootstrap import MEAN
from harness.leaderboard.power import Design, DifferenceSpread, domain_spread, spread
from harness.leaderboard.power_table import power_rows, require_mean
from harness.leaderboard.statistics import holm, paired_tests
from harness.results.artifacts import Artifacts

from .test_statistics import Made

SEEDS, IMAGES, DOMAINS = 4, 40, 9
TRUE = {"seeds": 0.04, "images": 0.3, "rest": 0.5}
"""Standard deviations: of a seed, an image, and an image in one seed."""


def layout(
    rng: np.random.Generator, difference: float, runs: int, design: Design, of_seeds: float = TRUE["seeds"]
) -> np.ndarray:
    """Made-up scores ``(runs, domains, seeds, images)`` whose components of variance are known."""
    shape = (runs, design.domains, design.seeds, design.images)
    seeds = of_seeds * rng.standard_normal(shape[:3])[..., None]
    images = TRUE["images"] * rng.standard_normal((*shape[:2], 1, shape[3]))
    return difference + seeds + images + TRUE["rest"] * rng.standard_normal(shape)


def true_spread(design: Design, of_seeds: float = TRUE["seeds"]) -> DifferenceSpread:
    squares = {name: deviation**2 for name, deviation in {**TRUE, "seeds": of_seeds}.items()}
    each = {name: squares[name] / design.images for name in ("images", "rest")}
    return DifferenceSpread(seeds=squares["seeds"], **each, domains=0.0, design=design, seeded=True)


def test_components_of_variance_are_unbiased() -> None:
    rng, design = np.random.default_rng(0), Design(SEEDS, IMAGES, 400)
    found = [domain_spread([scores]) for scores in layout(rng, 0.0, 1, design)[0]]
    wanted = true_spread(design)
    for name in ("seeds", "images", "rest"):
        values = [getattr(one, name) for one in found]
        assert np.mean(values) == pytest.approx(getattr(wanted, name), abs=4 * np.std(values) / np.sqrt(len(values)))


def test_two_sides_share_the_seeds_and_not_the_images() -> None:
    rng, design = np.random.default_rng(1), Design(SEEDS, IMAGES, 600)
    one, other = layout(rng, 0.0, 2, design)
    shared = one.mean(axis=-1, keepdims=True)  # the seed's own effect on both sides
    found = [domain_spread([a, b + m]) for a, b, m in zip(one, other, shared, strict=True)]
    totals = one.mean(axis=-1) + (other + shared).mean(axis=-1)
    rest = np.mean([one.rest for one in found])
    assert np.mean([one.seeds for one in found]) + rest == pytest.approx(totals.var(axis=1, ddof=1).mean())
    assert rest == pytest.approx(2 * true_spread(design).rest, rel=0.05)


@pytest.mark.parametrize("of_seeds", [TRUE["seeds"], 0.3])
def test_the_recommended_number_of_seeds_has_the_power_in_simulated_tests(of_seeds: float) -> None:
    """The less powerful test finds the difference in the expected share of the runs, the other one in no fewer."""
    measured = Design(3, IMAGES, DOMAINS)
    wanted = 0.7 * power.detectable(true_spread(measured, of_seeds), measured)
    seeds = power.needed_seeds(wanted, true_spread(measured, of_seeds))
    assert seeds is not None
    design = measured._replace(seeds=seeds)
    expected = power.power(wanted, true_spread(measured, of_seeds), design)
    assert power.POWER <= expected < 0.87
    rng = np.random.default_rng(2)
    runs, none = (layout(rng, difference, 300, design, of_seeds) for difference in (wanted, 0.0))
    drawn = _draw(design, rng)
    found = np.mean([(_by_t(run), _by_bootstrap(run, drawn)) for run in runs], axis=0)
    assert found.min() == pytest.approx(expected, abs=0.06)
    assert np.mean([_by_t(run) for run in none]) == pytest.approx(0.05, abs=0.03)


def test_rows_that_differ_by_the_margin_are_seldom_called_equal() -> None:
    rng, design, margin = np.random.default_rng(6), Design(6, IMAGES, DOMAINS), 0.15
    drawn = _draw(design, rng)
    shares = {}
    for difference in (margin, 0.0):
        found = [_replicates(run, drawn) for run in layout(rng, difference, 300, design)]
        shares[difference] = np.mean([max((own <= -margin).mean(), (own >= margin).mean()) < 0.05 for own in found])
    assert 0 < shares[margin] < 0.06
    assert shares[0.0] > 0.95


def test_the_detectable_difference_has_the_power() -> None:
    for of_seeds in (0.01, 0.3):
        design = Design(3, IMAGES, DOMAINS)
        found = true_spread(design, of_seeds)
        assert power.power(power.detectable(found, design), found, design) == pytest.approx(power.POWER)
    assert power.detectable(DifferenceSpread(0.0, 0.0, 0.0, None, design, seeded=False), design) == 0
    assert power.detectable(DifferenceSpread(1e-4, 0.0, 0.0, None, Design(1, 40, 9), seeded=True), design) > 0
    assert power.detectable(DifferenceSpread(1e-4, 0, 0, None, Design(1, 40, 9), True), Design(1, 40, 9)) == np.inf


def test_the_variance_of_replicates_is_that_of_a_bootstrap_over_seeds_and_images() -> None:
    rng, design = np.random.default_rng(5), Design(3, IMAGES, DOMAINS)
    drawn = _draw(design, rng)
    found = np.mean([_replicates(run, drawn).var() for run in layout(rng, 0.0, 200, design)])
    assert found == pytest.approx(true_spread(design).bootstrap_variance(design), rel=0.06)


def _by_t(run: np.ndarray) -> bool:
    design = Design(run.shape[1], run.shape[2], len(run))
    found = spread([0.0] * len(run), [domain_spread([scores]) for scores in run], design.seeds, design.images)
    deviation, freedom = np.sqrt(found.variance(design)), found.freedom(design)
    return bool(2 * stats.t.sf(abs(run.mean()) / deviation, freedom) < 0.05)


def _by_bootstrap(run: np.ndarray, drawn: tuple[np.ndarray, np.ndarray]) -> bool:
    found = _replicates(run, drawn)
    return bool(2 * min((found <= 0).mean(), (found >= 0).mean()) < 0.05)


def _draw(design: Design, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weights ``(domains, replicates, n)`` of images and of seeds, the same for every run."""
    sizes = (design.images, design.seeds)
    return tuple(rng.multinomial(n, np.full(n, 1 / n), (design.domains, 400)) / n for n in sizes)  # type: ignore[return-value]


def _replicates(run: np.ndarray, drawn: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The mean over domains, seeds and images in each replicate."""
    of_images, of_seeds = drawn
    return np.asarray((of_images @ run.transpose(0, 2, 1) * of_seeds).sum(axis=2).mean(axis=0))


def test_power_over_any_domains_is_that_of_a_t_test_on_the_domains() -> None:
    found = DifferenceSpread(0.0, 1e-4, 0.0, 3e-4, Design(1, 100, 9), seeded=False)
    ratio = 0.02 / np.sqrt(4e-4 / 9)
    end = stats.t.isf(0.025, 8)
    wanted = stats.nct.sf(end, 8, ratio) + stats.nct.cdf(-end, 8, ratio)
    assert power.power(0.02, found, found.design, any_domains=True) == pytest.approx(wanted, rel=1e-9)
    domains = np.random.default_rng(3).normal(0.02, 0.02, (4000, 9))
    assert np.mean(stats.ttest_1samp(domains, 0, axis=1).pvalue < 0.05) == pytest.approx(wanted, abs=0.03)


def test_needed_sizes_are_the_smallest_that_have_the_power() -> None:
    design = Design(3, 200, 9)
    found = DifferenceSpread(4e-5, 6e-5, 3e-5, 2e-4, design, seeded=True)
    sizes = {
        "seeds": power.needed_seeds(0.008, found),
        "images": power.needed_images(0.008, found),
        "domains": power.needed_domains(0.008, found),
    }
    for name, size in sizes.items():
        assert size is not None, name
        assert size > 2, name
        enough, fewer = design._replace(**{name: size}), design._replace(**{name: size - 1})
        over = name == "domains"
        assert power.power(0.008, found, enough, over) >= power.POWER > power.power(0.008, found, fewer, over), name


def test_no_number_of_seeds_replaces_images_that_are_missing() -> None:
    design = Design(3, 50, 9)
    found = DifferenceSpread(1e-5, 1e-2, 1e-5, None, design, seeded=True)
    assert power.needed_seeds(0.01, found) is None
    assert power.needed_images(0.01, found) is not None
    assert power.needed_domains(0.01, found) is None  # one domain says nothing about others
    assert power.needed_seeds(0.5, DifferenceSpread(0.0, 1e-5, 0.0, None, design, seeded=False)) is None


def table(made: Made, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], metric: str, wanted: float = 0.01):  # type: ignore[no-untyped-def]
    row, baseline = made.row("ours", *ours), made.row("theirs", *theirs)
    artifacts = {one.id: Artifacts(made.files.get) for one in (row, baseline)}
    (found,) = power_rows([row, baseline], baseline, artifacts, made.bootstrap(metric, row, baseline), wanted)
    return found


def answers(seed: int, share: float, n: int, seeds: int = 5) -> np.ndarray:
    """Answers of several seeds, most of them the same in each."""
    rng = np.random.default_rng(seed)
    easy = rng.random(n)
    return (easy + 0.2 * rng.standard_normal((seeds, n)) + 0.05 * rng.standard_normal((seeds, 1))) < share


def test_the_variance_of_a_harmonic_mean_is_that_of_its_own_replicates() -> None:
    """The delta method and the bootstrap over images agree where there is one seed."""
    ours = answers(0, 0.7, 2000, 1), answers(1, 0.4, 1000, 1)
    theirs = answers(0, 0.5, 2000, 1), answers(1, 0.45, 1000, 1)
    made = Made()
    found = table(made, ours, theirs, "h_mean")
    row, baseline = made.row("ours", *ours), made.row("theirs", *theirs)
    drawn = made.bootstrap("h_mean", row, baseline)
    spread = (drawn.of(row, MEAN) - drawn.of(baseline, MEAN)).std()  # type: ignore[operator]
    assert np.sqrt(found.spread.variance(found.spread.design)) == pytest.approx(spread, rel=0.06)
    assert found.seeds is None  # one seed says nothing about others


def test_a_row_against_a_baseline_has_its_own_components() -> None:
    ours, theirs = answers(2, 0.8, 300), answers(2, 0.75, 300)
    found = table(Made(), [ours], [theirs], "oop_top1")
    wanted = domain_spread([ours.astype(float) - theirs])
    assert found.spread.images == pytest.approx(wanted.images, rel=1e-6)
    assert found.spread.rest == pytest.approx(wanted.rest, rel=1e-6)
    assert found.spread.design == Design(5, 300, 1)
    assert found.test.difference == pytest.approx(ours.mean() - theirs.mean())


def test_rows_without_predictions_say_why_nothing_is_known() -> None:
    made = Made()
    ours, theirs = [answers(3, 0.8, 50)], [answers(3, 0.6, 50)]
    made.row("ours", *ours), made.row("theirs", *theirs)
    lost = Made()
    lost.files = {path: content for path, content in made.files.items() if "labels" in path}
    row, baseline = Made().row("ours", *ours), Made().row("theirs", *theirs)
    artifacts = {one.id: Artifacts(lost.files.get) for one in (row, baseline)}
    (found,) = power_rows([row, baseline], baseline, artifacts, lost.bootstrap("oop_top1", row, baseline), 0.01)
    assert found.spread is None
    assert found.detects is None
    assert "missing" in str(found.reason)


def test_metrics_that_are_no_shares_of_right_images_are_refused() -> None:
    with pytest.raises(UserError, match="gate_auroc"):
        require_mean("gate_auroc")
    with pytest.raises(UserError, match="oop_class_std"):
        require_mean("oop_class_std")
    with pytest.raises(UserError, match="oop_worst_decile"):
        require_mean("oop_worst_decile")
    with pytest.raises(UserError, match="oop_macro_f1"):
        require_mean("oop_macro_f1")


def test_equivalence_is_shown_for_equal_rows_with_enough_images_only() -> None:
    for n, equal in ((4000, True), (100, False)):
        made = Made()
        row, other = made.row("a", answers(4, 0.6, n, 1)), made.row("b", answers(5, 0.6, n, 1))
        (test,) = paired_tests([row], [other], made.bootstrap("oop_top1", row, other), margin=0.05)
        assert test.p_equivalent is not None
        assert (test.p_equivalent < 0.05) == equal
        assert (test.p_equivalent < 0.05) == (test.interval is not None and _ninety(made, row, other) < 0.05)


def _ninety(made: Made, row, other) -> float:  # type: ignore[no-untyped-def]
    """The larger end of the 90 % interval: two one-sided tests at 5 % are that it lies within the margin."""
    bootstrap = made.bootstrap("oop_top1", row, other)
    low, high = np.quantile(bootstrap.of(row, MEAN) - bootstrap.of(other, MEAN), [0.05, 0.95])  # type: ignore[operator]
    return float(max(-low, high))


def test_equivalence_has_the_p_of_two_one_sided_z_tests() -> None:
    made = Made()
    ours, theirs = answers(6, 0.6, 1500, 1), answers(7, 0.59, 1500, 1)
    row, other = made.row("a", ours), made.row("b", theirs)
    (test,) = paired_tests([row], [other], made.bootstrap("oop_top1", row, other), margin=0.04)
    scores = ours[0].astype(float) - theirs[0]
    deviation = scores.std() / np.sqrt(len(scores))
    wanted = max(stats.norm.sf((scores.mean() + 0.04) / deviation), stats.norm.cdf((scores.mean() - 0.04) / deviation))
    assert test.p_equivalent == pytest.approx(wanted, abs=0.03)


def test_holm_steps_down_and_leaves_out_what_was_not_tested() -> None:
    ps = [0.01, None, 0.04, 0.03, 0.005]
    known = np.array([p for p in ps if p is not None])
    order = np.argsort(known)
    wanted = np.empty(len(known))
    wanted[order] = np.minimum(1, np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1)))
    assert [p for p in holm(ps) if p is not None] == pytest.approx(wanted.tolist())
    assert holm(ps)[1] is None
    assert holm([0.9, 0.8]) == [1.0, 1.0]
