"""FuDD and CaSED against plain formulas in float64."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from harness.errors import UserError
from harness.method import File
from harness.types.images import Images
from harness_plugins.cased import CaSED
from harness_plugins.fudd import FuDD

from ..makers import unit_rows
from .numpy_formulas import NAMES, NOUN, SCALE, SIZE, plain_task, text_feature

TEXTS = {
    "red bean": ("a small seed", "red and smooth", "it is a plant"),
    "oak": ("a tall tree", "green leaves in summer", "it is a plant", "acorns"),
    "great blue auk": ("a bird at sea", "it has feathers"),
}


def task64():
    return replace(plain_task(), _texts=TEXTS)


def softmax(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def normalise(row):
    return row / np.linalg.norm(row)


def prompts(task):
    return np.stack([text_feature(task.template.fill(name, NOUN).text) for name in NAMES])


QUERY = unit_rows(6, SIZE, 3).double()


# -- fudd --------------------------------------------------------------------------------------------------------------


def pair_features(pairs, count):
    """Features of the texts that set one name apart from another."""
    if pairs is not None:
        return lambda a, b: [text_feature(text) for text in pairs.get(a, {}).get(b, ())]
    rows = {name: [text_feature(text) for text in texts] for name, texts in TEXTS.items()}

    def least_like(a, b):
        other = normalise(np.mean(rows[b], axis=0))
        return sorted(rows[a], key=lambda row: row @ other)[: count(len(rows[a]))]

    return least_like


PAIRS = {
    "red bean": {"oak": ["it is a seed", "it is red"], "great blue auk": ["it is a seed", "it is a plant"]},
    "great_blue auk": {"oak": ["it can fly"], "red bean": ["it has a beak"]},
}


@pytest.mark.parametrize("candidates", [2, 3])
@pytest.mark.parametrize("source", ["sentences", "file"])
def test_fudd_ranks_candidates_by_texts_of_pairs(tmp_path, candidates, source):
    task, how = task64(), {}
    features = pair_features(None, lambda n: max(1, n // 2))
    if source == "file":
        (tmp_path / "pairs.json").write_text(json.dumps(PAIRS))
        how["pairs"] = File(tmp_path / "pairs.json")
        pairs = {name.replace("_", " "): others for name, others in PAIRS.items()}
        plain = pair_features(pairs, None)
        prompt = dict(zip(NAMES, prompts(task), strict=True))
        features = lambda a, b: plain(a, b) or [prompt[a]]  # noqa: E731 - a pair without texts has the prompt
    base, expected = SCALE * QUERY.numpy() @ prompts(task).T, []
    for x, row in zip(QUERY.numpy(), base, strict=True):
        top = np.argsort(-row)[:candidates]
        again = {}
        for a in top:
            texts = [text for b in top if b != a for text in features(NAMES[a], NAMES[b])]
            again[a] = SCALE * x @ normalise(np.unique(texts, axis=0).sum(axis=0))  # each text once
        shift = np.log(np.exp(row[top]).sum()) - np.log(np.exp(list(again.values())).sum())
        expected.append([again[a] + shift if a in again else row[a] for a in range(3)])
    method = FuDD(candidates=candidates, **how).fit(task)
    assert method.needs.texts == (source == "sentences")
    np.testing.assert_allclose(method.scores(Images.of(QUERY), task.vocabulary), expected, rtol=1e-9)


def test_fudd_with_one_candidate_is_zero_shot():
    task = task64()
    found = FuDD(candidates=1).fit(task).scores(Images.of(QUERY), task.vocabulary)
    np.testing.assert_allclose(found, SCALE * QUERY.numpy() @ prompts(task).T, rtol=1e-9)


def test_fudd_refuses_a_file_of_another_form(tmp_path):
    (tmp_path / "pairs.json").write_text('{"oak": ["a tree"]}')
    with pytest.raises(UserError, match=r"pairs.json does not fit at oak") as error:
        FuDD(pairs=File(tmp_path / "pairs.json")).fit(task64())
    assert "other name" in error.value.hint


# -- cased -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["sentences", "file"])
@pytest.mark.parametrize("nearest", [1, 3, 99])
def test_cased_mixes_image_and_retrieved_texts(tmp_path, source, nearest):
    task, how = task64(), {}
    lines = {text for texts in TEXTS.values() for text in texts}
    if source == "file":
        (tmp_path / "words.txt").write_text("seed\n\ntall tree\n bird \nseed\nacorn\n")
        lines, how["words"] = {"seed", "tall tree", "bird", "acorn"}, File(tmp_path / "words.txt")
    rows = np.stack([text_feature(line) for line in lines])
    text, retrieved = prompts(task), []
    for x in QUERY.numpy():
        near = np.argsort(-(rows @ x))[:nearest]
        retrieved.append(normalise(rows[near].mean(axis=0)))
    mixed = 0.6 * softmax(SCALE * QUERY.numpy() @ text.T) + 0.4 * softmax(SCALE * np.stack(retrieved) @ text.T)
    method = CaSED(nearest=nearest, alpha=0.6, **how).fit(task)
    assert method.needs.texts == (source == "sentences")
    np.testing.assert_allclose(method.scores(Images.of(QUERY), task.vocabulary), np.log(mixed), rtol=1e-9)


def test_cased_refuses_an_empty_list(tmp_path):
    (tmp_path / "words.txt").write_text("\n \n")
    with pytest.raises(UserError, match="no word to retrieve"):
        CaSED(words=File(tmp_path / "words.txt")).fit(task64())
