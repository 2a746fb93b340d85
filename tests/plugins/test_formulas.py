"""Methods against plain formulas, and properties of single methods."""

from __future__ import annotations

import dataclasses
import json
import math
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.errors import FixedVocabulary, MethodError
from harness.method import build
from harness.prompts import Piece, Prompt
from harness.types.images import Images
from harness.types.task import Support
from harness_plugins import gda, linear_probe, tip_adapter, zero_shot
from harness_plugins._context import LearnedContext
from harness_plugins._vocabulary import add_to_fitted
from harness_plugins.gda import GDA
from harness_plugins.taskres import TaskRes

from ..makers import unit_rows
from .tasks import IP, JOINT, NAMES, NOUN, OOP_VOCABULARY, SIZE, images, make_task, quick, seen, tower


def zero_shot_scores(image, vocabulary=OOP_VOCABULARY):
    return quick("zero_shot").fit(make_task()).scores(seen(image), vocabulary)


def test_prompt_ensemble_is_normalised_mean_of_unit_features():
    image = images(2, 99)[0][:, 0]
    found = quick("zero_shot", prompts="ensemble").fit(make_task()).scores(seen(image), OOP_VOCABULARY)
    columns = []
    for name in NAMES:
        rows = [tower().encode([template.fill(name, NOUN)])[0] for template in zero_shot.TEMPLATES]
        mean = sum(rows) / len(rows)
        columns.append(20.0 * image @ (mean / mean.norm()))
    torch.testing.assert_close(found, torch.stack(columns, dim=1), rtol=1e-4, atol=1e-4)
    assert len({template.text for template in zero_shot.TEMPLATES}) == len(zero_shot.TEMPLATES) > 5


# -- moving scores among some names ------------------------------------------------------------------------------------


def test_added_term_preserves_mass_of_other_names():
    scores, term = unit_rows(6, 5, 1) * 3, unit_rows(6, 3, 2) * 4
    at = [2, None, 0, None, 1]
    moved = add_to_fitted(scores, term, at)
    assert torch.equal(moved[:, [1, 3]], scores[:, [1, 3]])
    before, after = scores.softmax(dim=1), moved.softmax(dim=1)
    torch.testing.assert_close(after[:, [0, 2, 4]].sum(dim=1), before[:, [0, 2, 4]].sum(dim=1))
    torch.testing.assert_close(
        moved[:, [0, 2, 4]].log_softmax(dim=1), (scores[:, [0, 2, 4]] + term[:, [2, 0, 1]]).log_softmax(dim=1)
    )
    assert torch.equal(add_to_fitted(scores, term, [None] * 5), scores)


# -- tip_adapter -------------------------------------------------------------------------------------------------------


def plain_cache(image, support, alpha, beta):
    rows = []
    for x in image:
        row = [0.0] * len(NAMES)
        for keys, y in zip(support.features, support.label.tolist(), strict=True):
            key = keys.mean(dim=0)
            row[y] += alpha * math.exp(-beta * (1 - float(x @ (key / key.norm()))))
        rows.append(row)
    return torch.tensor(rows)


def test_tip_adapter_matches_formula():
    task, image = make_task(views=3), images(2, 99)[0][:, 0]
    method = quick("tip_adapter", alpha=2.0, beta=5.5).fit(task)
    expected = zero_shot_scores(image) + plain_cache(image, task.support, 2.0, 5.5)
    torch.testing.assert_close(
        method.scores(seen(image), OOP_VOCABULARY).softmax(dim=1), expected.softmax(dim=1), rtol=1e-4, atol=1e-5
    )


def plain_choice(right, search):
    """The setting of ``right``, setting -> count: of the best the first, or in steps of the grid the middle one."""
    best = [setting for setting, count in right.items() if count == max(right.values())]
    if search == "paper":
        return best[0]
    steps = [sorted({setting[i] for setting in right}) for i in range(len(best[0]))]
    at = np.array([[own.index(x) for own, x in zip(steps, setting, strict=True)] for setting in best])
    return best[int(np.round(((at - at.mean(axis=0)) ** 2).sum(axis=1), 6).argmin())]


@pytest.mark.parametrize("search", ["wide", "paper"])
def test_tip_adapter_chooses_on_validation_draw(monkeypatch, search):
    betas, alphas = (grid[:: max(1, len(grid) // 7)] for grid in tip_adapter.GRIDS[search])
    monkeypatch.setitem(tip_adapter.GRIDS, search, (betas, alphas))
    task = make_task()
    image, label = task.validation.features[:, 0], task.validation.label
    right = {
        (b, a): int(((zero_shot_scores(image) + plain_cache(image, task.support, a, b)).argmax(dim=1) == label).sum())
        for b, a in product(betas, alphas)
    }
    method = quick("tip_adapter", search=search).fit(task)
    assert (method.beta_, method.alpha_) == plain_choice(right, search)
    fixed = quick("tip_adapter", search=search, alpha=3.0).fit(task)
    assert fixed.alpha_ == 3.0


def test_tip_adapter_paper_grid_is_authors_imagenet_grid():
    betas, alphas = tip_adapter.GRIDS["paper"]
    assert (len(betas), len(alphas)) == (200, 20)
    np.testing.assert_allclose(betas, 0.1 + np.arange(200) * 6.9 / 200)
    np.testing.assert_allclose(alphas, 0.1 + np.arange(20) * 2.9 / 20)


@pytest.mark.parametrize("name", ["gda", "linear_probe", "tip_adapter"])
def test_outcome_reports_chosen_values(name):
    method = quick(name).fit(make_task())
    stated = json.loads(json.dumps(method.outcome()))
    assert stated
    again = quick(name, **stated).fit(make_task())  # as parameters they choose nothing, and give the same
    image = images(2, 99)[0][:, 0]
    assert torch.equal(again.scores(seen(image), OOP_VOCABULARY), method.scores(seen(image), OOP_VOCABULARY))


# -- gda ---------------------------------------------------------------------------------------------------------------


def centred(part, classes):
    """Means of the classes, and every view of every image without the mean of its class."""
    rows = part.features.double().flatten(0, 1).numpy()
    label = part.label.repeat_interleave(part.features.shape[1]).numpy()
    means = np.stack([rows[label == y].mean(axis=0) for y in range(classes)])
    return means, rows - means[label]


def plain_discriminant(support, classes, ip=None):
    """Means and formula as published: K = d * pinv((M - 1) cov + trace(cov) I); cov may be that of IP images."""
    means, rows = centred(support, classes)
    if ip is not None:
        rows = centred(ip, len(IP))[1]
    covariance = np.cov(rows.T)
    size = rows.shape[1]
    precision = size * np.linalg.pinv((len(rows) - 1) * covariance + np.trace(covariance) * np.eye(size))
    return precision @ means.T, [-math.log(classes) - m @ precision @ m / 2 for m in means]


@pytest.mark.parametrize(
    ("shots", "views", "covariance"),
    [(1, 4, "views"), (4, 1, "views"), (3, 2, "views"), (1, 1, "ip"), (1, 4, "ip"), (3, 2, "ip")],
)
def test_gda_matches_formula(shots, views, covariance):
    task, image = make_task(shots, views), images(2, 99)[0][:, 0]
    method = quick("gda", alpha=0.1, views=views, covariance=covariance).fit(task)
    weight, bias = plain_discriminant(task.support, len(NAMES), task.ip if covariance == "ip" else None)
    expected = zero_shot_scores(image) + 0.1 * torch.from_numpy(image.double().numpy() @ weight + bias).float()
    torch.testing.assert_close(
        method.scores(seen(image), OOP_VOCABULARY).softmax(dim=1), expected.softmax(dim=1), rtol=1e-3, atol=1e-4
    )


def test_gda_raises_for_one_view_of_one_shot():
    with pytest.raises(MethodError, match="one view of one shot") as error:
        quick("gda", covariance="views").fit(make_task(shots=1, views=1))
    assert "views" in error.value.hint


def test_gda_needs_ip_images_only_if_used():
    assert quick("gda", covariance="views").needs.declared() == ("support",)
    borrowing = quick("gda")
    assert borrowing.needs.declared() == dataclasses.replace(borrowing).needs.declared() == ("support", "ip")
    nothing = Support(torch.zeros(0, 1, 24), torch.zeros(0, dtype=torch.long))
    with pytest.raises(MethodError, match="no IP class has two images") as error:
        borrowing.fit(make_task(_ip=nothing))
    assert "covariance=views" in error.value.hint


def test_gda_paper_preset_takes_smallest_best_weight_on_validation_draw():
    task = make_task(views=10)
    paper = build("gda", GDA, "paper")
    assert paper.needs.declared() == ("support", "validation")
    image, label = task.validation.features[:, 0], task.validation.label
    right = {}
    for alpha in gda.ALPHAS:
        scores = dataclasses.replace(paper, alpha=alpha).fit(task).scores(seen(image), OOP_VOCABULARY)
        right[alpha] = int((scores.argmax(dim=1) == label).sum())
    best = [alpha for alpha, count in right.items() if count == max(right.values())]
    assert len(best) > 1, "otherwise the smallest is not determined"
    assert paper.fit(task).alpha_ == best[0]


@pytest.mark.parametrize("covariance", ["views", "ip"])
def test_gda_chooses_alpha_by_leave_one_shot_out(covariance):
    task = make_task(shots=3, views=2)
    right = dict.fromkeys(gda.ALPHAS, 0)
    for shot in range(3):
        out = torch.arange(len(task.support.label)) % 3 == shot
        kept = Support(task.support.features[~out], task.support.label[~out])
        method = quick("gda", alpha=0.0, covariance=covariance).fit(make_task(_support=kept))
        query, label = task.support.features[out, 0], task.support.label[out]
        for alpha in gda.ALPHAS:
            method.alpha_ = alpha
            right[alpha] += int((method.scores(seen(query), OOP_VOCABULARY).argmax(dim=1) == label).sum())
    (best,) = plain_choice({(alpha,): count for alpha, count in right.items()}, "middle")
    assert quick("gda", covariance=covariance).fit(task).alpha_ == best
    one_shot = quick("gda", covariance=covariance, alpha_one_shot=0.7)
    assert one_shot.fit(make_task(shots=1, views=4)).alpha_ == 0.7
    two = one_shot.fit(make_task(shots=2, views=1))  # of one view without the other nothing is left to see a spread
    assert (two.alpha_ == 0.7) == (covariance == "views")


def test_gda_linear_probe_and_prototypes_never_predict_empty_class():
    task = make_task()
    kept = task.support.label != 1
    support = Support(task.support.features[kept], task.support.label[kept])
    image = images(20, 99)[0][:, 0]
    for method in (quick("linear_probe", c=1.0), quick("prototypes"), quick("prototypes", centre=True)):
        scores = method.fit(make_task(_support=support)).scores(seen(image), OOP_VOCABULARY)
        assert 1 not in scores.argmax(dim=1).tolist()
        assert bool(torch.isfinite(scores).all())
    assert bool(torch.isfinite(quick("gda").fit(make_task(_support=support)).scores(seen(image), OOP_VOCABULARY)).all())


# -- prototypes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("centre", [True, False])
def test_prototypes_are_class_means_and_scores_negative_squared_distances(views, centre):
    task = make_task(shots=3, views=views)
    image = images(2, 99)[0][:, 0]
    rows = task.support.features.double().numpy()
    label, middle = task.support.label.numpy(), rows.mean(axis=(0, 1)) if centre else 0

    def transform(x):
        return (x - middle) / np.linalg.norm(x - middle, axis=-1, keepdims=True)

    prototypes = [transform(rows)[label == y].mean(axis=(0, 1)) for y in range(len(NAMES))]
    expected = [[-(np.linalg.norm(transform(x) - p) ** 2) for p in prototypes] for x in image.double().numpy()]
    method = quick("prototypes", centre=centre).fit(task)
    torch.testing.assert_close(method.scores(seen(image), OOP_VOCABULARY), torch.tensor(expected).float())
    in_double = Support(task.support.features.double(), task.support.label)
    method = quick("prototypes", centre=centre).fit(make_task(_support=in_double))
    found = method.scores(Images.of(image.double()), OOP_VOCABULARY)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


# -- linear_probe ------------------------------------------------------------------------------------------------------


def test_linear_probe_minimises_the_regularised_cross_entropy():
    task = make_task(shots=6)
    method = quick("linear_probe", c=3.0, max_iter=5000).fit(task)
    weight = method.weight_.double().requires_grad_(True)
    bias = method.bias_.double().requires_grad_(True)
    scores = task.support.features[:, 0].double() @ weight.T + bias
    value = weight.square().sum() / 2 + 3.0 * F.cross_entropy(scores, task.support.label, reduction="sum")
    for gradient in torch.autograd.grad(value, (weight, bias)):
        assert float(gradient.abs().max()) < 2e-2


@pytest.mark.parametrize("peak", [-6.0, -3.3, 0.4, 2.0, 5.1])
def test_linear_probe_paper_search_is_grid_then_bisection(peak):
    tried = []

    def right(power):
        tried.append(power)
        return -abs(power - peak)

    found = linear_probe._bisection(right)
    assert tried[:7] == [6, 4, 2, 0, -2, -4, -6]
    assert abs(found - min(max(peak, round(peak / 2) * 2 - 1), round(peak / 2) * 2 + 1)) <= 2 / 2**7 + 1e-9
    assert len(set(tried)) <= 7 + 2 + 7


def test_linear_probe_ties_take_middle_or_end_in_paper_search():
    assert linear_probe._middle(lambda power: 3) == 0.0
    assert linear_probe._bisection(lambda power: 3) == 5.0  # the largest of the grid, then always the lower end


@pytest.mark.parametrize(("low", "high", "middle"), [(-6, 6, 0), (2, 6, 4), (-6, -5, -6), (3, 3, 3), (-6, 4, -1)])
def test_linear_probe_takes_middle_of_best_c(low, high, middle):
    assert linear_probe._middle(lambda power: int(low <= power <= high)) == middle


def test_linear_probe_chooses_c_on_validation_draw():
    centre, label = unit_rows(len(NAMES), SIZE, 1), torch.arange(len(NAMES)).repeat(6)
    many = torch.cat([label[:15], torch.zeros(30, dtype=torch.long)])  # a smooth model answers with the first class
    support, validation = (
        Support(F.normalize(centre[own] + 1.5 * unit_rows(len(own), SIZE, seed), dim=1)[:, None], own)
        for own, seed in ((many, 2), (label, 3))
    )
    task = make_task(_support=support, _validation=validation)

    def right(power):
        method = quick("linear_probe", c=10**power).fit(task)
        return int((method.scores(seen(validation.features[:, 0]), task.vocabulary).argmax(dim=1) == label).sum())

    assert len({right(power) for power in linear_probe.GRID}) > 1
    for search, how in (("grid", linear_probe._middle), ("paper", linear_probe._bisection)):
        found = quick("linear_probe", search=search).fit(task).c_
        assert found > 1e-3
        assert found == pytest.approx(10 ** how(right))


@pytest.mark.parametrize("count", [1, 2])
def test_linear_probe_with_few_classes(count):
    names = NAMES[:count]
    task = make_task()
    parts = {
        key: Support(part.features[part.label < count], part.label[part.label < count])
        for key, part in (("_support", task.support), ("_validation", task.validation))
    }
    method = quick("linear_probe").fit(make_task(**parts, _names=names))
    scores = method.scores(seen(parts["_support"].features[:, 0]), method.task_.vocabulary)
    assert torch.equal(scores.argmax(dim=1), parts["_support"].label)
    assert method.trainable() == count * (SIZE + 1)


# -- trained methods ---------------------------------------------------------------------------------------------------


def test_cocoop_encodes_prompt_per_image_and_name():
    method = quick("cocoop").fit(make_task())
    image = images(1, 99)[0][:, 0]
    down, bias, up, shift = method.net_
    found = method.scores(seen(image), JOINT)
    for i, x in enumerate(image):
        rows = method.context_.rows + up @ torch.relu(down @ x + bias) + shift
        for j, name in enumerate(JOINT.names):
            prompt = Prompt((Piece("a photo of a", "own"), Piece(f" {name}.")))
            text = tower().encode([prompt], {"own": rows})[0]
            assert float(found[i, j]) == pytest.approx(float(20.0 * x @ text), abs=1e-3)


def test_cocoop_caches_scores_of_same_images():
    method = quick("cocoop").fit(make_task())
    image = images(1, 99)[0][:, 0]
    expected = method.scores(seen(image), JOINT)
    pairs, asked = method._pairs, []
    method._pairs = lambda x, groups: asked.append(len(x)) or pairs(x, groups)
    turned = [3, 0, 4]
    assert torch.equal(method.scores(seen(image[turned]), OOP_VOCABULARY), expected[turned, : len(NAMES)])
    assert asked == []
    method.scores(seen(image[turned] + 1e-3), OOP_VOCABULARY)
    assert asked == [len(turned)]


def test_coop_puts_learned_context_before_every_name():
    method = quick("coop").fit(make_task())
    image = images(1, 99)[0][:, 0]
    prompts = [Prompt((Piece("x", "own"), Piece(f" {name}."))) for name in JOINT.names]
    text = tower().encode(prompts, {"own": method.context_.rows})
    torch.testing.assert_close(method.scores(seen(image), JOINT), 20.0 * image @ text.T, rtol=1e-4, atol=1e-4)
    assert method.trainable() == 4 * 32
    assert not torch.equal(method.context_.rows, tower().token_embedding("a photo of a"))


def test_class_specific_contexts_are_independent_and_fix_vocabulary():
    method = quick("coop", class_specific=True).fit(make_task())
    image = images(1, 99)[0][:, 0]
    rows = method.context_.rows.reshape(len(NAMES), 4, -1)
    start = tower().token_embedding("a photo of a")
    assert all(not torch.allclose(own, start, atol=1e-3) for own in rows)
    assert method.trainable() == len(NAMES) * 4 * 32
    texts = [
        tower().encode([Prompt((Piece("x", "own"), Piece(f" {name}.")))], {"own": own})[0]
        for name, own in zip(NAMES, rows, strict=True)
    ]
    found = method.scores(seen(image), OOP_VOCABULARY)
    torch.testing.assert_close(found, 20.0 * image @ torch.stack(texts).T, rtol=1e-4, atol=1e-4)
    with pytest.raises(FixedVocabulary, match="coop cannot score"):
        method.scores(seen(image), JOINT)


def test_random_context_has_length_deviation_and_seed():
    one, again, other = (LearnedContext(make_task(seed=seed), "", 500, NAMES).rows for seed in (1, 1, 2))
    assert one.shape == (500 * len(NAMES), 32)
    assert float(one.std()) == pytest.approx(0.02, rel=0.05)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("shots", "steps"), [(1, 100), (4, 100), (8, 200)])
def test_taskres_epochs_follow_paper(shots, steps):
    calls = []
    task = make_task(shots=shots, progress=lambda done, total: calls.append(total))
    TaskRes(epochs=None).fit(task)
    assert calls == [steps] * steps


@pytest.mark.parametrize(("noun", "alpha"), [("animal", 1.0), ("food", 0.5)])
def test_taskres_paper_weight_depends_on_domain(noun, alpha):
    paper = build("taskres", TaskRes, "paper")
    image = images(2, 99)[0][:, 0]
    found, wanted = (
        dataclasses.replace(method, epochs=3).fit(make_task(noun=noun)).scores(seen(image), OOP_VOCABULARY)
        for method in (paper, dataclasses.replace(paper, alpha=alpha))
    )
    assert paper.alpha is None
    assert torch.equal(found, wanted)


def test_taskres_without_training_is_zero_shot():
    image = images(2, 99)[0][:, 0]
    torch.testing.assert_close(
        TaskRes(lr=0.0).fit(make_task()).scores(seen(image), OOP_VOCABULARY),
        zero_shot_scores(image),
        rtol=1e-4,
        atol=1e-4,
    )
