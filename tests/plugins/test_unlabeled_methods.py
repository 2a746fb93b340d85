"""Methods of the unlabeled track: clustering, matching and invariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from harness.method import build
from harness.prompts import Template
from harness.types.task import Support
from harness_plugins import _clustering
from harness_plugins._cluster_matching import assign_names, sample_means
from harness_plugins._clustering import canonical_order, cluster_means, estimate_cluster_count, kmeans
from harness_plugins._feature_transforms import mean_shift, whitening
from harness_plugins._name_tuning import NameTuning
from harness_plugins._pseudo_labels import pseudo_labels_from_clusters
from harness_plugins._sinkhorn import sinkhorn
from harness_plugins._vocabulary import add_to_fitted
from harness_plugins._ward import ward

from ..makers import discovery_metrics, unit_rows
from .tasks import NAMES, NOUN, OOP_VOCABULARY, SIZE, classes, images, make_task, quick, seen, tower

METHODS = ("cluster_vote", "kmeans_naming", "transclip", "zsnl")
ZSNL = {"epochs": 20, "restarts": 5}


def settings(name):
    return ZSNL if name == "zsnl" else {}


def far_apart(sizes=(12, 12, 12, 12, 12), seed=1):
    """Images close to the prompts of their names, in random order: rows and labels."""
    text = tower().encode([make_task().template.fill(name, NOUN) for name in NAMES])
    label = torch.arange(len(NAMES)).repeat_interleave(torch.tensor(sizes))
    image = F.normalize(text[label] + 0.02 * unit_rows(len(label), SIZE, seed), dim=1)
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(seed))
    return image[order], label[order]


def unlabeled(image, clusters=5, **change):
    return make_task(_unlabeled=seen(image), _clusters=clusters, _support=None, _validation=None, **change)


def judged(method, label):
    found = method.discovery()
    return discovery_metrics(found.cluster.numpy(), found.name.numpy(), label.numpy())


@pytest.mark.parametrize("parameters", [{}, {"assign": "clusters"}, {"discover": "ward"}])
def test_zsnl_names_perfect_clusters_correctly(parameters):
    image, label = far_apart()
    method = quick("zsnl", **(ZSNL | parameters)).fit(unlabeled(image))
    assert set(judged(method, label).values()) == {1.0}
    assert (method.scores(seen(image), OOP_VOCABULARY).argmax(dim=1) == label).all()


def matched_names(pool, cluster, template, normalised):
    """The assignment of the clusters' means and the names' prompts, with or without the lengths of both."""
    prompts = [Template(template).fill(name, NOUN) for name in NAMES]
    text = tower().encode(prompts).double()
    mean = torch.stack([pool[cluster == c].double().mean(dim=0) for c in range(5)])
    if normalised:
        mean = F.normalize(mean, dim=1)
    else:
        text = text * tower().norms(prompts).double()[:, None]
    return linear_sum_assignment((mean @ text.T).numpy(), maximize=True)[1].tolist()


def test_paper_preset_matches_as_released_scripts():
    pool = F.normalize(0.5 * images(12, 20)[0][:, 0] + unit_rows(60, SIZE, 7), dim=1)
    paper = build("zsnl", classes()["zsnl"], "paper")
    found = paper.fit(unlabeled(pool, _ip=None)).discovery()
    fit = kmeans(pool[canonical_order(pool)], 5, 10, torch.Generator().manual_seed(0))[0]
    assert torch.equal(found.cluster[canonical_order(pool)], fit)
    assert int(torch.bincount(fit).max()) <= 20  # so that the draw of 20 takes them all
    assert found.name.tolist() == matched_names(pool, found.cluster, "a photo of a {name}", normalised=False)
    assert (paper.epochs, paper.optimizer, paper._peak(452)) == (100, "sgd", pytest.approx(452 / 128 * 2e-4))
    assert paper.pool == "test-unlabeled"  # as the released scripts; six domains have 20 train images of a class


def test_matching_uses_given_prompt_and_product(monkeypatch):
    monkeypatch.setattr(tower(), "norms", lambda prompts: torch.tensor([1.0, 5.0, 2.0, 9.0, 3.0]))
    pool, answers = unit_rows(60, SIZE, 7), set()
    for template in (None, "{name} in a book", "a photo of a {name}"):
        for normalised in (True, False):
            how = {"match_prompt": template, "match_normalised": normalised}
            found = quick("zsnl", epochs=0, restarts=5, assign="clusters", **how).fit(unlabeled(pool)).discovery()
            wanted = matched_names(pool, found.cluster, template or make_task().template.text, normalised)
            assert found.name.tolist() == wanted
            answers.add(tuple(wanted))
    assert len(answers) > 3, "otherwise what is asked for would not matter here"


def test_sample_means_use_limited_images_per_cluster():
    pool, cluster = unit_rows(60, SIZE, 7), torch.arange(60) % 3
    drawn = [sample_means(pool, cluster, 4, 5, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[0][3], torch.zeros(SIZE))  # a cluster without images
    for c in range(3):
        own = pool[cluster == c]
        weight = torch.linalg.lstsq(own.T, drawn[0][c][:, None]).solution[:, 0]
        torch.testing.assert_close(weight.sort().values, torch.tensor([0.0] * 15 + [0.2] * 5), atol=1e-4, rtol=0)
    whole = sample_means(pool, cluster, 3, None, torch.Generator())
    torch.testing.assert_close(whole, torch.stack([pool[cluster == c].mean(dim=0) for c in range(3)]))


@pytest.mark.parametrize("largest", [1.0, 100.0])
def test_assignment_maximises_total_of_any_scores(largest):
    score = largest * unit_rows(6, 8, 3)
    rows, columns = linear_sum_assignment(score.double().numpy(), maximize=True)
    assert assign_names(score).tolist() == columns.tolist()
    assert assign_names(score.T).tolist() == [dict(zip(columns, rows, strict=True)).get(j, -1) for j in range(8)]


def test_paper_preset_batch_size_counts_names_with_images(monkeypatch):
    batches = []
    learn = NameTuning.learn

    def watched(self, task, loss, batch=None, support=None):
        batches.append((batch, len(support.label.unique())))
        learn(self, task, loss, batch, support)

    monkeypatch.setattr(NameTuning, "learn", watched)
    image, _ = far_apart((30, 30, 5, 5, 5))
    build("zsnl", classes()["zsnl"], "paper").fit(unlabeled(image, _ip=None))
    assert batches == [(8, 2)]


def test_only_used_prompts_are_encoded(monkeypatch):
    text = tower()
    encode, calls = text.encode, []
    monkeypatch.setattr(text, "encode", lambda prompts: calls.append(prompts) or encode(prompts))
    task = unlabeled(images(12, 20)[0][:, 0])
    quick("zsnl", **ZSNL, assign="clusters").fit(task)
    assert calls == [[task.template.fill(name, NOUN) for name in NAMES]]


def test_every_metric_is_computed_once(monkeypatch):
    eigh, found = torch.linalg.eigh, []
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: found.append(matrix) or eigh(matrix))
    quick("zsnl", **ZSNL, known="classes").fit(unlabeled(images(12, 20)[0][:, 0]))
    assert len(found) == 3  # of the pool, and of each half of the known classes


def test_zsnl_needs_depend_on_settings():
    pool = images(12, 20)[0][:, 0]
    method = quick("zsnl", **ZSNL, known="nothing", count="estimated")
    assert method.needs.declared() == ("unlabeled", "vocabulary")
    assert quick("zsnl").needs.declared() == ("unlabeled", "ip", "clusters", "vocabulary")
    assert method.fit(unlabeled(pool, None, _ip=None)).outcome()["clusters"] > 1


@pytest.mark.parametrize("name", ["cluster_vote", "kmeans_naming", "transclip"])
def test_baselines_name_perfect_clusters_correctly_for_any_ids(name):
    image, label = far_apart()
    for seed in range(3):  # other starts give the clusters other ids
        method = quick(name).fit(unlabeled(image, generator=torch.Generator().manual_seed(seed)))
        assert set(judged(method, label).values()) == {1.0}
        fresh, truth = far_apart(seed=5)
        for rows, wanted in ((image, label), (fresh, truth)):
            assert (method.scores(seen(rows), OOP_VOCABULARY).argmax(dim=1) == wanted).all()


@pytest.mark.parametrize("name", METHODS)
def test_pool_order_does_not_change_predictions(name):
    pool = images(12, 20)[0][:, 0]
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(3))
    straight, mixed = (quick(name, **settings(name)).fit(unlabeled(rows)) for rows in (pool, pool[order]))
    query = torch.cat([pool, images(5, 99)[0][:, 0]])
    assert torch.equal(straight.scores(seen(query), OOP_VOCABULARY), mixed.scores(seen(query), OOP_VOCABULARY))
    assert torch.equal(straight.discovery().cluster[order], mixed.discovery().cluster)
    assert straight.outcome() == mixed.outcome()


@pytest.mark.parametrize("name", METHODS)
def test_two_fits_are_bit_identical(name):
    pool = images(12, 20)[0][:, 0]
    one, other = (quick(name, **settings(name)).fit(unlabeled(pool)) for _ in range(2))
    assert torch.equal(one.scores(seen(pool), OOP_VOCABULARY), other.scores(seen(pool), OOP_VOCABULARY))
    assert one.outcome() == other.outcome()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("clusters", [1, 3, 9])
def test_fewer_and_more_clusters_than_names(name, clusters):
    image, label = far_apart()
    method = quick(name, **settings(name)).fit(unlabeled(image, clusters))
    assert torch.isfinite(method.scores(seen(image), OOP_VOCABULARY)).all()
    found = judged(method, label)
    assert all(0 <= value <= 1 for value in found.values())
    if name == "kmeans_naming":
        named = method.discovery().name
        assert sorted(named[named >= 0].tolist()) == sorted(set(named[named >= 0].tolist()))
        assert int((named >= 0).sum()) == min(clusters, len(NAMES))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("sizes", [(30, 1, 12, 1, 12), (20, 0, 0, 9, 1), (1, 1, 1, 1, 1), (1, 0, 0, 0, 0)])
def test_single_images_and_names_without_any(name, sizes):
    image, label = far_apart(sizes)
    method = quick(name, **settings(name)).fit(unlabeled(image))
    assert torch.isfinite(method.scores(seen(image), OOP_VOCABULARY)).all()
    assert method.discovery().cluster.shape == label.shape


@pytest.mark.parametrize("discover", ["kmeans", "ward"])
@pytest.mark.parametrize("known", ["metric", "classes", "nothing"])
def test_zsnl_without_ip_images(discover, known):
    image, label = far_apart()
    nothing = Support(torch.zeros(0, 1, SIZE), torch.zeros(0, dtype=torch.long))
    method = quick("zsnl", **ZSNL, discover=discover, known=known).fit(unlabeled(image, _ip=nothing))
    assert judged(method, label)["named_acc"] == 1.0


def test_paper_confidence_is_cosine_with_cluster_mean():
    pool, name = unit_rows(30, SIZE, 1), torch.tensor([2, 0, -1, 4])
    cluster = torch.from_numpy(np.random.default_rng(0).integers(0, 4, 30))
    named = pseudo_labels_from_clusters(pool, cluster, 4, name)
    mean = np.stack([pool[cluster == c].double().numpy().mean(axis=0) for c in range(4)])
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(
        named.confidence,
        [row @ mean[c] for row, c in zip(pool.double().numpy(), cluster.tolist(), strict=True)],
        atol=1e-5,
    )
    assert named.name.tolist() == name[cluster].tolist()
    assert named.found.name.tolist() == name.tolist()


def test_ward_and_kmeans_discover_different_clusters():
    image = F.normalize(far_apart()[0] + 0.8 * unit_rows(60, SIZE, 9), dim=1)
    plain = {"known": "nothing", "shifts": 0, "epochs": 0}
    by_ward, by_means = (
        quick("zsnl", discover=how, **plain).fit(unlabeled(image)).discovery().cluster for how in ("ward", "kmeans")
    )
    assert adjusted_rand_score(by_ward, ward(image.clone(), 5, *NOBODY)[0]) == 1.0
    assert adjusted_rand_score(by_ward, by_means) < 1.0


def test_confident_images_of_a_name_are_learned_from():
    image, _ = far_apart()
    outcome = quick("zsnl", **ZSNL, confident=3).fit(unlabeled(image)).outcome()
    assert outcome["images"] == 15
    enough = quick("zsnl", **ZSNL, confident=3, least=12).fit(unlabeled(image))
    assert enough.outcome()["images"] == 15
    few = quick("zsnl", **ZSNL, confident=3, least=13).fit(unlabeled(image))
    assert few.outcome()["images"] == 0
    assert few.trainable() == quick("zsnl", **ZSNL).fit(unlabeled(image)).trainable()
    assert torch.equal(
        few.scores(seen(image), OOP_VOCABULARY),
        quick("zero_shot").fit(make_task()).scores(seen(image), OOP_VOCABULARY),
    )


def test_names_stay_where_clusters_tell_nothing(monkeypatch):
    pool, zero_shot = images(12, 20)[0][:, 0], quick("zero_shot").fit(make_task())
    found = quick("zsnl", **ZSNL)
    monkeypatch.setattr(found, "_cluster", lambda task, pool: (torch.zeros(1, len(pool), dtype=torch.long), 1))
    plain, learned = (
        method.scores(seen(pool), OOP_VOCABULARY).softmax(dim=1) for method in (zero_shot, found.fit(unlabeled(pool)))
    )
    assert float((plain - learned).abs().mean()) < 0.03
    assert float((plain.argmax(dim=1) == learned.argmax(dim=1)).float().mean()) > 0.95


def test_zsnl_reports_purity_and_matching():
    image, _ = far_apart()
    outcome = quick("zsnl", **ZSNL).fit(unlabeled(image)).outcome()
    assert (outcome["clusters"], outcome["images"], sorted(outcome["sizes"])) == (5, 60, [12] * 5)
    assert sorted(outcome["matching"]) == list(range(5))
    assert outcome["weight"] == pytest.approx(max(1, outcome["share"] / (1 - outcome["purity"])), rel=1e-2)
    assert 1 / 5 < outcome["share"] <= 1


def test_one_name_and_one_cluster():
    pool = images(12, 20)[0][:, 0]
    method = quick("zsnl", **ZSNL).fit(unlabeled(pool, 1, _names=NAMES[:1]))
    assert method.discovery().name.tolist() == [0]
    assert torch.isfinite(method.scores(seen(pool), OOP_VOCABULARY)).all()


def test_the_number_of_clusters_is_estimated():
    centre = unit_rows(6, SIZE, 4)
    image = F.normalize(centre.repeat(10, 1) + 0.1 * unit_rows(60, SIZE, 5), dim=1)
    method = quick("zsnl", **ZSNL, count="estimated").fit(unlabeled(image))
    assert method.outcome()["clusters"] == 6
    seed = torch.Generator().manual_seed(0)
    assert estimate_cluster_count(image, 7, lambda k: kmeans(image, k, 5, seed)) == 6


def test_sinkhorn_columns_have_equal_mass():
    plan = sinkhorn(10 * torch.randn(60, 5, generator=torch.Generator().manual_seed(0)))
    np.testing.assert_allclose(plan.sum(dim=1), 1, rtol=1e-5)
    np.testing.assert_allclose(plan.sum(dim=0), 12, rtol=0.05)


@pytest.mark.parametrize("score", ["vote", "centroid", "sum"])
def test_cluster_names_maximise_total_score(score):
    text = tower().encode([make_task().template.fill(name, NOUN) for name in NAMES])
    pool = unit_rows(60, SIZE, 16)
    method = quick("cluster_vote", score=score).fit(unlabeled(pool))
    answer, cosine = (method.pool_ @ text.T).argmax(dim=1), (method.mean_ @ text.T).double().numpy()
    share = np.array([[float((answer[method.cluster_ == c] == n).double().mean()) for n in range(5)] for c in range(5)])
    total = {"vote": share, "centroid": cosine, "sum": share + cosine}[score]
    best = total[linear_sum_assignment(total, maximize=True)].sum()
    assert sorted(method.name_.tolist()) == list(range(5))
    assert total[np.arange(5), method.name_.numpy()].sum() == pytest.approx(best, abs=1e-6)
    for other in {"vote", "centroid", "sum"} - {score}:
        named = quick("cluster_vote", score=other).fit(unlabeled(pool)).name_
        assert total[np.arange(5), named.numpy()].sum() < best - 1e-3, "otherwise this could not distinguish them"


def test_image_outside_pool_gets_name_of_nearest_cluster():
    method, image = quick("kmeans_naming").fit(unlabeled(far_apart()[0])), unit_rows(40, SIZE, 6)
    method.name_[0] = -1
    cluster = (image @ method.mean_.T).argmax(dim=1)
    by_text = torch.log_softmax(method.task_.logit_scale * image @ method.text_.T, dim=1).clamp_min(-30)
    wanted = by_text - 30
    wanted[torch.arange(40), method.name_[cluster]] = 0
    wanted[cluster == 0] = by_text[cluster == 0]
    assert 0 < int((cluster == 0).sum()) < 40
    np.testing.assert_allclose(method.others(image, method.text_), wanted, atol=1e-4)


def test_pool_image_scores_match_assignment(monkeypatch):
    pool, _ = far_apart()
    method = quick("kmeans_naming").fit(unlabeled(pool))
    zero_shot = quick("zero_shot").fit(make_task())
    monkeypatch.setattr(method, "others", lambda image, text: torch.zeros(len(image), len(text)))
    kept = method.log_plan_[method.order_][:4]
    for move, learned in ((0.0, kept), (1e-6, kept), (1e-3, torch.zeros_like(kept))):
        image = pool[:4].clone()
        image[:, 0] += move
        before = zero_shot.scores(seen(image), OOP_VOCABULARY)
        own = method.task_.logit_scale * image @ method.text_.T
        found = method.scores(seen(image), OOP_VOCABULARY)
        np.testing.assert_allclose(found, add_to_fitted(before, learned - own, list(range(5))), atol=1e-4)


def test_restarts_are_sorted_by_inertia_for_any_batch_size(monkeypatch):
    pool = images(12, 20)[0][:, 0]
    found = kmeans(pool, 5, 6, torch.Generator().manual_seed(0))
    fit = [inertia(pool, each) for each in found]
    assert found.shape == (6, 60)
    assert fit == sorted(fit)
    noise = unit_rows(80, SIZE, 3)
    for each in kmeans(noise, 5, 6, torch.Generator().manual_seed(0)):
        centre = torch.stack([noise[each == c].mean(dim=0) for c in range(5)])
        assert torch.equal(torch.cdist(noise, centre).argmin(dim=1), each), "every image is nearest to its own mean"
    monkeypatch.setattr(_clustering, "BUDGET", 1)
    assert torch.equal(kmeans(pool, 5, 6, torch.Generator().manual_seed(0)), found)
    assert canonical_order(pool.flip(0)).flip(0).tolist() == (len(pool) - 1 - canonical_order(pool).flip(0)).tolist()


def test_kmeans_separates_rows_of_other_lengths():
    ray = unit_rows(2, SIZE, 1)[torch.arange(90) % 2] * torch.tensor([1.0, 5.0, 9.0]).repeat_interleave(30)[:, None]
    pool = ray + 0.05 * unit_rows(90, SIZE, 2)
    groups = kmeans(pool, 6, 4, torch.Generator().manual_seed(0))[0].reshape(3, 15, 2)
    assert len(groups.unique()) == 6
    assert (groups == groups[:, :1]).all()
    best, worst = (inertia(pool, each) for each in kmeans(pool, 6, 4, torch.Generator().manual_seed(0))[[0, -1]])
    assert best <= worst


def inertia(rows, cluster):
    centre = torch.stack([rows[cluster == c].mean(dim=0) for c in cluster.unique()])
    return round(float((rows - centre[torch.unique(cluster, return_inverse=True)[1]]).double().square().sum()), 4)


def test_clusters_fit_as_well_as_those_of_scikit_learn():
    label = torch.arange(24).repeat_interleave(20)
    ours, theirs = [], []
    for seed in range(4):
        image = F.normalize(unit_rows(24, SIZE, seed)[label] + 0.7 * unit_rows(len(label), SIZE, 50 + seed), dim=1)
        ours.append(inertia(image, kmeans(image, 24, 10, torch.Generator().manual_seed(seed))[0]))
        theirs.append(KMeans(24, n_init=10, random_state=seed).fit(image.double().numpy()).inertia_)
    assert sum(ours) < 1.01 * sum(theirs)


NOBODY = torch.zeros(0, SIZE), torch.zeros(0, dtype=torch.long)


@pytest.mark.parametrize("k", [1, 4, 17, 60, 80])
def test_ward_cuts_the_tree_of_scipy(k):
    pool = images(12, 20)[0][:, 0].clone()
    wanted = fcluster(linkage(pool.double().numpy(), "ward"), k, "maxclust")
    found = ward(pool, k, *NOBODY)
    assert found.shape == (1, 60)
    assert int(found.max()) + 1 == min(k, 60)
    assert adjusted_rand_score(found[0].numpy(), wanted) == 1.0


def test_ward_cut_counts_clusters_without_known_classes():
    image, label = far_apart()
    known = label > 2
    # Classes 3 and 4 are known; what merges with them joins the nearest of the two clusters that are left.
    found = ward(image.clone(), 2, image[known], label[known])[0]
    assert len(found.unique()) == 2
    free = ward(image[~known].clone(), 3, image[known], label[known])[0]
    assert adjusted_rand_score(free.numpy(), label[~known].numpy()) == 1.0
    one = ward(image[:1].clone(), 5, *NOBODY)
    assert one.tolist() == [[0]]
    same = image[:1].repeat(9, 1)  # all distances are equal
    assert ward(same, 3, *NOBODY).unique().tolist() == [0, 1, 2]


def test_whitening_is_inverse_root_of_within_class_covariance():
    label = torch.arange(4).repeat_interleave(6)
    image = F.normalize(unit_rows(4, SIZE, 1)[label] + 0.5 * unit_rows(24, SIZE, 2), dim=1)
    rows = image.double().numpy()
    inside = rows - np.stack([rows[label.numpy() == y].mean(axis=0) for y in label.tolist()])
    covariance = inside.T @ inside / 24
    shrunk = 0.7 * covariance + 0.3 * np.trace(covariance) / SIZE * np.eye(SIZE)
    seen = unit_rows(10, SIZE, 3)
    wanted = seen.double().numpy() @ np.linalg.inv(sqrtm(shrunk))
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(whitening(Support(image[:, None], label))(seen), wanted, atol=1e-4)
    alone = Support(image[::6, None], torch.arange(4))
    assert torch.equal(whitening(alone)(seen), seen), "one image of a class shows no spread"


def test_mean_shift_adds_the_mean_of_the_eight_nearest_others():
    rows = unit_rows(20, SIZE, 9)
    cosine = (rows @ rows.T).fill_diagonal_(-2)
    near = [rows[own.argsort(descending=True)[:8]].mean(dim=0) for own in cosine]
    np.testing.assert_allclose(mean_shift(rows, 1), F.normalize(rows + torch.stack(near), dim=1), atol=1e-6)
    two = F.normalize(rows[:2] + rows[:2].flip(0), dim=1)
    np.testing.assert_allclose(mean_shift(rows[:2], 1), two, atol=1e-6)


def test_mean_shift_brings_classes_together():
    image, label = far_apart()
    noisy = F.normalize(image + 0.5 * unit_rows(len(image), SIZE, 9), dim=1)

    def spread(rows):
        centre = cluster_means(rows, label[None], 5)[0]
        return float((rows * centre[label]).sum(dim=1).mean())

    assert torch.equal(mean_shift(noisy, 0), noisy)
    assert spread(mean_shift(noisy, 2)) > spread(noisy) + 0.02
    assert torch.equal(mean_shift(noisy[:1], 3), noisy[:1])
