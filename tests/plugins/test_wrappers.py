"""Methods around other methods: pseudo-labels, soups, and gates between OOP and IP names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.errors import FixedVocabulary, UserError
from harness.method import build, parameters
from harness.parameters import CommandLineText
from harness.types.images import Images, Support
from harness.types.vocabulary import Vocabulary
from harness_plugins._confident import assign_confident
from harness_plugins._gate import GateImages, split_known
from harness_plugins.calibrated_stacking import CalibratedStacking
from harness_plugins.coop import CoOp
from harness_plugins.cosine_head import CosineHead
from harness_plugins.cosmo import Cosmo
from harness_plugins.soup import Soup
from harness_plugins.taskres import TaskRes
from harness_plugins.tip_adapter import TipAdapter

from ..makers import unit_rows
from .numpy_formulas import IP, NAMES, NOUN, QUERY, SCALE, fitted_scores, pool_task, probabilities, prompts
from .tasks import IP_VOCABULARY, JOINT, OOP_VOCABULARY, SIZE, classes, images, make_task, quick, seen
from .tasks import NAMES as FIVE

WRAPPERS = {"pseudo": "inner", "soup": "inner", "calibrated_stacking": "inner", "cosmo": "seen", "transclip": "inner"}


@pytest.mark.parametrize("name", WRAPPERS)
def test_record_holds_the_inner_method(name):
    given = {WRAPPERS[name]: CommandLineText('{"name": "coop", "parameters": {"epochs": 3}}')}
    inner = getattr(build(name, classes()[name], None, given), WRAPPERS[name])
    assert (inner.name, inner.parameters["epochs"]) == ("coop", 3)
    assert inner.parameters == parameters(CoOp(epochs=3))
    assert len(inner.code) == 64


# -- pseudo-labels -----------------------------------------------------------------------------------------------------


def stable(probability, count):
    """Pairs in order of their probability: one class an image, up to ``count`` images a class."""
    taken, left = {}, [count] * probability.shape[1]
    for at in np.argsort(-probability, axis=None):
        i, c = np.unravel_index(at, probability.shape)
        if i not in taken and left[c]:
            taken[int(i)], left[c] = int(c), left[c] - 1
    return sorted(taken.items())


@pytest.mark.parametrize("count", [1, 3, 7, 100])
def test_confident_images_are_the_stable_matching(count):
    probability = (9 * unit_rows(40, 6, 3)).softmax(dim=1)
    index, label = assign_confident(probability, count)
    assert list(zip(index.tolist(), label.tolist(), strict=True)) == stable(probability.numpy(), count)
    assert int(torch.bincount(label).max()) <= count


def test_confident_images_do_not_depend_on_their_order():
    probability = (9 * unit_rows(40, 6, 3)).softmax(dim=1)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    (one, of_one), (other, of_other) = (assign_confident(rows, 4) for rows in (probability, probability[order]))
    assert dict(zip(order[other].tolist(), of_other.tolist(), strict=True)) == dict(
        zip(one.tolist(), of_one.tolist(), strict=True)
    )


def test_pseudo_fits_the_inner_method_to_confident_images():
    task = make_task(_support=None, _validation=None)
    text = task.text.encode([task.template.fill(name, NAMED) for name, NAMED in zip(FIVE, ["animal"] * 5, strict=True)])
    pool = task.unlabeled.features[:, 0]
    index, label = assign_confident((20.0 * pool @ text.T).softmax(dim=1), 4)
    chosen = Support(pool[index, None], label)
    wanted = TaskRes(epochs=5).fit(make_task(_support=chosen))
    inner = {"name": "taskres", "parameters": {"epochs": 5}}
    found = build("pseudo", classes()["pseudo"], None, {"inner": inner, "images": 4}).fit(task)
    query = seen(images(3, 99)[0][:, 0])
    torch.testing.assert_close(
        found.scores(query, OOP_VOCABULARY), wanted.scores(query, OOP_VOCABULARY), rtol=1e-3, atol=1e-3
    )
    assert found.outcome()["labelled"] == [len(index)]
    with pytest.raises(FixedVocabulary, match="taskres cannot score"):
        found.scores(query, JOINT)


def test_pseudo_grows_to_the_whole_pool_and_needs_no_label():
    method = quick("pseudo", rounds=3, growing=True).fit(make_task(_support=None, _validation=None))
    assert method.outcome()["labelled"] == [20, 40, 60]
    assert method.needs.declared() == ("unlabeled", "vocabulary")
    fsnl = build("pseudo", classes()["pseudo"], None, {"inner": "fsnl"})
    assert fsnl.needs.declared() == ("unlabeled", "vocabulary")
    assert build("pseudo", classes()["pseudo"], None, {"inner": "gda"}).needs.declared() == (
        *("unlabeled", "ip", "vocabulary"),
    )


def test_later_rounds_label_by_the_fitted_method():
    pool, query = images(12, 20)[0][:, 0], seen(images(3, 99)[0][:, 0])
    task = make_task(_support=None, _validation=None)
    given = {"inner": "prototypes", "images": 3}
    one, two = (build("pseudo", classes()["pseudo"], None, given | {"rounds": n}).fit(task) for n in (1, 2))
    index, label = assign_confident(one.scores(seen(pool), OOP_VOCABULARY).softmax(dim=1), 3)
    again = quick("prototypes").fit(make_task(_support=Support(pool[index, None], label)))
    torch.testing.assert_close(two.scores(query, OOP_VOCABULARY), again.scores(query, OOP_VOCABULARY))
    assert not torch.allclose(two.scores(query, OOP_VOCABULARY), one.scores(query, OOP_VOCABULARY), atol=1e-3)


# -- soups -------------------------------------------------------------------------------------------------------------


def members(rates, **change):
    """Context rows after trainings from the same start."""
    return [CoOp(epochs=5, lr=0.03 * rate, **change).fit(make_task()).context_.rows for rate in rates]


def test_uniform_soup_is_the_mean_of_the_members():
    rates = (0.5, 1.0, 2.0)
    inner = {"name": "coop", "parameters": {"epochs": 5}}
    soup = build("soup", Soup, None, {"inner": inner, "rates": rates}).fit(make_task())
    rows = members(rates)
    assert not torch.allclose(rows[0], rows[2], atol=1e-3)
    torch.testing.assert_close(soup.fitted_.context_.rows, torch.stack(rows).mean(dim=0))
    assert soup.outcome() == {"rates": list(rates), "inner": {}}


def test_members_start_at_the_same_weights():
    inner = {"name": "coop", "parameters": {"epochs": 0, "length": 4}}
    soup = build("soup", Soup, None, {"inner": inner}).fit(make_task())
    torch.testing.assert_close(soup.fitted_.context_.rows, CoOp(epochs=0, length=4).fit(make_task()).context_.rows)


def test_greedy_soup_keeps_members_that_do_not_hurt():
    rates = (1.0, 300.0, 0.5)
    inner = {"name": "coop", "parameters": {"epochs": 5}}
    soup = build("soup", Soup, None, {"inner": inner, "rates": rates, "greedy": True})
    assert soup.needs.declared() == ("support", "validation")
    task = make_task()
    soup.fit(task)
    right, states = [], members(rates)
    for rows in states:
        made = CoOp(epochs=0).fit(make_task())
        made.context_.rows = rows
        scores = made.scores(seen(task.validation.features[:, 0]), OOP_VOCABULARY)
        right.append(float((scores.argmax(dim=1) == task.validation.label).double().mean()))
    assert soup.validation_ == right
    assert max(soup.validation_) == soup.validation_[soup.kept_[0]]
    mean = torch.stack([states[i] for i in soup.kept_]).mean(dim=0)
    torch.testing.assert_close(soup.fitted_.context_.rows, mean)


def test_soup_refuses_methods_without_training():
    with pytest.raises(UserError, match="soup cannot average gda"):
        build("soup", Soup, None, {"inner": "gda"})


# -- gates -------------------------------------------------------------------------------------------------------------


def test_known_images_are_split_within_each_class():
    known = Support(unit_rows(14, SIZE, 1)[:, None], torch.tensor([0, 1] * 6 + [2, 0]))
    fitted, held = split_known(known)
    assert held.label.tolist() == [0, 1, 0, 1]
    assert len(fitted) == 10
    assert sorted(torch.cat([fitted.features, held.features]).flatten().tolist()) == sorted(
        known.features.flatten().tolist()
    )


def test_gate_images_are_numbered_in_the_joint_vocabulary():
    task = make_task()
    found = GateImages.of(task, task.ip)
    assert found.vocabulary == JOINT
    assert torch.equal(found.ip.label, task.ip.label + len(FIVE))
    assert torch.equal(found.oop.label, task.validation.label)
    assert not GateImages.of(task, task.ip[:0])
    eye = torch.eye(len(JOINT))
    assert found.h_mean(eye[found.oop.label], eye[found.ip.label]) == 1
    wrong = eye[(found.ip.label + 1) % len(JOINT)]
    half = torch.cat([eye[found.ip.label][:6], wrong[6:]])
    assert found.h_mean(eye[found.oop.label], half) == pytest.approx(2 * 0.5 / 1.5)


def test_calibrated_stacking_moves_ip_names_by_the_constant_of_the_best_harmonic_mean():
    method = CalibratedStacking()
    found = fitted_scores(method, NAMES, IP)
    text = prompts(NAMES + IP)
    wanted = SCALE * QUERY @ text.T
    wanted[:, len(NAMES) :] -= method.gamma_
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    task = pool_task()
    oop, ip = (SCALE * part.features[:, 0].numpy() @ text.T for part in (task.validation, task.ip))

    def h_mean(gamma):
        moved = [rows - gamma * (np.arange(len(text)) >= len(NAMES)) for rows in (oop, ip)]
        a = (moved[0].argmax(axis=1) == task.validation.label.numpy()).mean()
        b = (moved[1].argmax(axis=1) == task.ip.label.numpy() + len(NAMES)).mean()
        return 2 * a * b / (a + b) if a + b else 0

    assert h_mean(method.gamma_) >= max(map(h_mean, np.linspace(-20, 20, 101))) - 1e-9
    np.testing.assert_allclose(
        fitted_scores(CalibratedStacking(gamma=2.0), (), IP), SCALE * QUERY @ prompts(IP).T - 2.0
    )


def test_calibrated_stacking_raises_what_a_fixed_inner_method_raises():
    method = build("calibrated_stacking", CalibratedStacking, None, {"inner": "taskres", "gamma": 1.0}).fit(make_task())
    with pytest.raises(FixedVocabulary, match="taskres cannot score"):
        method.scores(seen(images(1, 99)[0][:, 0]), JOINT)
    with pytest.raises(FixedVocabulary, match="taskres cannot score"):
        build("calibrated_stacking", CalibratedStacking, None, {"inner": "taskres"}).fit(make_task())


def test_cosmo_mixes_its_experts_by_the_gate():
    method = Cosmo()
    found = fitted_scores(method, NAMES, IP)
    images = Images.of(torch.from_numpy(QUERY))
    oop, ip = Vocabulary.of(NOUN, oop=NAMES), Vocabulary.of(NOUN, ip=IP)
    hot, cold = method.temperatures_
    unseen = probabilities(method.unseen_.scores(images, oop).numpy() / hot)
    raw = method.seen_.scores(images, ip).numpy() / cold
    seen_ = probabilities(raw)
    of_oop = method.unseen_.scores(images, oop).numpy() / hot
    rows = [[*sorted(u)[::-1], 0, 0, *sorted(s)[::-1], 0, 0, 0] for u, s in zip(of_oop, raw, strict=True)]
    weight, bias = method.gate_
    g = 1 / (1 + np.exp(-(np.array(rows) @ weight.numpy() + bias)))
    threshold, sharpness = method.chosen_
    p = (1 / (1 + np.exp(-(threshold - g) / sharpness)))[:, None]
    wanted = np.hstack([p * (unseen + (1 - p) / 3), (1 - p) * (seen_ + p / 2)])
    np.testing.assert_allclose(np.exp(found), wanted, rtol=1e-9)


def test_cosmo_experts_answer_for_their_side():
    task = make_task()
    method = quick("cosmo").fit(task)
    fitted, held = split_known(task.ip)
    query = seen(images(3, 99)[0][:, 0])
    assert torch.equal(method.scores(query, OOP_VOCABULARY), TipAdapter().fit(task).scores(query, OOP_VOCABULARY))
    of_ip = CosineHead().fit(task.with_support(fitted, held, ip=True))
    wanted = of_ip.scores(query, IP_VOCABULARY)  # the order of the batches is another, which changes rounding
    torch.testing.assert_close(method.scores(query, IP_VOCABULARY), wanted, rtol=1e-3, atol=1e-3)
    bare = quick("cosmo").fit(make_task(_ip=task.ip[:0], _ip_names=()))
    assert torch.equal(bare.scores(query, IP_VOCABULARY), bare.unseen_.scores(query, IP_VOCABULARY))
    assert torch.isfinite(bare.scores(query, JOINT)).all()


def test_cosmo_gate_tells_the_sides_apart():
    centre = F.normalize(unit_rows(2, SIZE, 40), dim=1)
    known = Support(
        F.normalize(centre[torch.arange(40) % 2] + 0.2 * unit_rows(40, SIZE, 41), dim=1)[:, None], torch.arange(40) % 2
    )
    task = make_task(_ip=known, _ip_names=("cat", "rose"))
    joint = Vocabulary.of("animal", oop=FIVE, ip=("cat", "rose"))
    method = quick("cosmo").fit(task)
    fresh = F.normalize(centre[torch.arange(20) % 2] + 0.2 * unit_rows(20, SIZE, 42), dim=1)
    assert (method.scores(seen(fresh), joint).argmax(dim=1) >= len(FIVE)).float().mean() > 0.8
    oop, _ = images(6, 99)
    assert (method.scores(seen(oop[:, 0]), joint).argmax(dim=1) < len(FIVE)).float().mean() > 0.8


def test_cosmo_refuses_methods_that_encode_images_anew():
    with pytest.raises(UserError, match="cosmo cannot wrap clip_lora"):
        build("cosmo", Cosmo, None, {"unseen": "clip_lora"})
