"""Properties that every built-in method has."""

from __future__ import annotations

import dataclasses
import json
from functools import cache

import pytest
import torch
import torch.nn.functional as F

from harness.errors import FixedVocabulary
from harness.method import build, parameters
from harness.registry import load
from harness.registry.describe import describe
from harness.runner.best_columns import BestColumns
from harness.types.vocabulary import Vocabulary

from ..cells import predicted
from ..makers import unit_rows
from .tasks import (
    IP,
    IP_VOCABULARY,
    JOINT,
    NAMES,
    NOUN,
    OOP_VOCABULARY,
    PLUGINS,
    SIZE,
    classes,
    images,
    labelled,
    make_task,
    quick,
    seen,
)

METHODS = sorted(classes())
FIXED = ("clap", "linear_probe", "lp_pp", "prototypes", "taskres")
TOWERS = tuple(name for name, cls in classes().items() if cls.needs.model)
"""Methods that tune the towers; tests/plugins/test_towers.py has their own tests."""
ON_FEATURES = [name for name in METHODS if name not in TOWERS]
UNLABELED = tuple(name for name, cls in classes().items() if cls.needs.unlabeled and not cls.needs.includes("support"))
"""Methods that see no label, but a pool."""
UNTRAINED = ("ape", "calibrated_stacking", "ecalp", "gda", "graph_lp", "tip_adapter", "zpe")
"""Methods that see images and learn no values."""
LIKE_ZERO_SHOT = (
    *("fsnl", "learning_to_name", "tip_adapter", "gda", "zsnl"),
    *("cosine_head", "gda_em", "graph_lp", "laplacian", "pseudo", "soup", "ss_gmm"),
    *("ape", "ogen_lite", "palavra", "proxy_map"),
)
"""Methods that leave IP names among themselves alone."""
UNORDERED = {name: {} for name in ON_FEATURES if name not in ("cocoop", "fsnl", "learning_to_name", *UNLABELED)} | {
    "fsnl": {"caption_weight": 0.0},
    "learning_to_name": {"init": "name"},
}
"""Methods, and parameters, whose random numbers have nothing to do with the order of the classes."""


def fitted(name: str):
    """The method, fitted to the usual task with two views: once for all tests, unless scores of a stream change it."""
    return (_fit if classes()[name].needs.stream else _fit_once)(name)


PROGRESS: dict[str, list[tuple[int, int]]] = {}
"""Method -> the calls of ``progress`` by its last fit, (done, total)."""


def _fit(name: str):
    PROGRESS[name] = calls = []
    return quick(name).fit(make_task(views=2, progress=lambda done, total: calls.append((done, total))))


_fit_once = cache(_fit)


@pytest.mark.parametrize("name", [name for name in ON_FEATURES if name not in ("waffle", "ss_gmm")])
def test_accuracy_beats_chance_on_separable_domain(name):
    """All but two: random words mean nothing to an untrained tower, and random IP images do not show a class."""
    image, label = images(30, 99)
    method = fitted(name)
    right = (method.scores(seen(image[:, 0]), OOP_VOCABULARY).argmax(dim=1) == label).float().mean()
    assert right > 1 / len(NAMES) + 0.2


@pytest.mark.parametrize("name", [n for n in ON_FEATURES if classes()[n].needs.includes("support")])
def test_support_helps(name):
    image, label = images(30, 99)
    zero_shot, method = (fitted(n).scores(seen(image[:, 0]), OOP_VOCABULARY) for n in ("zero_shot", name))
    assert (method.argmax(dim=1) == label).sum() > (zero_shot.argmax(dim=1) == label).sum()


@pytest.mark.parametrize("name", [n for n in ON_FEATURES if not classes()[n].needs.stream])
def test_scores_follow_order_of_images_and_names(name):
    method, image = fitted(name), images(3, 99)[0][:, 0]
    straight = method.scores(seen(image), OOP_VOCABULARY)
    torch.testing.assert_close(
        method.scores(seen(image.flip(0)), OOP_VOCABULARY), straight.flip(0), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(
        torch.cat([method.scores(seen(x), OOP_VOCABULARY) for x in image.split(4)]), straight, rtol=1e-4, atol=1e-4
    )
    turned = Vocabulary.of(NOUN, oop=NAMES[::-1])
    torch.testing.assert_close(method.scores(seen(image), turned), straight.flip(1), rtol=1e-4, atol=1e-4)


@cache
def scores_in_order(name: str):
    """Scores of some images by the method, fitted to classes and images in the usual order."""
    return quick(name, **UNORDERED[name]).fit(make_task()).scores(seen(images(3, 99)[0][:, 0]), OOP_VOCABULARY)


@pytest.mark.parametrize("name", UNORDERED)
def test_class_order_does_not_change_predictions(name):
    other = quick(name, **UNORDERED[name]).fit(make_task(order=(3, 0, 4, 2, 1)))
    found = other.scores(seen(images(3, 99)[0][:, 0]), OOP_VOCABULARY)
    torch.testing.assert_close(found, scores_in_order(name), rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("name", UNORDERED)
def test_support_order_does_not_change_predictions(name):
    task = make_task()
    order = torch.randperm(len(task.support.label), generator=torch.Generator().manual_seed(3))
    captions = tuple(task.support.captions[i] for i in order.tolist())
    mixed = make_task(_support=labelled(task.support.features[order], task.support.label[order], captions))
    found = quick(name, **UNORDERED[name]).fit(mixed).scores(seen(images(3, 99)[0][:, 0]), OOP_VOCABULARY)
    torch.testing.assert_close(found, scores_in_order(name), rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("name", LIKE_ZERO_SHOT)
def test_ip_names_score_exactly_as_zero_shot(name):
    image = images(3, 99)[0][:, 0]
    learned = fitted(name).scores(seen(image), IP_VOCABULARY)
    assert torch.equal(learned, fitted("zero_shot").scores(seen(image), IP_VOCABULARY))


def test_ip_retention_reference_equals_zero_shot():
    two, scale = Vocabulary.of(NOUN, ip=IP[:2]), 33.3
    task = make_task(logit_scale=scale)
    text = task.text.encode([task.template.fill(name, NOUN) for name in two.names])
    apart = F.normalize(text[:1] - text[1:], dim=1)
    tied = unit_rows(5000, SIZE, 3)
    tied = F.normalize(tied - (tied @ apart.T) * apart, dim=1)  # as near to one name as to the other
    sha256 = tuple(f"{i:064x}" for i in range(len(tied)))
    before = BestColumns.of(task.logit_scale * tied @ text.T).choose(sha256)
    for name in ("zero_shot", "fsnl"):
        method = quick(name).fit(make_task(logit_scale=scale))
        assert (predicted(method, tied, two).choose(sha256) == before).all()


@pytest.mark.parametrize("name", FIXED)
def test_fixed_vocabulary_raises(name):
    method, image = fitted(name), images(1, 99)[0][:, 0]
    for vocabulary in (IP_VOCABULARY, JOINT, Vocabulary.of(NOUN, oop=("dodo",)), Vocabulary.of(NOUN, ip=NAMES[:1])):
        with pytest.raises(FixedVocabulary, match=f"{name} cannot score"):
            method.scores(seen(image), vocabulary)
    part = method.scores(seen(image), Vocabulary.of(NOUN, oop=NAMES[1:3]))
    torch.testing.assert_close(part, method.scores(seen(image), OOP_VOCABULARY)[:, 1:3])


@pytest.mark.parametrize("name", [n for n in ON_FEATURES if n not in FIXED])
def test_an_open_vocabulary_scores_all_names_together(name):
    method, image = fitted(name), images(3, 99)[0][:, 0]
    joint = method.scores(seen(image), JOINT)
    assert joint.shape == (15, len(NAMES) + len(IP))
    assert bool(torch.isfinite(joint).all())


@pytest.mark.parametrize("name", METHODS)
def test_parameters_and_presets_round_trip_json(name):
    cls = classes()[name]
    assert "paper" in cls.presets
    for preset in (None, *cls.presets):
        given = parameters(build(name, cls, preset))
        assert parameters(build(name, cls, values=json.loads(json.dumps(given)))) == given


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_is_described(name):
    for cls in classes()[name].__mro__:
        if dataclasses.is_dataclass(cls):
            assert cls.__doc__
            assert not cls.__doc__.startswith(f"{cls.__name__}(")
    assert classes()[name].paper


@pytest.mark.parametrize("name", [n for n in ON_FEATURES if classes()[n].needs.includes("support") or n in UNLABELED])
def test_progress_ends_at_its_total_and_trainable_is_a_number(name):
    method, calls = fitted(name), PROGRESS[name]
    assert calls[-1][0] == calls[-1][1]
    done = [number for number, _ in calls]
    assert done == (sorted(set(done)) if name == "cosmo" else list(range(1, len(calls) + 1)))  # two fits of a half each
    assert (method.trainable() > 0) == (name not in UNTRAINED)


def test_no_file_is_above_200_lines():
    long = {f.name: n for f in PLUGINS.glob("*.py") if (n := len(f.read_text(encoding="utf-8").splitlines())) > 200}
    assert long == {}


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_says_what_it_means(name):
    found = describe("method", load("method", name))["parameters"]
    assert [one["name"] for one in found if not one["meaning"]] == []
    assert [one["type"] for one in found if "Annotated" in one["type"] or "typing" in one["type"]] == []
