"""Intervals, tests and ranks against what statistics says they must be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.leaderboard import bootstrap_draws, bootstrap_linear
from harness.leaderboard.bootstrap import MEAN, Bootstrap, BootstrapDraws
from harness.leaderboard.bootstrap_draws import REPLICATES
from harness.leaderboard.statistics import interval, other_images, paired_tests, ranks
from harness.metrics import replicates, worst_decile
from harness.results.artifacts import Artifacts, open_file
from harness.results.predictions import pack
from harness.results.store import labels_path, predictions_path
from harness.types.cell import Failure
from harness.types.labels import LabelSheet, ScoredSide
from harness.types.leaderboard import Row

from ..makers import make_cell, sha
from .results import Answering, Lab, run


class Made:
    """Rows on one made-up domain, from given answers: ``(seeds, images)`` of right and wrong."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def row(
        self, name: str, oop: np.ndarray, ip: np.ndarray | None = None, more: Sequence[dict[str, np.ndarray]] = ()
    ) -> Row:
        """Answers of every seed, and what else is stored of it."""
        from harness.leaderboard.assemble import assemble
        from harness.metrics.compute import compute_metrics
        from harness.results.predictions import digest

        sides = {"oop": oop, **({"ip": ip} if ip is not None else {})}
        sheet = LabelSheet(
            domain="Animals", other=sha("x"), sides={s: self._side(s, v.shape[1]) for s, v in sides.items()}
        )
        self.files[labels_path(sheet.fingerprint)] = sheet.text().encode()
        cells = []
        for seed in range(len(oop)):
            predicted = {side: np.where(right[seed], 0, 1) for side, right in sides.items()}
            if ip is not None:
                predicted |= {"joint_oop": predicted["oop"], "joint_ip": np.where(ip[seed], 2, 3)}
            predicted |= more[seed] if more else {}
            content = pack(predicted)
            self.files[predictions_path(digest(content))] = content
            label = {side: np.zeros(v.shape[1], dtype=np.int64) for side, v in sides.items()}
            metrics = compute_metrics(predicted, label, dict.fromkeys(sides, 2))
            cell = make_cell(seed=seed, method={"name": name}, dataset={"fingerprint": sheet.fingerprint})
            images = {side: v.shape[1] for side, v in sides.items()}
            cells.append(cell.model_copy(update={"metrics": metrics, "images": images, "predictions": digest(content)}))
        (row,) = assemble(cells).rows
        return row

    @staticmethod
    def _side(side: str, n: int) -> ScoredSide:
        paths = tuple(f"images/a/{i:06d}.jpg" for i in range(n))
        digests = tuple(f"{i:064x}" for i in range(n))
        return ScoredSide(
            folder=f"Animals2_{side.upper()}", names=("a", "b"), paths=paths, sha256=digests, labels=(0,) * n
        )

    def bootstrap(self, metric: str, *rows: Row) -> Bootstrap:
        return BootstrapDraws(rows, [Artifacts(self.files.get)] * len(rows), [metric]).of(metric)


def right(share: float, n: int, seeds: int = 1, start: int = 0) -> np.ndarray:
    """The first images from ``start`` on are right."""
    answers = np.zeros((seeds, n), dtype=bool)
    answers[:, start : start + round(share * n)] = True
    return answers


def test_the_spread_over_images_is_the_binomial_one() -> None:
    made = Made()
    row = made.row("a", right(0.3, 2000))
    found = made.bootstrap("oop_top1", row).of(row, "Animals")
    assert found is not None
    assert found.shape == (REPLICATES,)
    assert found.mean() == pytest.approx(0.3, abs=0.001)
    assert found.std() == pytest.approx((0.3 * 0.7 / 2000) ** 0.5, rel=0.06)
    low, high = interval(found).low, interval(found).high
    assert (low, high) == (
        pytest.approx(0.3 - 1.96 * 0.01025, abs=0.0015),
        pytest.approx(0.3 + 1.96 * 0.01025, abs=0.0015),
    )


def test_seeds_that_differ_add_their_spread() -> None:
    made = Made()
    seeds = np.concatenate([right(0.2, 4000), right(0.5, 4000), right(0.8, 4000)])
    found = made.bootstrap("oop_top1", row := made.row("a", seeds)).of(row, "Animals")
    assert found is not None
    # Of three seeds drawn with replacement: the spread of their mean is that of the values over the root of three.
    assert found.std() == pytest.approx(np.std([0.2, 0.5, 0.8]) / 3**0.5, rel=0.05)


def test_replicates_are_what_a_plain_loop_over_the_draws_gives() -> None:
    made, rng = Made(), np.random.default_rng(0)
    oop, ip = rng.random((3, 40)) < 0.6, rng.random((3, 30)) < 0.4
    row = made.row("a", oop, ip)
    drawn = {
        side: np.concatenate(list(bootstrap_draws.bootstrap_counts(row.data["Animals"].fingerprint, side, n)))
        for side, n in (("oop", 40), ("ip", 30))
    }
    seeds = bootstrap_draws.drawn_seeds(row.data["Animals"].fingerprint, (0, 1, 2))
    assert (drawn["oop"].sum(axis=1) == 40).all()
    assert seeds.sum(axis=1) == pytest.approx(1)
    for metric in ("h_mean", "joint_top1"):
        found = made.bootstrap(metric, row).of(row, "Animals")
        assert found is not None
        for b in (0, 1, 1999):
            per_seed = []
            for s in range(3):
                a = sum(int(w) for w, yes in zip(drawn["oop"][b], oop[s], strict=True) if yes) / 40
                i = sum(int(w) for w, yes in zip(drawn["ip"][b], ip[s], strict=True) if yes) / 30
                per_seed.append(2 * a * i / (a + i) if metric == "h_mean" else (40 * a + 30 * i) / 70)
            assert found[b] == pytest.approx(sum(w * v for w, v in zip(seeds[b], per_seed, strict=True)), rel=1e-6)


def test_a_metric_with_derivatives_adds_them_as_often_as_images_are_drawn() -> None:
    made, rng = Made(), np.random.default_rng(0)
    label = {"oop": rng.integers(0, 2, 40), "ip": rng.integers(0, 2, 30)}
    margins = {"oop": rng.integers(0, 50, (3, 40)) + 20, "ip": rng.integers(0, 50, (3, 30))}
    more = [{f"{side}_margin": m[s] for side, m in margins.items()} | _own(label) for s in range(3)]
    row = made.row("a", rng.random((3, 40)) < 0.6, rng.random((3, 30)) < 0.4, more)
    found = made.bootstrap("gate_auroc", row).of(row, "Animals")
    assert found is not None
    fingerprint = row.data["Animals"].fingerprint
    drawn = {
        side: np.concatenate(list(bootstrap_draws.bootstrap_counts(fingerprint, side, n)))
        for side, n in (("oop", 40), ("ip", 30))
    }
    seeds = bootstrap_draws.drawn_seeds(fingerprint, (0, 1, 2))
    for b in (0, 1, 1999):
        per_seed = []
        for u, v in zip(margins["oop"], margins["ip"], strict=True):
            above = (u[:, None] > v) + 0.5 * (u[:, None] == v)
            change = (drawn["oop"][b] - 1) @ above.sum(axis=1) + (drawn["ip"][b] - 1) @ above.sum(axis=0)
            per_seed.append(above.mean() + change / above.size)
        assert found[b] == pytest.approx(float(seeds[b] @ per_seed), abs=1e-6)


def _own(label: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"joint_{side}_own": own for side, own in label.items()}


def test_replicates_of_derivatives_do_not_depend_on_other_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    made, rng = Made(), np.random.default_rng(1)
    more = [{"oop_confidence": rng.integers(30_000, 35_000, 300)} for _ in range(2)]
    rows = [made.row(f"m{i}", rng.random((2, 300)) < 0.1 * i, more=more) for i in range(1, 9)]
    alone = made.bootstrap("oop_aurc", rows[3]).of(rows[3], MEAN)
    monkeypatch.setattr(bootstrap_linear, "COLUMNS", 3)
    monkeypatch.setattr(bootstrap_draws, "CHUNK", 900)
    together = made.bootstrap("oop_aurc", *reversed(rows)).of(rows[3], MEAN)
    assert alone is not None
    assert together is not None
    assert alone.tobytes() == together.tobytes()
    assert alone.std() > 0.001


def test_equal_predictions_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, rng = Made(), np.random.default_rng(3)
    answers, confidence = rng.random((2, 60)) < 0.5, rng.integers(30_000, 35_000, 60)
    more = [{"oop_confidence": confidence}] * 2
    rows = [made.row("a", answers, more=more), made.row("b", answers, more=more), made.row("c", ~answers, more=more)]
    measured = []
    monkeypatch.setattr(
        bootstrap_linear, "_column", lambda *given, now=bootstrap_linear._column: measured.append(0) or now(*given)
    )
    found = made.bootstrap("oop_aurc", *rows)
    a, b, c = (found.replicates[row.id, "Animals"] for row in rows)
    assert len(measured) == 4  # two seeds of two different rows
    assert a.tobytes() == b.tobytes()
    assert a.tobytes() != c.tobytes()


def test_the_weights_of_seeds_are_drawn_once_for_all_rows() -> None:
    weights = bootstrap_draws.drawn_seeds("data", (1, 2, 3))
    assert bootstrap_draws.drawn_seeds("data", (1, 2, 3)) is weights
    assert not weights.flags.writeable
    assert bootstrap_draws.drawn_seeds("other data", (1, 2, 3)).tobytes() != weights.tobytes()


def test_a_metric_with_derivatives_has_no_interval_where_a_seed_is_missing() -> None:
    made, rng = Made(), np.random.default_rng(2)
    more = [{"oop_confidence": rng.integers(30_000, 35_000, 50)} for _ in range(2)]
    row = made.row("a", rng.random((2, 50)) < 0.5, more=more)
    assert made.bootstrap("oop_aurc", row).of(row, "Animals") is not None
    del made.files[predictions_path(row.data["Animals"].predictions["1"])]
    found = made.bootstrap("oop_aurc", row)
    assert found.of(row, "Animals") is None
    assert row.id in found.missing


def test_a_replicate_without_a_right_answer_has_an_h_mean_of_zero() -> None:
    made = Made()
    row = made.row("a", right(0, 40), right(1 / 30, 30))
    found = made.bootstrap("h_mean", row).of(row, "Animals")
    assert found is not None
    assert not found.any()


def test_rows_are_paired_on_the_same_images() -> None:
    made = Made()
    one, other = made.row("a", right(0.50, 2000)), made.row("b", right(0.48, 2000))
    draws = made.bootstrap("oop_top1", one, other)
    a, b = draws.of(one, "Animals"), draws.of(other, "Animals")
    assert a is not None
    assert b is not None
    # They differ on 40 of 2000 images; unpaired, the spread would be ten times as much.
    assert (a - b).std() == pytest.approx((0.02 * 0.98 / 2000) ** 0.5, rel=0.06)
    assert ((a - b) >= 0).all()


def test_a_row_does_not_depend_on_what_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made()
    rows = [made.row(f"m{i}", right(0.1 * i, 300, seeds=2)) for i in range(1, 9)]
    alone = made.bootstrap("oop_top1", rows[3]).of(rows[3], MEAN)
    monkeypatch.setattr(bootstrap_draws, "COLUMNS", 3)
    monkeypatch.setattr(bootstrap_draws, "CHUNK", 900)
    together = made.bootstrap("oop_top1", *reversed(rows)).of(rows[3], MEAN)
    assert alone is not None
    assert together is not None
    assert alone.tobytes() == together.tobytes()


def test_equal_answers_have_no_difference_and_share_a_rank() -> None:
    made = Made()
    rows = [made.row(name, right(0.5, 200)) for name in "ab"]
    draws = made.bootstrap("oop_top1", *rows)
    (test, itself) = paired_tests(rows, [rows[1]], draws)
    assert (test.difference, test.p, test.p_holm) == (0.0, 1.0, 1.0)
    assert itself.reason == "it is the baseline"
    assert ranks(rows, draws) == [1, 1]


def test_ranks_count_the_rows_that_are_surely_better() -> None:
    made = Made()
    # b and c are right on other images, about as often; a is far ahead, d far behind.
    rows = [
        made.row("a", right(0.9, 400)),
        made.row("b", right(0.50, 400)),
        made.row("c", right(0.51, 400, start=196)),
        made.row("d", right(0.1, 400)),
    ]
    draws = made.bootstrap("oop_top1", *rows)
    assert ranks(rows, draws) == [1, 2, 2, 4]
    tests = paired_tests(rows, [rows[1]], draws)
    assert tests[0].p == pytest.approx(2 / (REPLICATES + 1))
    assert tests[0].p_holm == pytest.approx(3 * 2 / (REPLICATES + 1))
    assert tests[2].p is not None
    assert tests[2].p > 0.3
    assert tests[2].p_holm == tests[2].p, "the largest of three is not corrected"
    assert tests[3].difference == pytest.approx(-0.4)
    assert tests[3].interval is not None
    assert tests[3].interval.high < -0.3


def test_without_predictions_rows_are_ranked_by_their_figures_and_say_why() -> None:
    made = Made()
    rows = [made.row("a", right(0.5, 100)), made.row("b", right(0.6, 100)), made.row("c", right(0.5, 100))]
    made.files = {name: content for name, content in made.files.items() if name.startswith("labels")}
    draws = made.bootstrap("oop_top1", *rows)
    assert ranks(rows, draws) == [2, 1, 2]
    assert "predictions" in draws.missing[rows[0].id]
    test = paired_tests(rows, [rows[1]], draws)[0]
    assert (test.difference, test.p) == (pytest.approx(-0.1), None)
    assert "missing" in str(test.reason)


def test_other_images_are_not_compared() -> None:
    made = Made()
    rows = [made.row("a", right(0.5, 100)), made.row("b", right(0.1, 101))]
    draws = made.bootstrap("oop_top1", *rows)
    assert paired_tests(rows, [rows[1]], draws)[0].reason == "other images of Animals"
    assert ranks(rows, draws) == [None, None], "neither is ahead of a row that it cannot be compared with"
    rows.append(made.row("c", right(0.3, 101)))
    assert ranks(rows, made.bootstrap("oop_top1", *rows)) == [None, 2, 1], "the largest group is ranked"


def test_each_row_is_tested_against_the_baseline_on_its_own_images() -> None:
    made = Made()
    rows = [made.row("a", right(0.5, 100)), made.row("b", right(0.1, 101)), made.row("a", right(0.5, 101))]
    draws = made.bootstrap("oop_top1", *rows)
    for baselines in ([rows[0], rows[2]], [rows[2], rows[0]]):
        found = paired_tests(rows, baselines, draws)
        assert [test.reason for test in found] == ["it is the baseline", None, "it is the baseline"]
        assert found[1].difference == pytest.approx(10 / 101 - 50 / 101, abs=0.01)


def test_what_is_not_tested_says_why() -> None:
    made = Made()
    whole, fixed, broken = (made.row(name, right(0.5, 100), right(0.5, 50)) for name in "abc")
    fixed = fixed.model_copy(update={"not_applicable": "it knows the OOP names only", "mean": {}})
    broken = broken.model_copy(update={"complete": False, "mean": {}})
    rows = [whole, fixed, broken]
    draws = made.bootstrap("h_mean", *rows)
    reasons = [test.reason for test in paired_tests(rows, [whole], draws)]
    assert reasons[1:] == ["it has no h_mean: it knows the OOP names only", "it has a hole"]
    assert paired_tests([whole], [broken], draws)[0].reason == "the baseline has a hole"


def test_ranks_are_what_a_plain_count_of_better_rows_gives() -> None:
    made, rng = Made(), np.random.default_rng(0)
    rows = [
        made.row(f"m{i}", rng.random((1, 100 + (i % 3 == 0))) < share, rng.random((1, 50)) < 0.5)
        for i, share in enumerate(np.repeat([0.3, 0.35, 0.4, 0.5], 4))
    ]
    for row in rows[::5]:  # some have no predictions
        for digest in row.data["Animals"].predictions.values():
            del made.files[predictions_path(str(digest))]
    draws = made.bootstrap("h_mean", *rows)
    assert len(draws.missing) == 4
    for i, (row, rank) in enumerate(zip(rows, ranks(rows, draws), strict=True)):
        if i % 3 == 0:
            assert rank is None, "of a smaller group"
            continue
        better = 0
        for rival in rows:
            if other_images(row, rival) is None and rival.mean["h_mean"].mean > row.mean["h_mean"].mean:
                a, b = draws.of(rival, MEAN), draws.of(row, MEAN)
                better += a is None or b is None or bool((a > b).mean() > 0.975)
        assert rank == 1 + better


@pytest.mark.parametrize("with_replicates", [False, True])
def test_a_lower_gap_is_ranked_above_a_higher_one(with_replicates: bool) -> None:
    from harness.leaderboard.assemble import assemble

    values = {"a": 0.4, "b": 0.1}
    rows = assemble(make_cell(value, method={"name": name}) for name, value in values.items()).rows
    drawn = {(row.id, MEAN): np.full(REPLICATES, values[row.method]) for row in rows if with_replicates}
    assert ranks(rows, Bootstrap("oop_cluster_acc", {}, drawn)) == [1, 2]
    assert ranks(rows, Bootstrap("cluster_gap", {}, drawn)) == [2, 1]


@pytest.mark.parametrize(
    "metric", ["oop_top1", "oop_worst_decile", "h_mean", "ip_retention", "joint_oop_top1", "joint_h_mean", "joint_top1"]
)
def test_every_figure_lies_within_its_interval(shared_lab: Lab, metric: str) -> None:
    board, artifacts = open_file(shared_lab.out)
    draws = BootstrapDraws(board.rows, [artifacts] * len(board.rows), [metric]).of(metric)
    assert draws.missing == {}
    for row in board.rows:
        for place, stats in {**row.domains, MEAN: row.mean}.items():
            found = draws.of(row, place)
            assert found is not None
            within = interval(found)
            assert within.low <= stats[metric].mean <= within.high
            assert within.high - within.low < 0.5 or metric in ("ip_retention", "oop_worst_decile"), "of few images"


def test_a_row_with_a_hole_has_no_interval_of_its_mean(tmp_path: Path, shared_lab: Lab) -> None:
    broken = Failure(kind="error", reason="it broke")
    run(tmp_path, shared_lab.domains, fail=lambda m, d, s: broken if (m, d, s) == ("fsnl", "Animals", 3) else None)
    board, artifacts = open_file(tmp_path)
    draws = BootstrapDraws(board.rows, [artifacts] * 2, ["oop_top1"]).of("oop_top1")
    row = next(r for r in board.rows if r.method == "fsnl")
    assert draws.of(row, MEAN) is None
    whole, evidence_of_whole = open_file(shared_lab.out)
    (same,) = (r for r in whole.rows if r.method == "fsnl")
    before = BootstrapDraws(whole.rows, [evidence_of_whole] * len(whole.rows), ["oop_top1"]).of("oop_top1")
    for domain, unchanged in (("Insects_Spiders", True), ("Animals", False)):
        found, wanted = draws.of(row, domain), before.of(same, domain)
        assert found is not None
        assert wanted is not None
        assert np.array_equal(found, wanted) == unchanged, "a seed is lacking where it failed, and nowhere else"
    assert ranks(board.rows, draws)[board.rows.index(row)] is None


def test_a_fixed_vocabulary_has_its_oop_interval(tmp_path: Path, shared_lab: Lab) -> None:
    run(tmp_path, shared_lab.domains, [Answering("linear_probe", 0.6, only_oop=True), Answering("fsnl", 0.8)])
    board, artifacts = open_file(tmp_path)
    row = next(r for r in board.rows if r.method == "linear_probe")
    assert BootstrapDraws(board.rows, [artifacts] * 2, ["oop_top1"]).of("oop_top1").of(row, MEAN) is not None
    draws = BootstrapDraws(board.rows, [artifacts] * 2, ["h_mean"]).of("h_mean")
    assert draws.of(row, MEAN) is None
    assert ranks(board.rows, draws)[board.rows.index(row)] is None


def test_the_command_shows_ranks_tests_costs_and_holes(tmp_path: Path, shared_lab: Lab, harness: Any) -> None:
    broken = Failure(kind="error", reason="it | broke")
    methods = [Answering("zero_shot", 0.2, shots=0, moody=False), Answering("fsnl", 0.8), Answering("coop", 0.5)]
    run(tmp_path, shared_lab.domains, methods, lambda m, d, s: broken if (m, d, s) == ("coop", "Animals", 3) else None)
    code, out, _ = harness(
        "leaderboard", "show", tmp_path, "-m", "oop_top1", "--baseline", "zero_shot", "--cost", "--markdown"
    )
    assert code == 0
    lines = {
        cells[1].strip(): [c.strip() for c in cells]
        for line in out.splitlines()
        if len(cells := line.split("|")[1:-1]) > 5
    }
    rank = {line[1]: line[0] for line in lines.values()}
    assert (rank["fsnl"], rank["zero\\_shot"], rank["coop"]) == ("1", "2", "-")
    coop = next(line for line in lines.values() if line[1] == "coop")
    assert "error" in coop
    assert "incomplete" in coop
    assert "coop, Animals, seed 3: error: it \\| broke" in out
    assert "22.5" in lines["fsnl"], "nine cells of 2.5 seconds"
    assert harness("leaderboard", "show", tmp_path, "--baseline", "zero_shoot")[0] == 2
    assert "did you mean h_mean?" in harness("leaderboard", "show", tmp_path, "-m", "hmean")[2]
    code, out, err = harness("leaderboard", "show", tmp_path, "-m", "cluster_gap")
    assert (code, out) == (2, ""), "no other metric is shown in its place"
    assert "no row of these files has cluster_gap, which follows from stored ip_cluster, oop_cluster" in err


def test_a_narrow_terminal_shows_every_method(
    tmp_path: Path, shared_lab: Lab, harness: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"method_{letter}" for letter in "abcdefghi"]
    run(tmp_path, shared_lab.domains, [Answering(name, 0.1 * i) for i, name in enumerate(names, start=1)])
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, out, _ = harness("leaderboard", "show", tmp_path)
    assert code == 0
    tables = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 60
    heads = " ".join(line for line in tables if "domain" in line)
    assert [name for name in names if name not in heads] == []
    columns = [line.count("method_") for line in tables if "domain" in line]
    assert len(columns) > 1
    assert max(columns) - min(columns) <= 1, "no method stands alone"


def classes_of(label: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Accuracy of every class ``(classes,)``."""
    return np.array([correct[label == c].mean() for c in np.unique(label)])


@pytest.mark.parametrize("classes", [6, 25])
def test_the_worst_decile_is_that_of_the_same_classes_in_every_replicate(classes: int) -> None:
    rng = np.random.default_rng(0)
    label = rng.permutation(np.repeat(np.arange(classes), [2, 40, 3, *[12] * (classes - 3)]))
    answers = (rng.random((len(label), 3)) < [0.8, 0.9, 0.9]).astype(np.float32)
    answers[label == 0] = [[1, 0, 1], [0, 0, 0]]  # in a seventh of the replicates neither image is drawn
    answers[label == 1] = rng.random((40, 3)) < 0.55  # of the worst share, but of many right answers
    weights = list(bootstrap_draws.bootstrap_counts("data", "oop", len(label)))
    found = replicates.worst_decile(weights, answers, label)
    assert found.shape == (REPLICATES, 3)
    every = np.concatenate(weights)
    assert {0, 1} < set(every[:50, label == 0].sum(axis=1).tolist())
    assert replicates.worst_decile([np.ones((1, len(label)), dtype=np.float32)], answers, label)[0] == pytest.approx(
        [worst_decile(classes_of(label, column)) for column in answers.T]
    )
    for column in range(3):
        own = classes_of(label, answers[:, column])
        worst = np.argsort(own, kind="stable")[: max(1, classes // 10)]
        for b in (*range(50), 1999):
            values = []
            for c in worst:
                w = every[b][label == c]
                values.append((w * answers[label == c, column]).sum() / w.sum() if w.sum() else own[c])
            assert found[b, column] == pytest.approx(np.mean(values), rel=1e-6)


def test_intervals_of_the_worst_decile_hold_the_truth_more_often_than_those_that_choose_classes_anew() -> None:
    rng, held = np.random.default_rng(0), {"same": 0, "anew": 0}
    label, trials = np.repeat(np.arange(24), 20), 80
    weights = list(bootstrap_draws.bootstrap_counts("data", "oop", len(label)))
    drawn = np.concatenate([w.reshape(-1, 24, 20).sum(axis=2) for w in weights])
    for _ in range(trials):
        chance = rng.beta(8, 3, 24)
        answers = (rng.random(480) < chance[label]).astype(np.float32)[:, None]
        hits = np.concatenate([(w * answers[:, 0]).reshape(-1, 24, 20).sum(axis=2) for w in weights])
        anew = np.sort(hits / np.maximum(drawn, 1), axis=1)[:, :2].mean(axis=1)
        same = replicates.worst_decile(weights, answers, label)[:, 0]
        for name, values in (("same", same), ("anew", anew)):
            within = interval(values)
            held[name] += within.low <= np.sort(chance)[:2].mean() <= within.high
    assert held["same"] > 0.8 * trials
    assert held["anew"] < 0.7 * trials
