"""How prompts become tokens, with slots for learned rows, for CLIP's own tokenizer and for Hugging Face's.

CLIP's tokenizer splits text at spaces and punctuation, so the pieces of a prompt are tokenized one by one. Other
tokenizers treat a word differently at the beginning of a text, after a space and after a quotation mark. There the
whole prompt is tokenized twice, with two different placeholder words in the place of the learned pieces: the tokens
that differ are the slots. The same comparison shows where the tokenizer puts the text among its start, end, class and
padding tokens, so none of these needs to be known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from harness.backbones import openclip
from harness.backbones.tokens import Part, Tokens, truncate
from harness.errors import BackboneError
from harness.prompts import Piece, Prompt

Table = Mapping[str, tuple[int, int]]
"""Key of a piece -> (first row, number of rows) of the learned table."""

_PLACEHOLDERS = ("dog", "cat", "red", "two", "one", "photo", "the", "of", "a", "x", "q", "z")
"""Words that most vocabularies have as one token; the first two that a tokenizer has are used."""

_MOST_ROWS = 10_000
"""Prompts whose tokens are kept; a prompt takes about 1 KiB."""


class _Row(NamedTuple):
    """The tokens of a prompt, the positions of its slots, and the rows of the learned table that they take."""

    ids: list[int]
    slots: list[int]
    sources: list[int]


def prompt_tokenizer(tokenizer: Any, context_length: int) -> PromptTokenizer:
    """Wrap an open_clip tokenizer for prompts of at most ``context_length`` tokens."""
    own = hasattr(tokenizer, "sot_token_id")
    return (
        ClipPromptTokenizer(tokenizer, context_length) if own else HuggingFacePromptTokenizer(tokenizer, context_length)
    )


class PromptTokenizer(ABC):
    """Turns prompts into tokens.

    Attributes:
        context_length: maximum number of tokens of a prompt, start and end token included.
        eot: id of the end token of a prompt; -1 if the tokens after the text are not a single end token.
    """

    eot: int = -1

    def __init__(self, tokenizer: Any, context_length: int) -> None:
        self._tokenizer = tokenizer
        self.context_length = context_length
        self._known: dict[str, list[int]] = {}
        self._rows: dict[tuple[Prompt, tuple[tuple[int, int] | None, ...]], _Row] = {}

    def token_ids(self, text: str) -> list[int]:
        """The token ids of a text of any length as it stands inside a prompt, without start and end token."""
        if text not in self._known:  # name learning encodes the same pieces at every step
            self._known[text] = self._inner_ids(text)
        return self._known[text]

    def tokenize(self, prompts: Sequence[Prompt], table: Table, whole: bool, device: torch.device) -> Tokens:
        """Tokenize prompts; pieces with a key of ``table`` become slots for learned rows.

        Args:
            prompts: b prompts.
            table: the learned pieces.
            whole: pad to the context length instead of to the longest prompt.
            device: device of the encoder.

        A prompt that is too long loses tokens at its end, then at its beginning; a keyed piece (the name) is cut last.
        """
        rows = [self._row(prompt, table) for prompt in prompts]
        count = np.array([len(row.ids) for row in rows], dtype=np.int64)
        length = self.context_length if whole else int(count.max(initial=0)) or 2
        ids = np.zeros((len(rows), length), dtype=np.int64)
        ids[np.arange(length) < count[:, None]] = _joined(row.ids for row in rows)
        of_prompt = np.repeat(np.arange(len(rows)), [len(row.slots) for row in rows])
        slot = np.stack([of_prompt, _joined(row.slots for row in rows)], axis=1)
        sources = _joined(row.sources for row in rows)
        ids_, slot_, source = (torch.from_numpy(array) for array in (ids, slot, sources))
        return Tokens(ids_, slot_, source, self.eot, device)

    def _row(self, prompt: Prompt, table: Table) -> _Row:
        learned = tuple(table.get(piece.key) for piece in prompt.pieces if piece.key is not None)
        key = prompt, learned
        if key not in self._rows:  # name learning encodes the prompts of all names at every step
            if len(self._rows) >= _MOST_ROWS:
                self._rows.clear()
            self._rows[key] = self._new_row(prompt, table)
        return self._rows[key]

    def _new_row(self, prompt: Prompt, table: Table) -> _Row:
        parts = truncate(self._parts(prompt, table), self._room)
        before, after = self._frame(sum(len(ids) for ids, _ in parts))
        ids, slots, sources = [*before], list[int](), list[int]()
        for part, first in parts:
            if first >= 0:
                slots += range(len(ids), len(ids) + len(part))
                sources += range(first, first + len(part))
            ids += part
        return _Row([*ids, *after], slots, sources)

    def _parts(self, prompt: Prompt, table: Table) -> list[Part]:
        if any(piece.key in table for piece in prompt.pieces if piece.key is not None):
            return self._split(prompt, table)
        ids = self._whole_ids(prompt.text)  # no learned rows: tokenized as one text, as usual
        return [(ids, -1)] if len(ids) <= self._room else self._split(prompt, None)

    def _part(self, piece: Piece, table: Table | None) -> Part:
        if table is None:  # a prompt that is too long: its names are kept
            return self.token_ids(piece.text), -2 if piece.key else -1
        if piece.key is not None and piece.key in table:
            first, count = table[piece.key]
            return [self._filler] * count, first
        return self.token_ids(piece.text), -1

    @abstractmethod
    def _inner_ids(self, text: str) -> list[int]:
        """Token ids of a text inside a prompt."""

    @abstractmethod
    def _whole_ids(self, text: str) -> list[int]:
        """Token ids of a text that is a whole prompt."""

    @abstractmethod
    def _split(self, prompt: Prompt, table: Table | None) -> list[Part]:
        """The tokens of a prompt in parts; a part of its own for every key of the table, or for every key if None."""

    @property
    @abstractmethod
    def _room(self) -> int:
        """Maximum number of tokens of a text."""

    @abstractmethod
    def _frame(self, count: int) -> tuple[list[int], list[int]]:
        """The tokens before and after a text of ``count`` tokens."""

    @property
    @abstractmethod
    def _filler(self) -> int:
        """Token id of a slot: neither padding nor a token that towers search for (the end token, the largest id)."""


class ClipPromptTokenizer(PromptTokenizer):
    """Prompts for open_clip's ``SimpleTokenizer``; padding is zero."""

    def __init__(self, tokenizer: Any, context_length: int) -> None:
        super().__init__(tokenizer, context_length)
        self.eot = int(tokenizer.eot_token_id)

    def _inner_ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text))

    def _whole_ids(self, text: str) -> list[int]:
        return self.token_ids(text)

    def _split(self, prompt: Prompt, table: Table | None) -> list[Part]:
        return [self._part(piece, table) for piece in prompt.pieces]

    @property
    def _room(self) -> int:
        return self.context_length - 2

    def _frame(self, count: int) -> tuple[list[int], list[int]]:
        return [self._tokenizer.sot_token_id], [self.eot]

    @property
    def _filler(self) -> int:
        return self.token_ids("x")[0]


class HuggingFacePromptTokenizer(PromptTokenizer):
    """Prompts for open_clip's ``HFTokenizer`` and ``SigLipTokenizer``, padded by them to the context length."""

    def __init__(self, tokenizer: Any, context_length: int) -> None:
        super().__init__(tokenizer, context_length)
        self._clean = getattr(tokenizer, "clean_fn", openclip.canonicalize)  # SigLipTokenizer has no attribute for it
        self._gaps: dict[tuple[str | None, ...], list[list[int]]] = {}
        self._frames: dict[int, tuple[list[int], list[int]]] = {}

    def _encode(self, text: str) -> list[int]:
        """Token ids of a text of any length after clean-up, without start, end and padding."""
        encoded = self._tokenizer.tokenizer(self._clean(text), add_special_tokens=False, verbose=False)
        return list(encoded["input_ids"])

    def _inner_ids(self, text: str) -> list[int]:
        word = self._placeholders[0]
        return self._encode(f"{word} {text} {word}")[1:-1]

    def _whole_ids(self, text: str) -> list[int]:
        return self._encode(text)

    def _split(self, prompt: Prompt, table: Table | None) -> list[Part]:
        own = [piece for piece in prompt.pieces if piece.key is not None and (table is None or piece.key in table)]
        texts = tuple(None if piece in own else piece.text for piece in prompt.pieces)
        if texts not in self._gaps:
            self._gaps[texts] = self._text_between(texts)
        first, *rest = self._gaps[texts]
        parts: list[Part] = [(first, -1)]
        for piece, ids in zip(own, rest, strict=True):
            parts += [self._part(piece, table), (ids, -1)]
        return parts

    def _text_between(self, texts: tuple[str | None, ...]) -> list[list[int]]:
        """Token ids of the text before, between and after the n pieces that are None: n + 1 lists."""
        count = texts.count(None)
        for spaced in (False, True):  # a quotation mark and the placeholder after it may be one token
            one, other = (self._encode(_fill(texts, word, spaced)) for word in self._placeholders)
            places = _differences(one, other)
            if len(places) == count:
                edges = [-1, *places, len(one)]
                return [one[start + 1 : end] for start, end in pairwise(edges)]
        raise BackboneError(
            f"the tokenizer {type(self._tokenizer).__name__} merges a name with the words around it in "
            f"{_fill(texts, '[name]', spaced=False)!r}",
            "use another template",
        )

    @cached_property
    def _room(self) -> int:
        return len(self._framed(2 * self.context_length)[1])

    def _frame(self, count: int) -> tuple[list[int], list[int]]:
        if count not in self._frames:
            ids, places = self._framed(count)
            if count:
                self._frames[count] = ids[: places[0]], ids[places[-1] + 1 :]
            else:
                self._frames[count] = [], ids
        return self._frames[count]

    def _framed(self, count: int) -> tuple[list[int], list[int]]:
        """The tokenized text of ``count`` placeholders, and where they are."""
        texts = [" ".join([word] * count) for word in self._placeholders]
        one, other = self._tokenizer(texts).tolist()
        return one, _differences(one, other)

    @cached_property
    def _placeholders(self) -> tuple[str, str]:
        """Two words of one token each, the one with the smaller id first."""
        special = set(self._tokenizer.tokenizer.all_special_ids)
        words: dict[int, str] = {}
        for word in _PLACEHOLDERS:
            ids = self._encode(f"{word} {word}")
            if len(ids) == 2 and not special.intersection(ids):
                words.setdefault(ids[1], word)
            if len(words) == 2:
                one, other = sorted(words)
                return words[one], words[other]
        raise BackboneError(
            f"prompts cannot be tokenized with the tokenizer {type(self._tokenizer).__name__}: "
            f"it has fewer than two of the words {', '.join(_PLACEHOLDERS)}",
            "use another backbone",
        )

    @cached_property
    def _filler(self) -> int:
        word = self._placeholders[0]
        return self._encode(f"{word} {word}")[1]


def _joined(parts: Iterable[list[int]]) -> NDArray[np.int64]:
    return np.fromiter(chain.from_iterable(parts), dtype=np.int64)


def _differences(one: list[int], other: list[int]) -> list[int]:
    """Positions where two lists of the same length differ; none if their lengths differ."""
    same = len(one) == len(other)
    return [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b] if same else []


def _fill(texts: Sequence[str | None], word: str, spaced: bool) -> str:
    """The text with a word for every None, separated from letters and from other such words, or always if spaced."""
    filled, after_word = "", False
    for text in texts:
        part = word if text is None else text
        if filled and part and (after_word or text is None) and (spaced or (filled[-1] + part[0]).isalnum()):
            filled += " "
        filled += part
        after_word = text is None if part else after_word
    return filled
