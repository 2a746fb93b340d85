"""Text as CLIP's tokenizer cleans it up, and its folded words.

``clean`` is open_clip's clean-up: ftfy, HTML entities, white space, lower case. ``fold`` turns cleaned text into words
that differ neither in accents nor in punctuation within names; ``docs/corpus.md`` states its rules. Character classes
come from Python's own Unicode data, and ``character_tables`` hands the same ones to C++.
"""

from __future__ import annotations

import html
import re
import unicodedata
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import ftfy


class Kind(IntEnum):
    """What a character does to words.

    Attributes:
        BREAK: ends a phrase: a comma, a bracket, an emoji.
        JOINER: separates two words of a phrase: white space, a hyphen, an underscore, a full stop.
        APOSTROPHE: a joiner, but for a possessive s.
        LETTER: a part of a word: letters and numbers.
        SYLLABLE: a word of its own, in scripts without spaces between words.
        EXTEND: belongs to the word before it: combining marks, invisible format characters.
    """

    BREAK = 0
    JOINER = 1
    APOSTROPHE = 2
    LETTER = 3
    SYLLABLE = 4
    EXTEND = 5


class Word(NamedTuple):
    """A folded word.

    Attributes:
        text: its folded characters.
        begin, end: its place in the cleaned text.
        joined: whether only joiners separate it from the word before it.
    """

    text: str
    begin: int
    end: int
    joined: bool


SPACELESS = re.compile(
    "(CJK|HIRAGANA|KATAKANA|HANGUL|BOPOMOFO|YI SYLLABLE|THAI|LAO|KHMER|MYANMAR) |KATAKANA-|IDEOGRAPHIC ITERATION"
)
"""Beginnings of the names of characters in scripts that do not separate words, or attach particles to them."""

_APOSTROPHES = "'`\u00b4\u02b9\u02bb\u02bc\u02bd\u2018\u2019\u201b\u2032\uff07"
_JOINERS = "_.\u200b\u2212"  # and white space, and dashes; the invisible space of Thai and Khmer; the minus sign
_LETTER_WITH = re.compile("LATIN SMALL LETTER ([A-Z]) WITH ")
_LETTERS = {"æ": "ae", "œ": "oe", "ı": "i", "ð": "d", "þ": "th"}  # have no decomposition, and their names no WITH


def clean(caption: str) -> str:
    """The text that CLIP's tokenizer splits: open_clip's clean-up ``lower``."""
    text = html.unescape(html.unescape(ftfy.fix_text(caption)))
    return " ".join(text.split()).lower()


@lru_cache(maxsize=1 << 14)
def kind(character: str) -> Kind:
    """The kind of a character of cleaned text."""
    if character in _APOSTROPHES:
        return Kind.APOSTROPHE
    category = unicodedata.category(character)
    if character in _JOINERS or character.isspace() or category == "Pd":
        return Kind.JOINER
    if category[0] == "M" or category == "Cf":
        return Kind.EXTEND
    if category[0] not in "LN":
        return Kind.BREAK
    return Kind.SYLLABLE if SPACELESS.match(unicodedata.name(character, "")) else Kind.LETTER


@lru_cache(maxsize=1 << 14)
def fold_character(character: str) -> str:
    """The folded form of a character that is a part of a word: decomposed, without case and accents."""
    if unicodedata.category(character) == "Cf":
        return ""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(_plain(one) for one in text if not _is_accent(one) and not one.isspace())


def _is_accent(character: str) -> bool:
    """Whether a mark is above, below or through a letter, or an optional point of Hebrew or Arabic.

    These are the canonical combining classes 10 to 35 and from 200; vowels of Indic scripts and Thai have others.
    """
    combining = unicodedata.combining(character)
    return combining >= 200 or 10 <= combining <= 35


def _plain(character: str) -> str:
    if character.isascii():
        return character
    found = _LETTER_WITH.match(unicodedata.name(character, ""))
    return found[1].lower() if found else _LETTERS.get(character, character)


def fold(cleaned: str) -> list[Word]:
    """The folded words of cleaned text.

    A word is a run of letters, numbers and marks, or one character of a script without spaces. A possessive s belongs
    to its word: ``king's`` is folded to ``kings``, ``bus's`` to ``bus``.
    """
    words: list[Word] = []
    joined, position = False, 0
    while position < len(cleaned):
        begin, what = position, kind(cleaned[position])
        position += 1
        if what <= Kind.APOSTROPHE:
            joined &= what != Kind.BREAK
            continue
        while position < len(cleaned) and _continues(what, kind(cleaned[position])):
            position += 1
        text = "".join(map(fold_character, cleaned[begin:position]))
        if what != Kind.SYLLABLE and _is_possessive(cleaned, position):
            position += 2
            text = text if text.endswith("s") else f"{text}s"
        if text:
            words.append(Word(text, begin, position, joined))
            joined = True
    return words


def _continues(first: Kind, following: Kind) -> bool:
    """Whether a word that begins with a kind of character goes on with a kind."""
    return following == Kind.EXTEND or (following == Kind.LETTER and first != Kind.SYLLABLE)


def _is_possessive(cleaned: str, position: int) -> bool:
    """Whether an apostrophe and a final s begin here."""
    return (
        cleaned[position + 1 : position + 2] == "s"
        and kind(cleaned[position]) == Kind.APOSTROPHE
        and (position + 2 == len(cleaned) or kind(cleaned[position + 2]) not in (Kind.LETTER, Kind.EXTEND))
    )
