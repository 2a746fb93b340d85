"""Every kind of text tower that open_clip has: its own features, and learned rows in the place of names."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.backbones.backbone import load, resolve
from harness.backbones.find import find
from harness.backbones.text import OpenClipTextTower
from harness.prompts import Piece, Prompt, Template, caption_prompt

from .families import families, small_config, small_model, small_tower

NAMES = ("ibex", "rose hip", "Père David's deer", "白鶴", "gen-2 fly")
PROMPTS = [Template().fill(name, "animal") for name in NAMES]
CLOSE = {"rtol": 0, "atol": 1e-6}
WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
LONG = " ".join([WORDS] * 6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@cache
def built(name: str, folder: Path) -> tuple[Any, Any, OpenClipTextTower]:
    model, tokenizer = small_model(name, folder)
    return model, tokenizer, small_tower(model, tokenizer)


@pytest.fixture(params=list(families()))
def family(request: pytest.FixtureRequest, folder: Path) -> tuple[Any, Any, OpenClipTextTower]:
    return built(request.param, folder)


@pytest.fixture
def tower(family: tuple[Any, Any, OpenClipTextTower]) -> OpenClipTextTower:
    return family[2]


def text(*pieces: str) -> Prompt:
    return Prompt(tuple(Piece(piece) for piece in pieces))


def own_rows(tower: OpenClipTextTower, *names: str) -> dict[str, Tensor]:
    return {name: tower.token_embedding(name) for name in names}


def test_features_equal_open_clip(family: tuple[Any, Any, OpenClipTextTower]) -> None:
    model, tokenizer, tower = family
    texts = [*(p.text for p in PROMPTS), "", "A  Photo\nof &amp; CAT!!", LONG]
    encoded = tower.encode([*PROMPTS, *map(text, texts[len(PROMPTS) :])])
    with torch.no_grad():
        expected = model.encode_text(tokenizer(texts), normalize=True)
    torch.testing.assert_close(encoded, expected, **CLOSE)
    assert torch.pdist(encoded[: len(PROMPTS)]).min() > 1e-5


def test_own_rows_of_names_give_the_frozen_features(tower: OpenClipTextTower) -> None:
    encoded = tower.encode(PROMPTS, own_rows(tower, *NAMES))
    torch.testing.assert_close(encoded, tower.encode(PROMPTS), **CLOSE)


def test_gradients_flow_into_used_rows_alone(family: tuple[Any, Any, OpenClipTextTower]) -> None:
    model, _, tower = family
    overrides = {name: rows.requires_grad_(True) for name, rows in own_rows(tower, *NAMES[:3]).items()}
    tower.encode(PROMPTS[:2], overrides)[:, 0].sum().backward()
    used, unused = [overrides[name].grad for name in NAMES[:2]], overrides[NAMES[2]].grad
    assert all(grad is not None and bool((grad.abs().sum(dim=1) > 0).all()) for grad in used)
    assert unused is None or not bool(unused.any())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_name_may_have_another_number_of_rows(tower: OpenClipTextTower, count: int) -> None:
    words = " ".join(["rose"] * count)
    encoded = tower.encode(PROMPTS[:1], {"ibex": tower.token_embedding(words)})
    torch.testing.assert_close(encoded, tower.encode([Template().fill(words, "animal")]), **CLOSE)


def test_rows_replace_every_occurrence_in_a_caption(tower: OpenClipTextTower) -> None:
    caption = caption_prompt("one ibex and two ibex, on a rock", "ibex")
    assert caption is not None
    encoded = tower.encode([caption] * 2, {"ibex": tower.token_embedding("red dog")})
    torch.testing.assert_close(encoded, tower.encode([text("one red dog and two red dog, on a rock")] * 2), **CLOSE)


@pytest.mark.parametrize("between", ["", " "])
def test_learned_contexts_may_stand_next_to_each_other(tower: OpenClipTextTower, between: str) -> None:
    prompt = Prompt((Piece("a "), Piece("", "first"), Piece(between), Piece("", "second"), Piece(" ibex.")))
    encoded = tower.encode([prompt], {"first": tower.token_embedding("photo"), "second": tower.token_embedding("of a")})
    torch.testing.assert_close(encoded, tower.encode([text("a photo of a ibex.")]), **CLOSE)


def test_a_learned_context_may_begin_a_prompt(tower: OpenClipTextTower) -> None:
    tokens = tower.tokenize([Prompt((Piece("", "context"), Piece(" ibex.")))], {"context": (3, 4)})
    start = int(tokens.slot[0, 1])
    assert tokens.slot.tolist() == [[0, start + i] for i in range(4)]
    assert tokens.row.tolist() == [3, 4, 5, 6]
    ids, name = tokens.ids[0, start + 4 :].tolist(), tower.token_ids("ibex")
    assert ids[: len(name)] == name


@pytest.mark.parametrize(("before", "after"), [(LONG, ""), ("", LONG), (LONG, LONG)])
def test_a_prompt_that_is_too_long_keeps_its_name(tower: OpenClipTextTower, before: str, after: str) -> None:
    prompt = Prompt((Piece(f"a {before} "), Piece("rose hip", "rose hip"), Piece(f" {after}")))
    own, frozen = own_rows(tower, "rose hip"), tower.encode([prompt])
    torch.testing.assert_close(tower.encode([prompt], own), frozen, **CLOSE)
    ids, name = tower.tokenize([prompt]).ids[0].tolist(), tower.token_ids("rose hip")
    assert len(ids) == tower.context_length
    assert sum(ids[i : i + len(name)] == name for i in range(len(ids))) == 1
    slots = tower.tokenize([prompt], {"rose hip": (0, 2)}).slot
    assert len(slots) == 2


def test_a_name_that_is_too_long_itself_is_cut_at_its_end(tower: OpenClipTextTower) -> None:
    tokens = tower.tokenize([Prompt((Piece("a photo of "), Piece("x", "x"), Piece(".")))], {"x": (0, 200)})
    assert tokens.ids.shape == (1, tower.context_length)
    assert tokens.row.tolist() == list(range(len(tokens.row)))
    assert tower.context_length - 3 <= len(tokens.row) < tower.context_length
    unused = tower.tokenize([text("a photo of")]).ids[0, 0]
    assert tokens.ids[0, int(tokens.slot[-1, 1]) + 1 :].numel() > 0
    assert int(tokens.slot[0, 1]) == 0 or tokens.ids[0, 0] == unused


@pytest.mark.parametrize(("name", "bias"), [("ViT-B-16-SigLIP2", -10), ("xlm-roberta-base-ViT-B-32", 0)])
def test_a_model_folder_with_its_tokenizer_learns_names(folder: Path, tmp_path: Path, name: str, bias: float) -> None:
    model, _, tower = built(name, folder)
    config = small_config(name, folder)
    shutil.copytree(config["text_cfg"]["hf_tokenizer_name"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.save(model.state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    found = find(f"local-dir:{tmp_path}", None)
    loaded = load(
        resolve(found, "fp32", lambda path: hashlib.sha256(path.read_bytes()).hexdigest()), torch.device("cpu")
    )
    assert loaded.logit_bias == bias
    encoded = loaded.text.encode(PROMPTS, own_rows(loaded.text, *NAMES))
    torch.testing.assert_close(encoded, tower.encode(PROMPTS), **CLOSE)


def test_slots_hold_no_mark_that_a_tower_searches_for(family: tuple[Any, Any, OpenClipTextTower]) -> None:
    _, tokenizer, tower = family
    tokens = tower.tokenize(PROMPTS, {name: (i, 1) for i, name in enumerate(NAMES)})
    held = set(tokens.ids[tuple(tokens.slot.T)].tolist())
    special = tokenizer.tokenizer.all_special_ids if hasattr(tokenizer, "tokenizer") else tokenizer.all_special_ids
    assert held.isdisjoint({0, *special})
