"""The text tower: open_clip's own features, with learned rows in the place of a name and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from harness.backbones.text import OpenClipTextTower
from harness.errors import BackboneError
from harness.prompts import Piece, Prompt, Template

from ..towers import CONFIGS, CUTS, make_model, make_tower, tokenizer

NAMES = ("ibex", "rose hip", "Père David's deer", "白鶴", "gen-2 fly")
PROMPTS = [Template().fill(name, "animal") for name in NAMES]
CLOSE = {"rtol": 0, "atol": 1e-5}
LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"

_models: dict[str, Any] = {}


def model_of(name: str) -> Any:
    if name not in _models:
        _models[name] = make_model(name)
    return _models[name]


@pytest.fixture(params=list(CONFIGS))
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tower(architecture: str) -> OpenClipTextTower:
    return make_tower(architecture, model_of(architecture))


@pytest.fixture
def clip() -> OpenClipTextTower:
    return make_tower("unit-clip", model_of("unit-clip"))


def theirs(architecture: str, texts: list[str], normalize: bool = True) -> Tensor:
    """What open_clip itself makes of texts."""
    with torch.no_grad():
        encoded: Tensor = model_of(architecture).encode_text(tokenizer(architecture)(texts), normalize=normalize)
    return encoded


def own_rows(tower: OpenClipTextTower, *names: str) -> dict[str, Tensor]:
    return {name: tower.token_embedding(name) for name in names}


def text(*pieces: str) -> Prompt:
    return Prompt(tuple(Piece(piece) for piece in pieces))


# -- frozen prompts ------------------------------------------------------------------------------------------------


def test_features_equal_open_clip(architecture: str, tower: OpenClipTextTower) -> None:
    texts = [*(p.text for p in PROMPTS), "", "A  Photo\nof &amp; CAT!!"]
    encoded = tower.encode([*PROMPTS, text(""), text("A  Photo\nof &amp; CAT!!")])
    torch.testing.assert_close(encoded, theirs(architecture, texts), **CLOSE)
    assert not encoded.requires_grad


def test_norms_are_those_before_normalization(architecture: str, tower: OpenClipTextTower) -> None:
    raw = theirs(architecture, [p.text for p in PROMPTS], normalize=False)
    torch.testing.assert_close(tower.norms(PROMPTS), raw.norm(dim=1), rtol=1e-5, atol=0)
    assert (raw.norm(dim=1) - 1).abs().min() > 0.1
    assert tower.norms([]).shape == (0,)


def test_long_texts_are_truncated_as_by_open_clip(architecture: str, tower: OpenClipTextTower) -> None:
    torch.testing.assert_close(tower.encode([text(LONG)]), theirs(architecture, [LONG]), **CLOSE)


def test_prompts_are_cached_until_the_cache_is_cleared(
    clip: OpenClipTextTower, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    forward = clip._forward
    monkeypatch.setattr(clip, "_forward", lambda ids, unit: (calls.append(len(ids)), forward(ids, unit))[1])
    first = clip.encode(PROMPTS[:2] + PROMPTS[:1])
    assert calls == [2]
    assert torch.equal(clip.encode(PROMPTS[1:2]), first[1:2])
    assert calls == [2]
    clip.encode(PROMPTS)
    assert calls == [2, 3]
    clip.clear_cache()
    clip.encode(PROMPTS[:1])
    assert calls == [2, 3, 1]


def test_prompts_with_the_same_tokens_have_identical_features(
    clip: OpenClipTextTower, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = [text("a Tabby Cat"), text("a tabby cat"), text(" A tabby  CAT ")]
    calls: list[int] = []
    forward = clip._forward
    monkeypatch.setattr(clip, "_forward", lambda ids, unit: (calls.append(len(ids)), forward(ids, unit))[1])
    before = clip.encode([same[0], PROMPTS[0]])[0]
    encoded = clip.encode([PROMPTS[1], *same, PROMPTS[2]])
    assert calls == [2, 2]
    assert all(torch.equal(row, before) for row in encoded[1:4])
    rows = clip.token_rows([*same, PROMPTS[0]]).tolist()
    assert rows[0] == rows[1] == rows[2] != rows[3]


def test_the_order_of_prompts_is_preserved(clip: OpenClipTextTower) -> None:
    encoded = clip.encode(PROMPTS)
    clip.encode(PROMPTS[3:4])
    assert torch.equal(clip.encode(PROMPTS[::-1]), encoded.flip(0))
    assert not torch.allclose(encoded[0], encoded[1], atol=1e-3)


def test_many_prompts_are_encoded_in_batches(clip: OpenClipTextTower) -> None:
    prompts = [Template().fill(f"thing {i}", "animal") for i in range(600)]
    torch.testing.assert_close(
        clip.encode(prompts)[[0, 300, 599]], theirs("unit-clip", [prompts[i].text for i in (0, 300, 599)]), **CLOSE
    )


def test_no_prompts_give_no_rows(tower: OpenClipTextTower) -> None:
    assert tower.encode([]).shape == (0, 24)


def test_the_same_long_text_around_another_name_is_another_prompt(clip: OpenClipTextTower) -> None:
    words = LONG.split()
    early = Prompt((Piece("one two ", None), Piece("three", "three"), Piece(" " + " ".join(words[3:]))))
    late = Prompt((Piece(" ".join(words[:-1]) + " "), Piece("sixteen", "sixteen")))
    assert early.text == late.text
    both = clip.encode([early, late])
    clip.clear_cache()
    torch.testing.assert_close(both, torch.cat([clip.encode([early]), clip.encode([late])]), **CLOSE)
    assert not torch.allclose(both[0], both[1], atol=1e-3)


# -- cutting the context -------------------------------------------------------------------------------------------


def test_the_context_is_cut_only_where_that_changes_nothing(architecture: str, tower: OpenClipTextTower) -> None:
    assert tower.cuts_context is (architecture in CUTS)
    longest = int(tower.tokenize(PROMPTS[:1]).ids.shape[1])
    assert longest < 16 if tower.cuts_context else longest == 16


@pytest.mark.parametrize("architecture", CUTS)
def test_a_cut_context_gives_the_uncut_features(tower: OpenClipTextTower) -> None:
    overrides = {name: rows.flip(1) for name, rows in own_rows(tower, *NAMES).items()}
    cut = tower.encode(PROMPTS), tower.encode(PROMPTS, overrides)
    tower.cuts_context = False
    tower.clear_cache()
    torch.testing.assert_close((tower.encode(PROMPTS), tower.encode(PROMPTS, overrides)), cut, **CLOSE)


# -- learned rows --------------------------------------------------------------------------------------------------


def test_the_frozen_rows_of_a_name_reproduce_its_features(tower: OpenClipTextTower) -> None:
    torch.testing.assert_close(tower.encode(PROMPTS, own_rows(tower, *NAMES)), tower.encode(PROMPTS), **CLOSE)


def test_rows_of_another_name_give_its_features(tower: OpenClipTextTower) -> None:
    swapped = tower.encode(PROMPTS[:1], {"ibex": tower.token_embedding("rose hip")})
    torch.testing.assert_close(swapped, tower.encode(PROMPTS[1:2]), **CLOSE)


def test_only_prompts_with_the_key_change(tower: OpenClipTextTower) -> None:
    plain = text("a photo of ibex, a type of animal.")
    prompts = [*PROMPTS[:2], plain]
    changed = tower.encode(prompts, {"ibex": tower.token_embedding("ibex").flip(1)})
    frozen = tower.encode(prompts)
    assert not torch.allclose(changed[0], frozen[0], atol=1e-3)
    torch.testing.assert_close(changed[1:], frozen[1:], **CLOSE)


def test_learned_rows_do_not_persist(tower: OpenClipTextTower) -> None:
    before = tower.encode(PROMPTS)
    tower.encode(PROMPTS, {"ibex": torch.ones(3, 32)})
    tower.clear_cache()
    assert torch.equal(tower.encode(PROMPTS), before)


def test_rows_replace_every_occurrence_of_the_key(clip: OpenClipTextTower) -> None:
    twice = Prompt((Piece("ibex", "ibex"), Piece(" and "), Piece("ibex", "ibex")))
    changed = clip.encode([twice], {"ibex": clip.token_embedding("rose")})
    torch.testing.assert_close(changed, clip.encode([text("rose and rose")]), **CLOSE)


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_a_name_may_have_any_number_of_rows(tower: OpenClipTextTower, count: int) -> None:
    words = " ".join(["rose"] * count)
    changed = tower.encode(PROMPTS[:1], {"ibex": tower.token_embedding(words)})
    expected = tower.encode([Template().fill(words, "animal")])
    torch.testing.assert_close(changed, expected, **CLOSE)


def test_gradients_reach_only_the_used_rows(tower: OpenClipTextTower, architecture: str) -> None:
    overrides = {name: rows.requires_grad_(True) for name, rows in own_rows(tower, "ibex", "rose hip", "白鶴").items()}
    encoded = tower.encode(PROMPTS[:2], overrides)
    encoded[:, 0].sum().backward()
    for name in ("ibex", "rose hip"):
        grad = overrides[name].grad
        assert grad is not None
        assert bool((grad.abs().sum(dim=1) > 0).all())
    unused = overrides["白鶴"].grad
    assert unused is None or not bool(unused.any())
    assert all(p.grad is None for p in model_of(architecture).parameters())


def test_gradients_agree_with_finite_differences(clip: OpenClipTextTower) -> None:
    rows = clip.token_embedding("ibex")
    direction = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))
    target = torch.randn(24, generator=torch.Generator().manual_seed(1))

    def value(at: Tensor) -> Tensor:
        return clip.encode(PROMPTS[:1], {"ibex": at})[0] @ target

    leaf = rows.clone().requires_grad_(True)
    value(leaf).backward()
    assert leaf.grad is not None
    step = 1e-2
    with torch.no_grad():
        slope = (value(rows + step * direction) - value(rows - step * direction)) / (2 * step)
    torch.testing.assert_close((leaf.grad * direction).sum(), slope, rtol=0.02, atol=1e-3)


def test_the_embedding_of_a_text_is_a_copy(clip: OpenClipTextTower) -> None:
    rows = clip.token_embedding("rose hip")
    before = rows.clone()
    rows += 1
    assert torch.equal(clip.token_embedding("rose hip"), before)
    assert rows.shape == (2, clip.width)
    assert clip.token_embedding("").shape == (0, clip.width)


# -- prompts that are too long ---------------------------------------------------------------------------------------


def around(before: str, name: str, after: str) -> Prompt:
    return Prompt((Piece(before), Piece(name, name), Piece(after)))


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(
    ("before", "after"), [(LONG, ""), ("", LONG), (LONG, LONG), ("a photo of ", LONG), (LONG, ", an animal.")]
)
def test_a_prompt_that_is_too_long_keeps_its_name(
    clip: OpenClipTextTower, before: str, after: str, learned: bool
) -> None:
    name = "rose hip"
    prompt = around(f"{before} ", name, f" {after}")
    table = {name: (5, 2)} if learned else {}
    tokens = clip.tokenize([prompt], table)
    ids = tokens.ids[0].tolist()
    assert len(ids) == clip.context_length
    filler, marks = clip.token_ids("x"), tokenizer("unit-clip")
    assert (ids[0], ids[-1]) == (marks.sot_token_id, marks.eot_token_id)
    wanted = filler * 2 if learned else clip.token_ids(name)
    places = [i for i in range(len(ids)) if ids[i : i + 2] == wanted]
    assert len(places) == 1
    if learned:
        assert tokens.slot.tolist() == [[0, places[0]], [0, places[0] + 1]]
        assert tokens.row.tolist() == [5, 6]


def test_truncation_removes_the_end_then_the_beginning(clip: OpenClipTextTower) -> None:
    words = LONG.split()
    first = clip.tokenize([around("one two ", "rose", " " + LONG)])
    assert first.ids.tolist() == clip.tokenize([text("one two rose " + " ".join(words[:11]))]).ids.tolist()
    then = clip.tokenize([around(LONG + " ", "rose", " red")])
    assert then.ids.tolist() == clip.tokenize([text(" ".join(words[3:]) + " rose")]).ids.tolist()


def test_a_name_that_is_too_long_itself_is_cut_at_its_end(clip: OpenClipTextTower) -> None:
    tokens = clip.tokenize([around("a photo of ", "x", ".")], {"x": (0, 40)})
    assert tokens.row.tolist() == list(range(14))
    assert tokens.ids.shape == (1, 16)
    assert clip.encode([around("a photo of ", "x", ".")], {"x": torch.zeros(40, 32)}).shape == (1, 24)


# -- towers that cannot be used ----------------------------------------------------------------------------------------


def test_a_tower_without_token_embedding_is_an_error() -> None:
    with pytest.raises(BackboneError, match="the text tower Linear has no token-embedding module"):
        OpenClipTextTower(torch.nn.Linear(2, 2), tokenizer("unit-clip"), torch.device("cpu"))
