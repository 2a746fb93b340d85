"""Features handed out, and features of one's own taken in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import harness
from harness.errors import DataError, HarnessError, UserError
from harness.progress import NullReporter
from harness.prompts import clean_name
from harness.runner.given_features import unit_rows
from harness.runner.reproduce import LocalPaths, reproduce


@pytest.fixture(scope="session")
def sets(world, cache):
    """The features of every part of a domain of the small root."""
    where = {"data": world, "backbone": "beyond-mini", "cache": cache, "workers": 1}
    return [
        harness.features("Animals", side, part, **where) for side in ("oop", "ip") for part in ("train", "val", "test")
    ]


@pytest.fixture
def evaluate_given(cache, tmp_path):
    def call(methods, sets, **options):
        fixed = {"shots": 2, "seeds": [1, 2], "backbone": "beyond-mini", "baseline": "none", "workers": 1}
        return harness.evaluate(methods, features=sets, out=tmp_path / "given", cache=cache, **{**fixed, **options})

    return call


def test_features_are_unit_rows_with_their_labels(sets, world):
    train, test = sets[0], sets[2]
    assert (train.features.shape, test.features.dtype, test.labels.dtype) == ((24, 128), np.float32, np.int64)
    assert np.linalg.norm(test.features, axis=1) == pytest.approx(1, abs=1e-6)
    assert [test.names[label] for label in test.labels] == [clean_name(path.split("/")[1]) for path in test.paths]
    assert (world / "Animals6_OOP" / test.paths[0]).is_file()


def test_given_features_are_evaluated_as_the_images_are(sets, evaluate_given, results):
    found = evaluate_given(["zero_shot", "tip_adapter"], sets)
    for record in found:
        (before,) = (r for r in results if (r["method"], r["domain"]) == (record["method"], "Animals"))
        assert {k: v for k, v in record.items() if k.endswith(("top1", "h_mean"))} == {
            k: v for k, v in before.items() if k.endswith(("top1", "h_mean"))
        }


def test_rows_of_given_features_say_so_and_are_not_reproduced(sets, evaluate_given, cache):
    (row,) = evaluate_given("zero_shot", sets).leaderboard.rows
    assert (row.dataset, row.backbone_record.images) == ("given features", "given features")
    with pytest.raises(UserError, match="computed from given features"):
        reproduce(row, LocalPaths(cache=cache), NullReporter(), lambda differences: None)


def test_other_features_are_another_cell(sets, evaluate_given):
    test = sets[2]
    moved = harness.FeatureSet("Animals", "oop", "test", test.names, test.features[:, ::-1], test.labels, test.paths)
    rows = [evaluate_given("zero_shot", one).leaderboard.rows[0] for one in (test, moved)]
    assert rows[0].data["Animals"].fingerprint != rows[1].data["Animals"].fingerprint
    assert rows[0].domains != rows[1].domains


def test_rows_of_any_length_become_unit_rows():
    unit = np.array([[0.6, 0.8]], np.float32)
    assert (unit_rows(unit) == unit).all()
    assert unit_rows(7 * unit) == pytest.approx(unit, abs=1e-7)


def test_a_set_takes_torch_tensors():
    image = torch.eye(2, dtype=torch.bfloat16)
    made = harness.FeatureSet("Food", "oop", "test", ("a", "b"), image, torch.tensor([0, 1]))
    assert (made.features == np.eye(2)).all()
    assert repr(made) == "FeatureSet(Food oop test: 2 x 2 features of 2 classes)"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"features": np.zeros((2, 3))}, "zero or infinite row"),
        ({"features": np.ones((2, 3)) * np.nan}, "zero or infinite row"),
        ({"features": np.ones(2)}, "features \\(n, d\\)"),
        ({"labels": [0]}, "different lengths"),
        ({"labels": [0, 2]}, "a label without a name"),
        ({"paths": ("x", "x")}, "a path twice"),
        ({"side": "seen"}, "no such side or part"),
        ({"labels": [0.5, 1.7]}, "whole numbers as labels"),
        ({"labels": None}, "whole numbers as labels"),
        ({"names": "ab"}, "a list of texts as names"),
        ({"names": None}, "a list of texts as names"),
        ({"names": (1, 2)}, "a list of texts as names"),
        ({"names": ("a_b", "a b")}, "a class name twice"),
        ({"paths": (1, 2)}, "a list of texts as paths"),
        ({"captions": "xy"}, "a list of texts as captions"),
        ({"features": "many"}, "an array of numbers as features"),
        ({"features": [[1.0, 2.0], [3.0]]}, "an array of numbers as features"),
        ({"features": {"a": 1}}, "an array of numbers as features"),
    ],
)
def test_a_set_that_does_not_fit_is_refused(change, sentence):
    fields = {"domain": "Food", "side": "oop", "part": "test", "names": ("a", "b")}
    with pytest.raises(DataError, match=sentence):
        harness.FeatureSet(**{**fields, "features": np.ones((2, 3)), "labels": [0, 1], **change})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"domains": "Food"}, "no domain among the given features named 'Food'"),
        ({"data": "somewhere"}, "data and features exclude each other"),
        ({"protocol": "clustering-2025"}, "prepares images in its own way"),
        ({"methods": "taskres", "parameters": {"views": 2}}, "taskres asks for 2 views"),
    ],
)
def test_what_given_features_cannot_do_is_explained(sets, evaluate_given, options, sentence):
    with pytest.raises(HarnessError) as raised:
        evaluate_given(**{"methods": "zero_shot", "sets": sets, **options})
    assert sentence in str(raised.value)


def test_sets_that_do_not_go_together_are_refused(sets, evaluate_given):
    with pytest.raises(DataError, match="given twice"):
        evaluate_given("zero_shot", [*sets, sets[2]])
    with pytest.raises(DataError, match="no OOP test part"):
        evaluate_given("zero_shot", sets[:2])
    narrow = harness.FeatureSet("Animals", "oop", "test", ("a",), np.ones((1, 7)), [0])
    with pytest.raises(DataError, match="not of the 128 dimensions"):
        evaluate_given("zero_shot", narrow)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Animal",), "did you mean Animals?"),
        ((3,), "domain=3 is not a name"),
        (("Animals", "in"), "no side named 'in'"),
        (("Animals", "oop", "dev"), "no part named 'dev'"),
    ],
)
def test_a_wrong_part_is_explained(world, cache, arguments, sentence):
    with pytest.raises(HarnessError) as raised:
        harness.features(*arguments, data=world, backbone="beyond-mini", cache=cache)
    assert sentence in str(raised.value)
