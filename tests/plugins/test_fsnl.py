"""FSNL on a tiny random tower: it trains name embeddings only, for any support."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.backbones.text import OpenClipTextTower
from harness.types.images import Images
from harness.types.task import Support, Task
from harness.types.vocabulary import Vocabulary
from harness_plugins._name_tuning import NameEmbeddings
from harness_plugins.fsnl import FSNL
from harness_plugins.zero_shot import ZeroShot

from ..makers import unit_rows
from ..towers import CONFIGS, make_model, make_tower

NAMES = ("ibex", "rose hip", "great auk")
IP = ("cat", "rose", "ibex goat")
NOUN = "animal"
CAPTIONS = ("an {} in a garden", "the small {}, seen from above", None, "a bird on a rock", "{} and {}")


@pytest.fixture(scope="module")
def tower() -> OpenClipTextTower:
    return make_tower("unit-clip")


def make_task(
    tower: OpenClipTextTower,
    names: tuple[str, ...] = NAMES,
    shots: int = 4,
    views: int = 1,
    seed: int = 0,
    **support: Any,
) -> Task:
    """Images are around one direction per class; captions are present, missing and nameless in turn."""
    label = torch.arange(len(names)).repeat_interleave(shots)
    centres = unit_rows(len(names), 24, 5)
    noise = unit_rows(len(label) * views, 24, 6).reshape(len(label), views, 24)
    image = torch.nn.functional.normalize(centres[label][:, None] + 0.3 * noise, dim=2)
    texts = [CAPTIONS[i % len(CAPTIONS)] for i in range(len(label))]
    captions = tuple(t and t.replace("{}", names[y]) for t, y in zip(texts, label.tolist(), strict=True))
    values = {"features": image, "label": label, "captions": captions} | support
    return Task(
        _names=names,
        noun=NOUN,
        text=tower,
        logit_scale=10.0,
        generator=torch.Generator().manual_seed(seed),
        device=torch.device("cpu"),
        shots=shots,
        _support=Support(**values),
    )


def fit(task: Task, **parameters: Any) -> FSNL:
    task.text.clear_cache()  # type: ignore[attr-defined]
    return FSNL(**({"epochs": 3} | parameters)).fit(task)


def vocabulary(oop: tuple[str, ...] = NAMES, ip: tuple[str, ...] = ()) -> Vocabulary:
    return Vocabulary.of(NOUN, oop=oop, ip=ip)


def own_rows(tower: OpenClipTextTower, names: tuple[str, ...] = NAMES) -> Tensor:
    return torch.cat([tower.token_embedding(name) for name in names])


def support_accuracy(method: Any, task: Task) -> float:
    scores = method.scores(Images.of(task.support.features[:, 0]), task.vocabulary)
    return float((scores.argmax(dim=1) == task.support.label).float().mean())


# -- it learns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("caption_weight", [0.0, 0.5])
@pytest.mark.parametrize("architecture", list(CONFIGS))
def test_names_are_learned_with_every_tower(architecture: str, caption_weight: float) -> None:
    task = make_task(make_tower(architecture))
    method = fit(task, epochs=60, lr=0.05, caption_weight=caption_weight)
    assert support_accuracy(method, task) == 1.0
    assert support_accuracy(ZeroShot().fit(task), task) < 1.0


def test_without_a_learning_rate_nothing_changes(tower: OpenClipTextTower) -> None:
    task = make_task(tower)
    method = fit(task, lr=0.0)
    torch.testing.assert_close(method.names_.rows, own_rows(tower), rtol=0, atol=0)
    image = task.support.features[:, 0]
    zero_shot = ZeroShot().fit(task)
    torch.testing.assert_close(
        method.scores(Images.of(image), vocabulary(ip=IP)),
        zero_shot.scores(Images.of(image), vocabulary(ip=IP)),
        rtol=0,
        atol=1e-4,
    )


def test_only_the_rows_of_the_names_change() -> None:
    model = make_model("unit-clip")
    tower = make_tower("unit-clip", model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    task = make_task(tower)
    image, label = task.support.features.clone(), task.support.label.clone()
    method = fit(task)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(task.support.features, image)
    assert torch.equal(task.support.label, label)
    assert not torch.allclose(method.names_.rows, own_rows(tower), atol=1e-3)
    assert not method.names_.rows.requires_grad
    assert method.trainable() == own_rows(tower).numel()


def test_ip_names_score_exactly_as_zero_shot(tower: OpenClipTextTower) -> None:
    task = make_task(tower)
    image = unit_rows(9, 24, 3)
    method = fit(task)
    learned = method.scores(Images.of(image), vocabulary((), IP))
    tower.clear_cache()
    assert torch.equal(learned, ZeroShot().fit(task).scores(Images.of(image), vocabulary((), IP)))


def test_joint_scores_equal_scores_of_each_side(tower: OpenClipTextTower) -> None:
    method = fit(make_task(tower))
    image = unit_rows(9, 24, 3)
    parts = [method.scores(Images.of(image), v) for v in (vocabulary(), vocabulary((), IP))]
    joint = method.scores(Images.of(image), vocabulary(ip=IP))
    torch.testing.assert_close(joint, torch.cat(parts, dim=1), rtol=0, atol=1e-4)
    assert not joint.requires_grad


def test_ip_name_equal_to_oop_name_is_not_learned(tower: OpenClipTextTower) -> None:
    task = make_task(tower)
    method = fit(task)
    image = unit_rows(5, 24, 3)
    both = method.scores(Images.of(image), vocabulary(("ibex",), ("ibex",)))
    zero_shot = ZeroShot().fit(task).scores(Images.of(image), vocabulary(("ibex",), ("ibex",)))
    torch.testing.assert_close(both[:, 1], zero_shot[:, 1], rtol=0, atol=1e-4)
    assert not torch.allclose(both[:, 0], zero_shot[:, 0], atol=1e-2)


def test_unfitted_oop_name_scores_as_zero_shot(tower: OpenClipTextTower) -> None:
    task = make_task(tower)
    image = unit_rows(5, 24, 3)
    torch.testing.assert_close(
        fit(task).scores(Images.of(image), vocabulary(("dodo",))),
        ZeroShot().fit(task).scores(Images.of(image), vocabulary(("dodo",))),
    )


def test_columns_follow_vocabulary_order(tower: OpenClipTextTower) -> None:
    method = fit(make_task(tower))
    image = unit_rows(5, 24, 3)
    torch.testing.assert_close(
        method.scores(Images.of(image), vocabulary()), method.scores(Images.of(image), vocabulary(NAMES[::-1])).flip(1)
    )


# -- repeatable --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [{}, {"swap": "similar"}, {"init": "random"}, {"captions_per_class": None}])
def test_the_same_seed_gives_the_same_rows(tower: OpenClipTextTower, parameters: dict[str, Any]) -> None:
    rows = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed * 7)  # of no importance
        rows.append(fit(make_task(tower, views=2, seed=seed), **parameters).names_.rows)
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_refit_gives_same_result(tower: OpenClipTextTower) -> None:
    method = FSNL(epochs=2)
    first = method.fit(make_task(tower)).names_.rows
    assert torch.equal(method.fit(make_task(tower)).names_.rows, first)


def test_class_order_permutes_rows_only(tower: OpenClipTextTower) -> None:
    # One batch and no captions: nothing is drawn but the order of a sum.
    task = make_task(tower)
    k = len(NAMES)
    turned = make_task(
        tower,
        NAMES[::-1],
        features=task.support.features,
        label=k - 1 - task.support.label,
        captions=task.support.captions,
    )
    one, other = (fit(t, caption_weight=0.0, optimizer="sgd", lr=0.1) for t in (task, turned))
    for name in NAMES:
        torch.testing.assert_close(one.names_.overrides()[name], other.names_.overrides()[name], rtol=1e-3, atol=1e-4)


# -- every support -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("swap", ["random", "similar", "none"])
@pytest.mark.parametrize("captions_per_class", [None, 1, 2])
@pytest.mark.parametrize(
    "change",
    [
        {"names": NAMES[:1]},
        {"shots": 1},
        {"names": NAMES[:1], "shots": 1},
        {"captions": (None,) * 12},
        {"captions": ("nothing",) * 12},
        {"captions": ("", *("an ibex",) * 11)},
        {"captions": ("ibex",) * 4 + ("rose_hip", *(None,) * 7)},
        {"views": 3},
        {"shots": 9},
    ],
)
def test_any_support_size_can_be_fitted(
    tower: OpenClipTextTower, change: dict[str, Any], swap: str, captions_per_class: int | None
) -> None:
    task = make_task(tower, **change)
    method = fit(task, epochs=2, swap=swap, captions_per_class=captions_per_class)
    assert bool(torch.isfinite(method.names_.rows).all())
    assert method.scores(Images.of(unit_rows(2, 24)), task.vocabulary).shape == (2, len(task.names))


def test_class_without_readable_image_is_scored(tower: OpenClipTextTower) -> None:
    whole = make_task(tower).support
    kept = whole.label != 1
    captions = tuple(c for c, k in zip(whole.captions or (), kept.tolist(), strict=True) if k)
    task = make_task(tower, features=whole.features[kept], label=whole.label[kept], captions=captions)
    assert fit(task).scores(Images.of(unit_rows(2, 24)), vocabulary()).shape == (2, 3)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_paper_preset_runs(tower: OpenClipTextTower, optimizer: str) -> None:
    steps: list[tuple[int, int]] = []
    task = replace(make_task(tower, views=3), progress=lambda done, total: steps.append((done, total)))
    fit(task, **(dict(FSNL.presets["paper"]) | {"epochs": 3, "views": 3, "optimizer": optimizer}))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_the_papers_learning_rate() -> None:
    method = FSNL(**FSNL.presets["paper"])
    assert method._lr(0, 368) == 1e-5
    assert method._lr(1, 368) == pytest.approx(368 / 128 * 2e-4)
    assert method._lr(101, 368) == pytest.approx(368 / 128 * 1e-4)
    assert FSNL(lr=0.5)._lr(0, 368) == 0.5


# -- context swap ------------------------------------------------------------------------------------------------------


def swapped(tower: OpenClipTextTower, seed: int = 0, **parameters: Any) -> list[tuple[str, int]]:
    captions = ("red ibex", "blue ibex", "tall rose hip", "a rose hip, a rose hip", "old great auk", "no name")
    task = make_task(tower, shots=2, captions=captions, seed=seed)
    method = FSNL(**({"captions_per_class": None} | parameters))
    prompts, whose = method._swapped(task, torch.arange(6), method._located(task), lambda: unit_rows(3, 24))
    labels = task.support.label[whose].tolist()
    return [(prompt.text, label) for prompt, label in zip(prompts, labels, strict=True)]


def test_swapped_caption_has_own_name_and_other_context(tower: OpenClipTextTower) -> None:
    contexts = {0: ("red {}", "blue {}"), 1: ("tall {}", "a {}, a {}"), 2: ("old {}",)}
    seen = set()
    for seed in range(20):
        texts = swapped(tower, seed)
        assert [label for _, label in texts] == [0, 0, 1, 1, 2]
        for text, label in texts:
            allowed = {c.replace("{}", NAMES[label]) for other, cs in contexts.items() if other != label for c in cs}
            assert text in allowed
            seen.add(text)
    assert len(seen) == 3 + 3 + 4  # every context of every other class


def test_caption_without_swap_is_unchanged(tower: OpenClipTextTower) -> None:
    assert [text for text, _ in swapped(tower, swap="none")] == [
        "red ibex",
        "blue ibex",
        "tall rose hip",
        "a rose hip, a rose hip",
        "old great auk",
    ]


def test_similar_swap_takes_most_similar_class(tower: OpenClipTextTower) -> None:
    similarity = unit_rows(3, 24) @ unit_rows(3, 24).T
    for text, label in swapped(tower, swap="similar"):
        other = max((j for j in range(3) if j != label), key=lambda j: float(similarity[label, j]))
        words = {0: ("red", "blue"), 1: ("tall", "a "), 2: ("old",)}[other]
        assert text.startswith(words)


def test_captions_per_class_is_a_limit(tower: OpenClipTextTower) -> None:
    assert [label for _, label in swapped(tower, captions_per_class=1)] == [0, 1, 2]


# -- name embeddings ---------------------------------------------------------------------------------------------------


def test_embeddings_start_from_name_tokens(tower: OpenClipTextTower) -> None:
    names = NameEmbeddings(NAMES, make_task(tower))
    assert torch.equal(names.rows, own_rows(tower))
    assert list(names.table) == list(NAMES)
    for name, rows in names.overrides().items():
        assert torch.equal(rows, tower.token_embedding(name))


def test_a_fixed_length_repeats_or_cuts_the_tokens(tower: OpenClipTextTower) -> None:
    names = NameEmbeddings(("rose hip", "one two three four five"), make_task(tower), length=4)
    short, long = names.overrides().values()
    assert torch.equal(short, tower.token_embedding("rose hip rose hip"))
    assert torch.equal(long, tower.token_embedding("one two three four"))
    method = fit(make_task(tower), length=4)
    assert method.names_.rows.shape == (12, 32)
    assert method.trainable() == 12 * 32


def test_random_embeddings_have_table_deviation_and_task_seed(tower: OpenClipTextTower) -> None:
    many = tuple(f"thing {i}" for i in range(40))
    one, again, other = (
        NameEmbeddings(many, make_task(tower, many, shots=1, seed=seed), length=4, init="random").rows
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert float(one.std()) == pytest.approx(tower.embedding_std, rel=0.05)
