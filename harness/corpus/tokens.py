"""The context length: how much of a caption CLIP's tokenizer keeps.

The byte-pair encoding (Sennrich et al., 2016) is that of CLIP (Radford et al., 2021), with open_clip's vocabulary.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from harness.errors import UserError
from harness.files import read_file

MARGIN = 2
"""Positions of the start and the end token."""

_MERGES = 49152 - 256 - 2
_SPECIAL = ("<start_of_text>", "<end_of_text>")


@cache
def merges() -> tuple[tuple[str, str], ...]:
    """The merges of CLIP's vocabulary, the most frequent first, in the characters that stand for bytes.

    Raises:
        UserError: open_clip is not installed.
    """
    found = find_spec("open_clip")
    if found is None or found.origin is None:
        raise UserError("open_clip is not installed, and CLIP's vocabulary with it", "pip install open_clip_torch")
    content = read_file(Path(found.origin).with_name("bpe_simple_vocab_16e6.txt.gz"))
    with gzip.open(io.BytesIO(content)) as file:
        lines = file.read().decode().split("\n")[1 : _MERGES + 1]
    return tuple((first, second) for first, second in (line.split() for line in lines))


@cache
def byte_characters() -> tuple[str, ...]:
    """The character that stands for each byte in ``merges``."""
    shown = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = iter(range(256, 512))
    return tuple(chr(byte if byte in shown else next(hidden)) for byte in range(256))


def context_end(cleaned: str, context_length: int) -> int:
    """Where the context ends in cleaned text: the start of the first piece of which a token is cut off.

    Args:
        cleaned: text of ``clean``.
        context_length: positions of the text tower, start and end token included.

    Returns:
        A position; the length of the text if all of it is kept.
    """
    left = context_length - MARGIN
    if len(cleaned.replace(" ", "").encode()) <= left:  # a token has at least one byte
        return len(cleaned)
    for begin, piece in _pieces(cleaned):
        if len(piece.encode()) > left * _longest_token():  # such as a word of a million letters
            return begin
        left -= token_count(piece)
        if left < 0:
            return begin
    return len(cleaned)


def _pieces(cleaned: str) -> Iterator[tuple[int, str]]:
    """What the tokenizer splits text into before it encodes: words, single digits, runs of punctuation."""
    for found in _pattern().finditer(cleaned):
        yield found.start(), found[0]


@cache
def _pattern() -> re.Pattern[str]:
    import regex  # deferred: it is needed only for long captions

    made: re.Pattern[str] = regex.compile(
        r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE
    )
    return made


@cache
def _longest_token() -> int:
    """Bytes."""
    return max(len((first + second).removesuffix("</w>")) for first, second in merges())


@cache
def _ranks() -> dict[tuple[str, str], int]:
    return {pair: rank for rank, pair in enumerate(merges())}


def token_count(piece: str) -> int:
    """The number of tokens of a piece of text."""
    if piece in _SPECIAL:
        return 1
    return _count(piece)


@lru_cache(maxsize=1 << 16)
def _count(piece: str) -> int:
    *symbols, last = (byte_characters()[byte] for byte in piece.encode())
    symbols.append(f"{last}</w>")
    ranks, never = _ranks(), len(merges())
    while len(symbols) > 1:
        best = min(pairwise(symbols), key=lambda pair: ranks.get(pair, never))
        if best not in ranks:
            break
        symbols = _merged(symbols, best)
    return len(symbols)


def _merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


@cache
def numbered_merges() -> list[tuple[int, int, int]]:
    """``merges`` as numbers of symbols, for C++: 0-255 are bytes, 256-511 bytes at the end of a piece, then results."""
    symbols = {symbol: byte for byte, symbol in enumerate(byte_characters())}
    symbols |= {f"{symbol}</w>": 256 + byte for symbol, byte in symbols.items()}
    numbered = []
    for first, second in merges():
        result = symbols.setdefault(first + second, len(symbols))
        numbered.append((symbols[first], symbols[second], result))
    return numbered
