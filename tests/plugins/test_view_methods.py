"""Methods on several views of each scored image, on streams, projections and patches, against plain formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.prompts import Template
from harness.types.images import Images
from harness.types.vocabulary import Vocabulary
from harness_plugins._certain_views import by_certainty, entropy, kept
from harness_plugins.mta import MTA
from harness_plugins.plot import transport
from harness_plugins.tda import TDA
from harness_plugins.tpt import mean_entropy
from harness_plugins.zero import votes

from ..makers import unit_rows
from .tasks import JOINT, NAMES, OOP_VOCABULARY, PROJECTION, SIZE, images, make_task, quick, seen

VIEWED = ("zero", "mta", "tpt")


def plain_softmax(scores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def plain_entropy(p):
    return -(p * np.log(p)).sum(axis=-1)


def several(count=2, views=8, seed=99):
    return Images(images(count, seed, views)[0])


# -- views -------------------------------------------------------------------------------------------------------------


def test_views_are_ordered_by_the_entropy_of_their_probabilities():
    scores = torch.randn(3, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = plain_entropy(plain_softmax(scores.numpy()))
    np.testing.assert_allclose(entropy(scores.log_softmax(dim=2)).numpy(), expected, rtol=1e-12)
    assert by_certainty(scores).tolist() == expected.argsort(axis=1).tolist()


def test_at_least_one_view_is_kept():
    assert [kept(v, 0.3) for v in (1, 3, 4, 16, 64)] == [1, 1, 1, 4, 19]
    assert [kept(v, 0.1) for v in (1, 16, 64)] == [1, 1, 6]


@pytest.mark.parametrize("name", VIEWED)
def test_one_view_gives_the_zero_shot_prediction(name):
    image = images(4, 99)[0][:, 0]
    task, parameters = make_task(template=Template("a photo of a {name}.")), {"steps": 0} if name == "tpt" else {}
    zero_shot, method = quick("zero_shot").fit(task), quick(name, **parameters).fit(task)
    expected = zero_shot.scores(seen(image), JOINT).argmax(dim=1)
    assert torch.equal(method.scores(seen(image), JOINT).argmax(dim=1), expected)


@pytest.mark.parametrize("name", VIEWED)
def test_more_views_change_the_scores(name):
    method, several_views = quick(name).fit(make_task()), several()
    one = Images(several_views.features[:, :1])
    assert not torch.allclose(method.scores(several_views, JOINT), method.scores(one, JOINT))


# -- zero --------------------------------------------------------------------------------------------------------------


def plain_votes(scores, keep):
    """The name that the authors' rule chooses for one image, by counting."""
    order = plain_entropy(plain_softmax(scores)).argsort(kind="stable")
    count = max(1, int(len(scores) * keep))
    cast = scores.argmax(axis=1)[order]
    found = np.bincount(cast[:count], minlength=scores.shape[1])
    tied = np.flatnonzero(found == found.max())
    return next(name for name in [*cast[count:], *cast[:count]] if name in tied)


def test_zero_counts_the_votes_of_the_most_certain_views():
    scores = torch.randn(200, 9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for keep in (0.3, 0.5, 1.0):
        found = votes(scores, keep)
        assert found.argmax(dim=1).tolist() == [plain_votes(each, keep) for each in scores.numpy()]
        assert bool((found.floor().sum(dim=1) == max(1, int(9 * keep))).all())
        assert bool((found - found.floor() < 1).all())


# -- mta ---------------------------------------------------------------------------------------------------------------


def plain_mode(x, p, neighbours, affinity, spread):
    """The authors' loops for one image, in float64."""
    v = len(x)
    count = max(1, int(neighbours * (v - 1)))
    h = np.empty(v)
    for i in range(v):
        distance = sorted(((x[i] - x[j]) ** 2).sum() for j in range(v) if j != i)
        h[i] = 0.5 * np.mean(distance[:count])
    agreement, y, m = p @ p.T, np.full(v, 1 / v), x[0]
    for _ in range(5):
        g = np.array([math.exp(-((m - x[i]) ** 2).sum() / (2 * h[i])) for i in range(v)])
        for _ in range(5):
            y = plain_softmax((g + affinity * agreement @ y) / spread)
        for _ in range(5):
            g = np.array([math.exp(-((m - x[i]) ** 2).sum() / (2 * h[i])) for i in range(v)])
            m = ((g * y)[:, None] * x).sum(axis=0)
            m = m / np.linalg.norm(m)
    return m


@pytest.mark.parametrize("views", [2, 4, 12])
def test_mta_finds_the_mode_of_the_formula(views):
    x = F.normalize(images(1, 7, views)[0].double(), dim=2)  # the formula's distances need unit rows in float64
    scores = 20 * x @ unit_rows(6, SIZE, 3).double().T
    found = MTA()._mode(x, scores)
    for one, each, rows in zip(found.numpy(), x.numpy(), scores.numpy(), strict=True):
        np.testing.assert_allclose(one, plain_mode(each, plain_softmax(rows), 0.3, 4.0, 0.2), rtol=1e-6, atol=1e-9)


def test_mta_is_finite_where_all_views_are_equal():
    image = images(2, 7)[0].expand(-1, 6, -1)
    method = quick("mta").fit(make_task())
    torch.testing.assert_close(
        method.scores(Images(image), JOINT), method.scores(Images(image[:, :1]), JOINT), rtol=1e-4, atol=1e-4
    )


# -- tpt ---------------------------------------------------------------------------------------------------------------


def test_tpt_minimises_the_entropy_of_the_mean_probability():
    scores = torch.randn(3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    expected = plain_entropy(plain_softmax(scores.numpy()).mean(axis=1))
    np.testing.assert_allclose(mean_entropy(scores).numpy(), expected, rtol=1e-12)


def test_tpt_tunes_every_image_as_if_it_were_alone():
    method, given = quick("tpt", lr=0.05).fit(make_task()), several(3)
    together = method.scores(given, JOINT)
    alone = torch.cat([method.scores(given[i : i + 1], JOINT) for i in range(len(given))])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)


def test_a_step_of_tpt_is_one_of_adamw_on_one_image():
    task = make_task()
    method, views = quick("tpt", keep=0.5).fit(task), several(1).features[:1]
    context, tokens = method.context_, method.context_.tokens(JOINT.names)
    rows = context.rows.clone().requires_grad_(True)
    text = task.text.encode_tokens(tokens, rows)
    scores = task.logit_scale * views[0] @ text.T
    certain = scores[entropy(scores.log_softmax(dim=1)).argsort()[:4]]
    mean = certain.softmax(dim=1).mean(dim=0)
    (gradient,) = torch.autograd.grad(-(mean * mean.log()).sum(), rows)
    moved = rows.detach() * (1 - 0.005 * 0.01) - 0.005 * gradient / (gradient.abs() + 1e-8)
    expected = task.logit_scale * views[:, 0] @ task.text.encode_tokens(tokens, moved).T
    with torch.no_grad():
        found = method.scores(Images(views), JOINT)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_tpt_makes_the_views_more_certain():
    task, given = make_task(), several(3)
    start, tuned = (quick("tpt", steps=steps, keep=1.0, lr=0.02).fit(task) for steps in (0, 5))
    whole = Images(given.features[:, :1])
    before, after = (entropy(each.scores(whole, JOINT).log_softmax(dim=1)).mean() for each in (start, tuned))
    assert after < before


# -- tda ---------------------------------------------------------------------------------------------------------------


def plain_tda(image, text, scale, alpha, beta, sees_itself):
    """The authors' caches as lists, in float64, one image after the other."""
    positive, negative, found = {}, {}, []
    for x in image:
        logits = scale * text @ x
        p = plain_softmax(logits)
        h = plain_entropy(p)

        def put(cache, size, column=np.argmax(logits), item=(h, x, p)):  # noqa: B008 - of this image
            cache[column] = sorted([*cache.get(column, []), item], key=lambda one: one[0])[:size]

        def remember(h=h, put=put):
            put(positive, 3)
            if 0.2 < h / math.log2(len(text)) < 0.5:
                put(negative, 2)

        if sees_itself:
            remember()
        scores = logits.copy()
        for column, items in positive.items():
            scores[column] += alpha * sum(math.exp(-beta * (1 - x @ key)) for _, key, _ in items)
        for items in negative.values():
            for _, key, q in items:
                scores -= 0.117 * math.exp(-(1 - x @ key)) * ((q > 0.03) & (q < 1))
        if not sees_itself:
            remember()
        found.append(scores)
    return np.array(found)


@pytest.mark.parametrize("sees_itself", [False, True])
def test_tda_adds_and_subtracts_its_caches(sees_itself):
    task = make_task()
    image = images(20, 5)[0][:, 0]
    image = image[torch.randperm(len(image), generator=torch.Generator().manual_seed(1))]
    method = quick("tda", sees_itself=sees_itself).fit(task)
    found = torch.cat([method.scores(seen(one[None]), JOINT) for one in image])
    text = task.text.encode([task.template.fill(name, JOINT.noun) for name in JOINT.names])
    expected = plain_tda(image.double().numpy(), text.double().numpy(), 20.0, 2.0, 8.0, sees_itself)
    stream = method.streams_[JOINT]
    assert max(len(items) for items in stream.positive.items.values()) == 3
    assert stream.negative.items, "some image is uncertain"
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-3)


def test_streams_of_different_vocabularies_share_nothing():
    image = images(6, 5)[0][:, 0]

    def stream(method, vocabulary):
        return torch.cat([method.scores(seen(one[None]), vocabulary) for one in image])

    used, new = (TDA().fit(make_task()) for _ in range(2))
    first = stream(used, JOINT)
    assert torch.equal(stream(used, OOP_VOCABULARY), stream(new, OOP_VOCABULARY))
    assert torch.equal(first, stream(TDA().fit(make_task()), JOINT))
    assert not torch.equal(stream(used, OOP_VOCABULARY), stream(new, Vocabulary.of(JOINT.noun, oop=NAMES[:3]))[:, :1])


def test_the_first_image_of_a_stream_is_scored_by_zero_shot():
    image, task = images(1, 5)[0][:1, 0], make_task()
    expected = quick("zero_shot").fit(task).scores(seen(image), JOINT)
    torch.testing.assert_close(quick("tda").fit(task).scores(seen(image), JOINT), expected, rtol=1e-4, atol=1e-4)
    itself = quick("tda", sees_itself=True).fit(task).scores(seen(image), JOINT) - expected
    assert itself.argmax() == expected.argmax()
    assert float(itself.max()) == pytest.approx(2.0, abs=0.13)


# -- tip_adapter_f -----------------------------------------------------------------------------------------------------


def test_tip_adapter_f_without_steps_is_tip_adapter():
    image = images(3, 99)[0][:, 0]
    for settings in ({"epochs": 0}, {"lr": 0.0}):
        plain, trained = quick("tip_adapter"), quick("tip_adapter_f", **settings)
        one, other = (each.fit(make_task()).scores(seen(image), JOINT) for each in (plain, trained))
        assert torch.equal(one, other)


def test_tip_adapter_f_takes_the_step_of_adamw_on_its_keys():
    task = make_task()
    one = quick("tip_adapter_f", epochs=1, alpha=2.0, beta=3.0, initial_alpha=2.0, initial_beta=3.0).fit(task)
    keys, x = task.support.features[:, 0].double(), task.support.features[:, 0].double()
    label = task.support.label
    text = task.text.encode([task.template.fill(name, task.noun) for name in NAMES]).double()
    affinity = torch.exp(-3.0 * (1 - x @ keys.T))
    value = F.one_hot(label, len(NAMES)).double()
    error = (20.0 * x @ text.T + 2.0 * affinity @ value).softmax(dim=1) - value  # of the cross-entropy
    gradient = ((error @ value.T) * 2.0 * 3.0 * affinity).T @ x / len(x)
    expected = keys * (1 - 0.001 * 0.01) - 0.001 * gradient / (gradient.abs() + 1e-4)
    np.testing.assert_allclose(one.keys_.double().numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)


# -- prolip ------------------------------------------------------------------------------------------------------------


def test_prolip_starts_at_zero_shot_and_moves():
    image = images(3, 99)[0][:, 0]
    expected = quick("zero_shot").fit(make_task()).scores(seen(image), JOINT)
    start = quick("prolip", lr=0.0).fit(make_task())
    torch.testing.assert_close(start.scores(seen(image), JOINT), expected, rtol=1e-3, atol=1e-3)
    assert start.outcome() == {"moved": 0.0}
    assert quick("prolip").fit(make_task()).outcome()["moved"] > 1e-3


def test_a_step_of_prolip_is_that_of_adam_on_the_cross_entropy_and_the_change():
    task = make_task()
    first = quick("prolip", epochs=1, lr=0.01).fit(task).weight_.double()
    weight = PROJECTION.double().clone().requires_grad_(True)
    text = task.text.encode([task.template.fill(name, task.noun) for name in NAMES]).double()
    image = F.normalize(task.support.preprojection[:, 0].double() @ weight, dim=1)
    log_probability = (20.0 * image @ text.T).log_softmax(dim=1)
    loss = -log_probability[torch.arange(len(image)), task.support.label].mean()
    (gradient,) = torch.autograd.grad(loss, weight)
    expected = weight.detach() - 0.01 * gradient / (gradient.abs() + 1e-4)
    np.testing.assert_allclose(first.numpy(), expected.numpy(), rtol=1e-3, atol=1e-5)


def test_decay_holds_the_projection_at_its_start():
    moved = [quick("prolip", decay=decay).fit(make_task()).outcome()["moved"] for decay in (0.0, 1.0, 100.0)]
    assert moved[0] > moved[1] > moved[2] > 0


# -- plot --------------------------------------------------------------------------------------------------------------


def plain_transport(scores, sweeps=100):
    kernel, (p, n) = np.exp(scores), scores.shape
    u, v = np.ones(p), np.ones(n)
    for _ in range(sweeps):
        u = 1 / p / (kernel @ v)
        v = 1 / n / (kernel.T @ u)
    return u[:, None] * kernel * v


def test_plans_of_plot_are_those_of_sinkhorn():
    scores = 10 * (unit_rows(9, SIZE, 1) @ unit_rows(4, SIZE, 2).T).double()
    plan = transport(scores).numpy()
    np.testing.assert_allclose(plan, plain_transport(scores.numpy()), rtol=1e-9)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 9, rtol=1e-6)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 4, rtol=1e-6)


def test_plot_scores_the_cosines_of_patches_and_prompts_by_their_plan():
    task = make_task()
    method, given = quick("plot", epochs=1).fit(task), seen(images(2, 99)[0][:, 0])
    found = method.scores(given, JOINT)
    text = method._encode(method.contexts_[0].tokens(JOINT.names)).double().numpy()
    for i, patches in enumerate(given.tokens[:, 0].double().numpy()):
        for k, prompts in enumerate(text):
            cosines = patches @ prompts.T
            expected = 20.0 * (plain_transport(cosines / 0.1) * cosines).sum()
            assert float(found[i, k]) == pytest.approx(expected, abs=1e-3)


def test_plot_stays_finite_where_plans_are_extreme():
    method = quick("plot", sharpness=1e-3, epochs=1).fit(make_task())
    assert bool(torch.isfinite(method.scores(seen(images(2, 99)[0][:, 0]), JOINT)).all())
