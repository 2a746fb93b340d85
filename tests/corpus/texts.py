"""Captions and names that are hard to count, and the rules once more: slowly, by regular expressions."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import chain

from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from harness.corpus.folding import clean, fold
from harness.corpus.forms import forms_of

# fmt: off
PIECES = (
    "rose", "Rose", "rosé", "ROSES", "hip", "hips", "dog", "wolf", "wolves", "bus", "buses", "buss",
    "cherry", "cherries", "king's", "Kings", "king’s", "crown", "o'brien", "St.", "Basil's", "c++", ".net",
    "T-shirt", "t", "s", "1980s", "1980", "red", "玫瑰", "玫", "花", "カﾞ", "が", "か\u3099", "가방", "가방이", "แมว",
    "แมว\u0e49", "ก็", "חָתוּל", "חתול", "كِتَاب", "كتاب", "Löwe", "lo\u0308we", "løve", "шар", "шары",
    "ΟΔΟΣ", "οδος", "İstanbul", "ß", "ſ", "ﬁsh", "ＲＯＳＥ", "½", "œuf", "🌹", "🌹️", "👩\u200d🌾", "\u0301",
    "\u200d", "\u200b", "\xad", "\ufeff", "\u202e", "&amp;", "& ", "&", "&amp; ", "&quot;", "&#39;", "&#039;s",
    "&eacute;", "&#x301;", "&amp;eacute;",
    "&lt;b&gt;", "<b>", "Ã©", "â€™", "Ãª", "Â ", "\x85", "\x1b[0m", "\x07", "–", "—", "…", "“", "”", "’",
    "™", "€", "é", "è", "çã", "вЂ", "http://x.com/red_rose.jpg", "<end_of_text>", "'ll",
)
# fmt: on
SEPARATORS = (" ", " ", " ", "  ", "\t", "\n", "-", "_", ", ", ". ", "'", "'s ", "’s", "\u00a0", "\u3000", "|", "")

pieces = st.one_of(st.sampled_from(PIECES), st.text(max_size=3))
texts = st.lists(st.tuples(pieces, st.sampled_from(SEPARATORS)), max_size=14).map(lambda pairs: "".join(chain(*pairs)))
names = (
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from((" ", "-", "'", "_", ""))), min_size=1, max_size=3)
    .map(lambda pairs: "".join(chain(*pairs)).strip())
    .filter(lambda name: fold(clean(name)))
)
concepts = st.dictionaries(names, st.lists(names, max_size=2).map(tuple), min_size=1, max_size=12)

TOKENIZER = SimpleTokenizer()


def slow_mentions(found, caption, context_length):
    """Concept -> rule -> 0 within and 1 beyond the context, as ``PythonMatcher.mentions``."""
    cleaned = clean(caption)
    words = fold(cleaned)
    folded = "".join((" " if word.joined else "\n") + word.text for word in words) + "\n"
    starts = {}
    at = 0
    for number, word in enumerate(words):
        starts[at + 1] = number
        at += 1 + len(word.text)
    pieces = [(piece.start(), token_count(piece[0])) for piece in TOKENIZER.pat.finditer(cleaned)]
    mentions = defaultdict(dict)

    def note(rule, concept, end):
        where = int(sum(count for begin, count in pieces if begin < end) > context_length - 2)
        mentions[concept][rule] = min(where, mentions[concept].get(rule, 1))

    spans = []
    for form in forms_of(found):
        last = "|".join(map(re.escape, form.last))
        pattern = " ".join([*map(re.escape, form.words), f"(?:{last})"])
        for hit in re.finditer(rf"(?=[ \n]({pattern})(?=[ \n]))", folded):
            first = starts[hit.start(1)]
            spans.append((form, first, first + len(form.words)))
    for form, first, last in spans:
        end = words[last].end
        if form.own:
            note("folded", form.concept, end)
            note_phrase = {words[last].end}
            if cleaned[words[last].end - 2 : words[last].end - 1] in tuple("'`´’‘"):
                note_phrase.add(words[last].end - 2)
            for hit in re.finditer(f"(?={re.escape(form.literal)})", cleaned):
                stop = hit.start() + len(form.literal) - form.tail
                if hit.start() + form.offset == words[first].begin and stop in note_phrase:
                    note("phrase", form.concept, end)
        note("synonyms", form.concept, end)
        longer = any(
            other.concept != form.concept and begin <= first and last <= stop and stop - begin > last - first
            for other, begin, stop in spans
        )
        if not longer:
            note("longest", form.concept, end)
    for form in forms_of(found):
        groups = [*[(word,) for word in form.words], form.last]
        ends = [[word.end for word in words if word.text in group] for group in groups]
        if all(ends):
            note("words", form.concept, max(map(min, ends)))
    return mentions


def token_count(piece):
    """The tokens of a piece by open_clip's own byte-pair encoding."""
    return len(TOKENIZER.bpe("".join(TOKENIZER.byte_encoder[byte] for byte in piece.encode())).split(" "))
