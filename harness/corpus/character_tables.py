"""Tables for C++: what each character does to words, its cleaned and folded form, and when ftfy has to see a caption.

ftfy is slow, and most captions need none of it. It changes a text in two ways: character by character, or where a
pattern of unlikely neighbours (``ftfy.badness``) says that the encoding is wrong. Every such pattern has two adjacent
characters of its classes, of which at least one is no common letter, or one of a few that are given as wild here; a
test checks this for every alternative of the installed ftfy. So a caption is left to Python where it has a wild
character, or a marked one next to another marked or soft one; all others are changed character by character at most.
"""

from __future__ import annotations

import re
import unicodedata
from enum import IntEnum
from functools import cache

import numpy as np
from ftfy import fixes
from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES
from numpy.typing import NDArray

from harness.corpus.folding import fold_character, kind

LIMIT = 0x32000
"""Characters from here on are left to Python: no letters are assigned there."""

_LEFT_OUT = ("Cc", "Cn", "Cs", "Co")  # control characters, unassigned, halves of pairs, private use

SOLITARY = "ŒœÃÂ"
"""Characters of which one among ASCII is enough for a pattern of ftfy."""


class Repair(IntEnum):
    """How ftfy sees a character.

    Attributes:
        TAME: in no pattern.
        SOFT: a letter that only patterns with a marked neighbour have.
        MARKED: in patterns with a soft or marked neighbour.
        WILD: changed by more than itself, or in patterns of its own.
    """

    TAME = 0
    SOFT = 1
    MARKED = 2
    WILD = 3


@cache
def character_tables() -> tuple[NDArray[np.uint32], list[tuple[bytes, bytes]]]:
    """A packed entry for each character below ``LIMIT``, and the forms that the entries refer to.

    An entry has, from the lowest bit: 3 bits ``Kind``, 1 white space, 2 ``Repair``, 1 letter, 1 number, 8 combining
    class, 16 position of (cleaned, folded) in the forms; position 0 is the character itself.
    """
    forms: dict[tuple[str, str], int] = {("", ""): 0}
    table = np.empty(LIMIT, np.uint32)
    for code in range(LIMIT):
        character = chr(code)
        category = unicodedata.category(character)
        if category in _LEFT_OUT and not character.isspace():
            table[code] = Repair.WILD << 4
            continue
        fixed = _fixed(character)
        entry = kind(character) | character.isspace() << 3 | _repair(character, fixed) << 4
        entry |= (category[0] == "L") << 6 | (category[0] == "N") << 7 | unicodedata.combining(character) << 8
        form = (fixed.lower(), fold_character(character))
        table[code] = entry | (0 if form == (character, character) else forms.setdefault(form, len(forms))) << 16
    return table, [(cleaned.encode(), folded.encode()) for cleaned, folded in forms]


def _repair(character: str, fixed: str) -> Repair:
    """How ftfy sees a character, that it turns into ``fixed`` where it is alone."""
    if (
        (fixed != character and not (fixed.isascii() and fixed not in ("", "&")))
        or len(fixed.lower()) != 1
        or (character.isspace() and unicodedata.category(character) == "Cc")
        or character in f"&\u03a3\u017f\u2028\u2029{SOLITARY}"  # final sigma; the s of the tokenizer's pattern 's
        or character in _second_of_pairs()
        or not unicodedata.is_normalized("NFC", character)
    ):
        return Repair.TAME if character in "\t\n\r" else Repair.WILD
    if character.isascii() or not _named_by_ftfy().match(character):
        return Repair.TAME
    return Repair.SOFT if _letters_of_ftfy().match(character) else Repair.MARKED


def _fixed(character: str) -> str:
    """The character by itself after ftfy's fixes of single characters."""
    if character.isascii() or character.isspace():
        return character
    text = fixes.fix_latin_ligatures(fixes.remove_control_chars(character))
    return fixes.uncurl_quotes(fixes.fix_character_width(text))


@cache
def _second_of_pairs() -> frozenset[str]:
    """Characters that NFC may join to the one before them."""
    pairs = (unicodedata.decomposition(chr(code)).split() for code in range(LIMIT))
    seconds = {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and not pair[0].startswith("<")}
    return frozenset(seconds | set(map(chr, (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)))))  # jamo of Hangul


@cache
def _named_by_ftfy() -> re.Pattern[str]:
    """The characters beyond ASCII in ftfy's patterns."""
    literals = "".join(re.escape(one) for one in BADNESS_RE.pattern if not one.isascii())
    return re.compile(f"[{''.join(MOJIBAKE_CATEGORIES.values())}{literals}]")


@cache
def _letters_of_ftfy() -> re.Pattern[str]:
    """The letters that ftfy's patterns have next to others only."""
    soft, hard = (
        "".join(MOJIBAKE_CATEGORIES[name] for name in names)
        for names in (
            ("lower_accented", "lower_common", "upper_common", "kaomoji"),
            ("upper_accented", "bad", "numeric"),
        )
    )
    return re.compile(f"(?![{hard}\u0402\u00b0])[{soft}]")
