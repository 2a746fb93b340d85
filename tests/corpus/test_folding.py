"""Clean-up and folding, and what C++ may do without ftfy."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from ftfy.badness import BADNESS_RE
from hypothesis import assume, given, settings
from open_clip.tokenizer import get_clean_fn

from harness.corpus import character_tables
from harness.corpus.folding import clean, fold
from harness.corpus.tokens import context_end

from .texts import TOKENIZER, texts

UNFOLDED = {"Red_rose": "red rose", "T-Shirt": "t shirt", "king's": "kings", "bus's": "bus", "roses'": "roses"}


@settings(deadline=None, max_examples=300)
@given(text=texts)
def test_clean_up_is_that_of_open_clip(text):
    assert clean(text) == get_clean_fn("lower")(text)


@settings(deadline=None, max_examples=300)
@given(text=texts)
def test_context_ends_where_the_tokenizer_cuts(text):
    cleaned = clean(text)
    assume(clean(cleaned) == cleaned)  # the tokenizer cleans its input up again, which this test gives it cleaned
    for context_length in (3, 8, 20):
        end = context_end(cleaned, context_length)
        assert len(TOKENIZER.encode(cleaned[:end])) <= context_length - 2
        assert (end == len(cleaned)) == (len(TOKENIZER.encode(cleaned)) <= context_length - 2)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        *UNFOLDED.items(),
        ("Smørrebrød & Æble", "smorrebrod|aeble"),
        ("Straße", "strasse"),
        ("Łódź, İstanbul", "lodz|istanbul"),
        ("红玫瑰rose", "红 玫 瑰 rose"),
        ("ro\u00adse", "rose"),
        ("a\u200bb", "a b"),
        ("שָׁלוֹם", "שלום"),
        ("कमल", "कमल"),
        ("ΟΔΟΣ", "οδοσ"),
        ("don't o'brien", "don t o brien"),
        ("", ""),
        ("\U0001f339 !?", ""),
    ],
)
def test_words_are_folded(text, folded):
    words = fold(clean(text))
    assert "".join(("" if i == 0 else " " if w.joined else "|") + w.text for i, w in enumerate(words)) == folded


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the parser of patterns has another name")
def test_every_pattern_of_ftfy_has_marked_neighbours():
    """What ``character_tables`` says of ftfy's patterns, for the installed ftfy."""
    from re import _constants, _parser

    table, _ = character_tables.character_tables()

    def repairs(item):
        """The repairs of the characters beyond ASCII of one item of a pattern, None where ASCII fits."""
        operation, value = item
        if operation in (_constants.MAX_REPEAT, _constants.AT, _constants.SUBPATTERN):
            return None
        choices = value if operation is _constants.IN else [(operation, value)]
        codes = []
        for kind, choice in choices:
            if kind is _constants.LITERAL:
                codes.append(choice)
            elif kind is _constants.RANGE:
                codes += range(choice[0], choice[1] + 1)
            else:  # a category, its opposite, or any character
                return None
        if any(code < 128 for code in codes):
            return None
        return {int(table[code]) >> 4 & 3 for code in codes}

    ((_, (_, branches)),) = _parser.parse(BADNESS_RE.pattern, BADNESS_RE.flags)
    wild, soft, marked = character_tables.Repair.WILD, character_tables.Repair.SOFT, character_tables.Repair.MARKED
    for branch in branches:
        items = [repairs(item) for item in branch]
        alone = any(item == {wild} for item in items)
        pairs = [
            all(wild in (a, b) or (marked in (a, b) and soft <= min(a, b)) for a in one for b in two)
            for one, two in pairwise(items)
            if one is not None and two is not None
        ]
        assert alone or any(pairs), branch
