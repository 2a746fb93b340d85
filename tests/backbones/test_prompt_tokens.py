"""Prompts as tokens: what the tokenizer itself makes of a text, whatever its start, end, class and padding tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip.tokenizer import HFTokenizer, SigLipTokenizer, SimpleTokenizer
from torch import Tensor

from harness.backbones import prompt_tokens
from harness.backbones.prompt_tokens import PromptTokenizer, prompt_tokenizer
from harness.errors import BackboneError
from harness.prompts import Piece, Prompt, Template

from .families import TOKENIZERS, save_tokenizer

CPU = torch.device("cpu")
TEXTS = [
    "a photo of ibex, a type of animal.",
    "",
    "Père David's deer & 白鶴",
    'the "ibex" (dog) cat',
    "  A  Photo\nof &amp; CAT!! ",
    " ".join(["a photo of a red rose and one dog"] * 8),
]


def text(value: str) -> Prompt:
    return Prompt((Piece(value),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizers")


def _make(kind: str, folder: Path, **options: Any) -> Any:
    return HFTokenizer(str(save_tokenizer(kind, folder)), context_length=40, **options)


VARIANTS = [*TOKENIZERS, "SimpleTokenizer", "separators removed", "class token last", "padded left", "SigLipTokenizer"]


@pytest.fixture(scope="module", params=VARIANTS)
def theirs(request: pytest.FixtureRequest, folder: Path) -> Iterator[Any]:
    """A tokenizer of open_clip."""
    variant = request.param
    if variant == "SimpleTokenizer":
        yield SimpleTokenizer(context_length=40)
    elif variant == "separators removed":
        yield _make("bert", folder, strip_sep_token=True)
    elif variant == "class token last":
        yield _make("xlm", folder, tokenizer_mode="clips")
    elif variant == "padded left":
        yield _make("SigLIP2", folder, padding_side="left", clean="canonicalize")
    elif variant == "SigLipTokenizer":
        made = SigLipTokenizer.__new__(SigLipTokenizer)  # its constructor downloads
        made.tokenizer, made.context_length = _make("SigLIP", folder).tokenizer, 40
        yield made
    else:
        yield _make(variant, folder, clean="canonicalize" if variant.startswith("SigLIP") else "whitespace")


@pytest.fixture(scope="module")
def ours(theirs: Any) -> PromptTokenizer:
    return prompt_tokenizer(theirs, theirs.context_length)


def ids(ours: PromptTokenizer, *prompts: Prompt, **table: tuple[int, int]) -> Tensor:
    return ours.tokenize(prompts, table, True, CPU).ids


@pytest.mark.parametrize("value", TEXTS)
def test_a_text_has_the_tokens_of_its_tokenizer(theirs: Any, ours: PromptTokenizer, value: str) -> None:
    assert ids(ours, text(value)).tolist() == theirs([value]).tolist()


@pytest.mark.parametrize("name", ["ibex", "rose hip", "白鶴", "Père David's deer"])
@pytest.mark.parametrize("template", ["a photo of {name}, a {noun}.", "one {name}", "({noun}) the {name}: a photo"])
def test_tokens_of_a_name_fill_its_slots_exactly(ours: PromptTokenizer, name: str, template: str) -> None:
    prompt, own = Template(template).fill(name, "animal"), ours.token_ids(name)
    tokens = ours.tokenize([prompt], {name: (0, len(own))}, True, CPU)
    tokens.ids[tuple(tokens.slot.T)] = torch.tensor(own)
    assert tokens.ids.tolist() == ids(ours, text(prompt.text)).tolist()


def test_a_name_next_to_punctuation_has_its_slots(ours: PromptTokenizer) -> None:
    prompt = Prompt((Piece('a photo of "'), Piece("ibex", "ibex"), Piece('" ('), Piece("ibex", "ibex"), Piece(")")))
    tokens = ours.tokenize([prompt], {"ibex": (4, 2)}, True, CPU)
    assert tokens.row.tolist() == [4, 5, 4, 5]


def test_prompts_that_are_too_long_lose_their_end_then_their_beginning(ours: PromptTokenizer) -> None:
    words = ["dog", "red", "a"] * 40
    name = Piece("two", "two")
    places = ours.tokenize([Prompt((Piece("x", "x"),))], {"x": (0, 99)}, True, CPU).slot[:, 1].tolist()
    room = len(places)
    end = Prompt((Piece("one of "), name, Piece(" " + " ".join(words))))
    assert ids(ours, end).tolist() == ids(ours, text(f"one of two {' '.join(words[: room - 3])}")).tolist()
    start = Prompt((Piece(" ".join(words) + " "), name, Piece(" cat")))
    kept = ids(ours, start)[0, places].tolist()
    assert kept == [*ours.token_ids(" ".join(words)), *ours.token_ids("two")][-room:]


def test_a_known_prompt_takes_the_rows_of_the_table_at_hand(
    ours: PromptTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_tokens, "_MOST_ROWS", 2)
    prompts = [Template("a photo of {name}").fill(name, "animal") for name in ("ibex", "dog", "ibex")]
    for table, rows in (({"ibex": (0, 2)}, [0, 1, 0, 1]), ({"ibex": (4, 1), "dog": (0, 1)}, [4, 0, 4]), ({}, [])):
        tokens = ours.tokenize(prompts, table, False, CPU)
        assert tokens.row.tolist() == rows
        assert tokens.slot[:, 0].tolist() == [
            b for b, p in enumerate(("ibex", "dog", "ibex")) if p in table for _ in range(table[p][1])
        ]
        assert torch.equal(tokens.ids[0], tokens.ids[2])


def test_a_tokenizer_without_common_words_is_an_error() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    made = HFTokenizer.__new__(HFTokenizer)
    model = tokenizers.models.WordPiece({"[UNK]": 0, "白": 1, "dog": 2}, unk_token="[UNK]")
    made.tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(model), unk_token="[UNK]", pad_token="[UNK]"
    )
    made.tokenizer_mode, made.context_length, made.clean_fn, made.strip_sep_token = "", 16, str.strip, False
    with pytest.raises(BackboneError, match="fewer than two of the words dog, cat"):
        prompt_tokenizer(made, 16).tokenize([text("白")], {}, True, CPU)
