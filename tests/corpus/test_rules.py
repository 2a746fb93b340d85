"""The rules: on examples, and C++, Python and a slow truth on captions of every kind."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.corpus.counts import RULES
from harness.corpus.forms import forms_of, numbers
from harness.corpus.matcher import ColumnMatcher
from harness.corpus.python_matcher import PythonMatcher
from harness.matching import native

from .texts import concepts, slow_mentions, texts

CONCEPTS = {
    "rose": (),
    "rose hip": ("dog rose",),
    "king's crown": (),
    "wolf": (),
    "玫瑰": (),
    "C++": (),
    "Löwe": (),
    "bus": (),
}


def matchers(found, context_length=77, kept=3):
    """The matcher in Python, and in C++ where it is built."""
    both = [ColumnMatcher(found, context_length, kept, in_python=True)]
    return [*both, ColumnMatcher(found, context_length, kept)] if native.has_cpp() else both


@pytest.mark.parametrize(
    ("caption", "name", "rules"),
    [
        ("A red ROSE.", "rose", "phrase folded synonyms longest words"),
        ("the rose's thorns", "rose", "phrase folded synonyms longest words"),
        ("roses", "rose", "folded synonyms longest words"),
        ("rosé", "rose", "folded synonyms longest words"),
        ("rosebud", "rose", ""),
        ("rose hip tea", "rose", "phrase folded synonyms words"),
        ("rose hip tea", "rose hip", "phrase folded synonyms longest words"),
        ("rose_hips.jpg", "rose hip", "folded synonyms longest words"),
        ("rose, hip replacement", "rose hip", "words"),
        ("the hip of a rose", "rose hip", "words"),
        ("Dog-Rose", "rose hip", "synonyms longest words"),
        ("a kings crown", "king's crown", "folded synonyms longest words"),
        ("the king&#39;s crown", "king's crown", "phrase folded synonyms longest words"),
        ("wolves", "wolf", "folded synonyms longest words"),
        ("红玫瑰花", "玫瑰", "phrase folded synonyms longest words"),
        ("玫 瑰", "玫瑰", "folded synonyms longest words"),
        ("learn C++ now", "C++", "phrase folded synonyms longest words"),
        ("vitamin C", "C++", "folded synonyms longest words"),
        ("Lo\u0308we", "Löwe", "phrase folded synonyms longest words"),
        ("LÃ¶we", "Löwe", "phrase folded synonyms longest words"),
        ("Lowe", "Löwe", "folded synonyms longest words"),
        ("the bus's wheels", "bus", "phrase folded synonyms longest words"),
    ],
)
def test_caption_is_counted_by_these_rules(caption, name, rules):
    position = list(CONCEPTS).index(name)
    for matcher in matchers(CONCEPTS):
        counts = matcher.count(pa.array([caption]), "a.txt", 0).counts[position]
        assert dict(zip(RULES, counts[0].tolist(), strict=True)) == {rule: int(rule in rules.split()) for rule in RULES}
        assert not counts[1].any()


def test_mention_after_the_context_is_counted_apart():
    padding = ["x"] * 74
    for matcher in matchers({"rose": (), "wolf": ()}):
        for words, expected in (
            (["wolf", *padding], [[0, 0], [1, 0]]),
            ([*padding, "wolf"], [[0, 0], [1, 0]]),
            ([*padding, "rose", "wolf"], [[1, 0], [0, 1]]),
            (["wolf", *padding, "rose", "wolf"], [[0, 1], [1, 0]]),
        ):
            counts = matcher.count(pa.array([" ".join(words)]), "a.txt", 0).counts
            assert counts[:, :, RULES.index("folded")].tolist() == expected


@pytest.mark.parametrize(
    ("one", "others"),
    [
        ("cherry", {"cherries", "cherrys"}),
        ("day", {"days"}),
        ("wolves", {"wolve", "wolf", "wolfe", "wolveses"}),
        ("box", {"boxs", "boxes"}),
        ("glass", {"glasses"}),
        ("mouse", {"mice", "mouses"}),
        ("geese", {"goose", "geeses"}),
        ("s", {"ses"}),
    ],
)
def test_last_word_is_searched_in_both_numbers(one, others):
    assert set(numbers(one)) == {one, *others}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(found=concepts, captions=st.lists(texts, min_size=1, max_size=12), context_length=st.sampled_from((5, 12, 77)))
def test_python_and_cpp_count_what_a_slow_truth_counts(found, captions, context_length):
    forms = forms_of(found)
    python = PythonMatcher(forms, range(len(found)), context_length, 3)
    expected = np.zeros((len(found), 2, len(RULES)), np.int64)
    for caption in captions:
        truth = slow_mentions(found, caption, context_length)
        assert python.mentions(caption) == truth, caption
        for concept, mentions in truth.items():
            for rule, where in mentions.items():
                expected[concept, where, RULES.index(rule)] += 1
    column = pa.array([None, *captions, None]).slice(1)
    tallies = [matcher.count(column, "folder/a.txt", 7) for matcher in matchers(found, context_length)]
    for tally in tallies:
        np.testing.assert_array_equal(tally.counts, expected)
        assert (tally.rows, tally.captions) == (len(captions) + 1, len(captions))
        assert tally.samples == tallies[0].samples


ASCII_PIECES = (
    *("rose", "Roses", "hip", "king", "Kings", "crown", "s", "S", "a", "internationals", "internationally", "x" * 50),
    *("'", "'s", "`s", "'S ", " ", " ", "  ", "-", "_", ". ", ",", "& ", "&"),
)


@pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(captions=st.lists(st.lists(st.sampled_from(ASCII_PIECES), max_size=60).map("".join), min_size=1, max_size=8))
def test_cpp_counts_ascii_captions_as_python_does(captions):
    found = dict.fromkeys(("rose", "rose hip", "king's crown", "s", "a s", "internationally", "internationalx"), ())
    column = pa.array([*captions, "'s"])  # captions are read in blocks, next to what follows them
    python, cpp = (matcher.count(column, "a.txt", 0) for matcher in matchers(found))
    np.testing.assert_array_equal(cpp.counts, python.counts)
    assert cpp.samples == python.samples


NEIGHBOURS = (
    "a ",
    " a rose  hip",
    "king",
    "'s crown",
    "king's",
    "",
    "s",
    " rose",
    "hip",
    "&",
    "amp; rose",
    "rose\u00e9",
    "hip ",
)


@pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")
@pytest.mark.parametrize("register_bytes", [16, 32, 64])
def test_neighbours_in_a_column_do_not_change_what_a_caption_mentions(register_bytes):
    found = dict.fromkeys(("rose", "rose hip", "king's crown", "king", "s"), ())
    order = np.random.default_rng(0).integers(0, len(NEIGHBOURS), 3000)
    column = pa.array([None if i % 50 == 0 else NEIGHBOURS[at] for i, at in enumerate(order)], pa.large_string()).slice(
        1
    )
    python, cpp = matchers(found)
    expected = sum(
        python.count(pa.array([caption]), "a.txt", 0).counts * column.to_pylist().count(caption)
        for caption in NEIGHBOURS
    )
    native.module().limit_registers(register_bytes)
    try:
        np.testing.assert_array_equal(cpp.count(column, "a.txt", 0).counts, expected)
    finally:
        native.module().limit_registers(64)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(caption=texts)
def test_stricter_rules_count_no_caption_that_others_do_not(caption):
    pairs = (("phrase", "folded"), ("folded", "synonyms"), ("longest", "synonyms"), ("synonyms", "words"))
    for mentions in PythonMatcher(forms_of(CONCEPTS), range(len(CONCEPTS)), 77, 0).mentions(caption).values():
        for strict, lenient in pairs:
            assert strict not in mentions or mentions[lenient] <= mentions[strict]


def test_a_caption_of_a_million_words_or_letters_takes_no_longer_than_many_short_ones():
    column = pa.array(["rose hip, rosebud " * 50_000, "x" * 1_000_000 + " rose"])
    counts = [matcher.count(column, "a.txt", 0).counts for matcher in matchers(CONCEPTS)]
    for found in counts:
        assert found[0, :, RULES.index("folded")].tolist() == [1, 1]
        assert not found[0, :, RULES.index("longest")].tolist()[0]


def test_bytes_that_are_not_utf8_are_read_with_replacement_characters():
    column = pa.array([b"a rose \xff", b"\xe7\x8e", b"rose\xed\xa0\x80hip"], pa.binary()).view(pa.string())
    counts = [matcher.count(column, "a.txt", 0).counts for matcher in matchers(CONCEPTS)]
    for found in counts:
        assert found[0, 0, RULES.index("phrase")] == 2
        np.testing.assert_array_equal(found, counts[0])
