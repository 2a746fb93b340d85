"""Methods that decode or weigh the text's scores: Loki, zero-shot prompt ensembling, PerceptionCLIP."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from harness.cli.main import execute
from harness.errors import UserError
from harness.method import File
from harness_plugins.loki import Loki
from harness_plugins.perception import CONTEXTS, Perception
from harness_plugins.real_prompt import REALPrompt
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


# -- REAL-Prompt -------------------------------------------------------------------------------------------------------


def concept(name: str, folded: int, *synonyms: str) -> dict[str, object]:
    counts = {"phrase": 0, "folded": folded, "synonyms": 99, "longest": 99, "words": 99}
    return {"name": name, "synonyms": list(synonyms), "verdict": "ip", "within": counts}


def test_real_prompt_takes_the_most_frequent_synonym_and_of_equal_ones_the_name(write):
    red, oak, auk = NAMES
    record = [
        concept(red.upper(), 1, "kidney_bean", "haricot"),
        concept("kidney bean", 7, red),
        concept("haricot", 7),
        concept(oak, 3, "quercus"),
        concept("quercus", 3),
    ]
    method = REALPrompt(record=write({"corpus": "x", "concepts": record}))
    wanted = SCALE * QUERY @ prompts(("kidney bean", oak, auk, *IP)).T
    np.testing.assert_allclose(fitted_scores(method, NAMES, IP), wanted, rtol=1e-9)
    assert method.outcome() == {"replaced": 1}
    np.testing.assert_allclose(fitted_scores(REALPrompt()), SCALE * QUERY @ prompts(NAMES).T, rtol=1e-9)


def test_real_prompt_finds_names_with_accents_in_either_unicode_form(write):
    composed, decomposed = "pat\u00ea", "pate\u0302"
    record = [concept(decomposed, 1, "paste"), concept("paste", 2)]
    method = REALPrompt(record=write({"corpus": "x", "concepts": record}))
    names = (*NAMES[:2], composed)
    wanted = SCALE * QUERY @ prompts((*NAMES[:2], "paste")).T
    np.testing.assert_allclose(fitted_scores(method, names), wanted, rtol=1e-9)


def test_real_prompt_reads_what_corpus_count_writes(tmp_path, write):
    captions = ("a Penguin of the north", "two northern penguins", "an oak", "no bean at all")
    (tmp_path / "captions.txt").write_text("\n".join(captions))
    names = {NAMES[2]: ["northern penguin", "penguin"], "northern penguin": [], "penguin": [], NAMES[1]: []}
    (tmp_path / "names.json").write_text(json.dumps(names))
    out = tmp_path / "record.json"
    words = ("captions.txt", "--names", "names.json", "--corpus", "small", "--out", "record.json")
    assert execute(["corpus", "count", *(str(tmp_path / w) if "." in w else w for w in words)]) == 0
    wanted = SCALE * QUERY @ prompts((*NAMES[:2], "penguin")).T
    np.testing.assert_allclose(fitted_scores(REALPrompt(record=File(out))), wanted, rtol=1e-9)


@pytest.mark.parametrize(
    ("concepts", "sentence"),
    [
        ([concept("oak", 3, "quercus")], "no count of 'quercus', a synonym of 'oak'"),
        ([{"name": "oak", "verdict": "oop"}], "concepts.0.within"),
        ([{"name": 3}], "concepts.0"),
        (None, "concepts"),
    ],
)
def test_real_prompt_refuses_records_without_the_counts(write, concepts, sentence):
    with pytest.raises(UserError) as error:
        fitted_scores(REALPrompt(record=write({} if concepts is None else {"concepts": concepts})))
    assert sentence in error.value.message
    assert "each synonym is also a name" in error.value.hint
