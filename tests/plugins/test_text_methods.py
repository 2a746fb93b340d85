"""Methods that decode or weigh the text's scores: Loki, zero-shot prompt ensembling, PerceptionCLIP."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from harness.errors import UserError
from harness.method import File
from harness_plugins.loki import Loki
from harness_plugins.perception import CONTEXTS, Perception
from harness_plugins.zero_shot import TEMPLATES
from harness_plugins.zpe import OTHER, ZPE

from .numpy_formulas import (
    IP,
    KNOWN,
    NAMES,
    NOUN,
    QUERY,
    SCALE,
    fitted_scores,
    pool_task,
    probabilities,
    prompts,
    text_feature,
)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "given.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return File(path)

    return write


# -- Loki --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("names", "ip"), [(NAMES, ()), (NAMES, IP)])
def test_loki_minimises_the_expected_squared_distance(names, ip):
    text = prompts(names + ip)
    p = probabilities(SCALE / 2 * QUERY @ text.T)
    wanted = [[-sum(p[i, u] * ((text[u] - t) ** 2).sum() for u in range(len(text))) for t in text] for i in range(9)]
    np.testing.assert_allclose(fitted_scores(Loki(temperature=2.0), names, ip), wanted, rtol=1e-9)


def test_loki_predicts_oop_names_from_ip_names_alone():
    text, known = prompts(NAMES), prompts(IP)
    p = probabilities(SCALE * QUERY @ known.T)
    wanted = -p @ np.array([[((u - v) ** 2).sum() for v in text] for u in known])
    np.testing.assert_allclose(fitted_scores(Loki(observed="ip")), wanted, rtol=1e-9)


def test_loki_counts_edges_of_a_taxonomy(write):
    above = {"red bean": ["plant"], "oak": ["plant", "tree"], "great blue auk": ["animal", "bird"]}
    edges = np.array([[0, 3, 5], [3, 0, 6], [5, 6, 0]])
    p = probabilities(SCALE * QUERY @ prompts(NAMES).T)
    found = fitted_scores(Loki(taxonomy=write({name: ["thing", *rest] for name, rest in above.items()})))
    np.testing.assert_allclose(found, -p @ edges**2, rtol=1e-9)
    with pytest.raises(UserError, match="the taxonomy has no 'oak'"):
        fitted_scores(Loki(taxonomy=write({"red bean": []})))
    with pytest.raises(UserError, match=r"given\.json does not fit at oak: input should be a valid array"):
        fitted_scores(Loki(taxonomy=write({"oak": "plant"})))
    with pytest.raises(UserError, match=r"given\.json does not fit: invalid json"):
        fitted_scores(Loki(taxonomy=write("{")))


# -- zero-shot prompt ensembling ---------------------------------------------------------------------------------------


def template_scores(names=NAMES):
    """Template -> (k, d) text features."""
    texts = dict.fromkeys(t.text for t in (pool_task().template, *TEMPLATES, *OTHER))
    return {t: np.stack([text_feature(t.format(name=name, noun=NOUN)) for name in names]) for t in texts}


@pytest.mark.parametrize("bias", ["both", "pool", "ip"])
def test_zpe_weighs_templates_by_their_normalised_best_scores(bias):
    total, scores = 0.0, []
    for text in template_scores().values():
        each = {"pool": SCALE * QUERY @ text.T, "ip": SCALE * KNOWN @ text.T}
        means = [each[part].mean(axis=0) for part in (("pool", "ip") if bias == "both" else (bias,))]
        scores.append(np.mean([(row - sum(means) / len(means)).max() for row in each["pool"]]))
    weights = np.exp(scores) / np.exp(scores).sum()
    for weight, text in zip(weights, template_scores(NAMES + IP).values(), strict=True):
        total = total + weight * SCALE * QUERY @ text.T
    method = ZPE(bias=bias)
    np.testing.assert_allclose(fitted_scores(method, NAMES, IP), total, rtol=1e-9)
    assert sum(method.outcome()["weights"].values()) == pytest.approx(1, abs=1e-2)


def test_zpe_selects_outliers_and_falls_back_to_all():
    method = ZPE(select=1.0)
    found, score = fitted_scores(method), method.score_.numpy()
    middle = np.median(score)
    chosen = (score - middle) / np.median(abs(score - middle)) > 1
    assert 0 < chosen.sum() < len(chosen)
    texts = list(template_scores().values())
    wanted = np.mean([SCALE * QUERY @ t.T for t, taken in zip(texts, chosen, strict=True) if taken], axis=0)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    wanted = np.mean([SCALE * QUERY @ t.T for t in texts], axis=0)
    np.testing.assert_allclose(fitted_scores(ZPE(select=1e6)), wanted, rtol=1e-9)


def test_zpe_has_clips_templates_too():
    assert len(ZPE(templates="all").fit(pool_task()).templates_) > 80


# -- PerceptionCLIP ----------------------------------------------------------------------------------------------------

GIVEN = {"view": {"near": ["near", "so near"], "none": [""]}, "light": {"dark": ["dark"], "none": [""]}}


@pytest.mark.parametrize("infer", ["names", "alone"])
def test_perception_sums_over_contexts(write, infer):
    views, lights = [list(values.values()) for values in GIVEN.values()]
    f, alone = [], []
    for view, light in itertools.product(views, lights):
        texts = [", ".join(filter(None, words)) for words in itertools.product(view, light)]

        def mean(name, texts=texts):
            full = [f"a photo of {name}, a type of {NOUN}{', ' + t if t else ''}." for t in texts]
            rows = np.mean([text_feature(t) for t in full], axis=0)
            return rows / np.linalg.norm(rows)

        f.append(SCALE * QUERY @ np.stack([mean(name) for name in NAMES]).T)
        alone.append(SCALE * QUERY @ mean(NOUN))
    p = np.exp(np.stack(f) / 2).sum(axis=2) if infer == "names" else np.exp(np.stack(alone) / 2)
    p = p / p.sum(axis=0)
    wanted = sum(share[:, None] * probabilities(scores) for share, scores in zip(p, f, strict=True))
    found = fitted_scores(Perception(contexts=write(GIVEN), infer=infer, temperature=2.0))
    np.testing.assert_allclose(np.exp(found), wanted, rtol=1e-9)


def test_perception_refuses_contexts_without_wordings(write):
    assert Perception().fit(pool_task()).outcome() == {"contexts": 9}
    assert all("none" in values for values in CONTEXTS.values())
    for content in ({"view": {}}, {"view": {"near": []}}):
        with pytest.raises(UserError, match="a factor without values, or a value without wordings"):
            Perception(contexts=write(content)).fit(pool_task())
    with pytest.raises(UserError, match=r"given\.json does not fit at view\.near\.0: input should be a valid string"):
        Perception(contexts=write({"view": {"near": [1]}})).fit(pool_task())
