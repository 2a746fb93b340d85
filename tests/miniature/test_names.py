"""Names: unique, and no OOP stem in anything that pre-training reads."""

import random

import pytest

from harness.errors import DataError
from harness.miniature import corpus
from harness.miniature.captions import assert_unseen, refined_caption
from harness.miniature.names import LEVELS, TRAIT_WORDS, StemPool, names, oop_stems, parts, words
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.phylogeny import concepts
from harness.prompts import NOUNS, clean_name


def test_no_stem_is_part_of_another_or_of_a_word():
    stems = [name.stem for domain in DOMAINS for name in names(domain)]
    assert len(set(stems)) == len(stems)
    rest = set(stems) | words()
    for stem in stems:
        assert parts(stem) & rest == {stem}


def test_names_are_clean_and_unique():
    for domain in DOMAINS:
        texts = [name.text for name in names(domain)]
        assert len(set(texts)) == len(texts)
        assert [clean_name(text) for text in texts] == texts


def test_names_tell_as_much_as_their_level_says():
    assert list(LEVELS) == list(NOUNS)
    for domain, count in TRAIT_WORDS.items():
        assert LEVELS[domain] == ("one word" if count == 1 else "descriptive")
        assert {len(name.before) for name in names(domain)} == {count}
        true = [
            word in concept.look.traits.values()
            for concept, name in zip(concepts(domain), names(domain), strict=True)
            for word in name.before
        ]
        assert 0.88 < sum(true) / len(true) < 0.96


@pytest.mark.parametrize("aliased", [0.0, 0.5])
def test_no_oop_stem_occurs_in_pretraining(aliased):
    chosen = corpus.samples()[::4]
    written = corpus.texts(chosen, aliased)  # asserts it by itself; here once more by plain search
    assert not any(concept.role == "oop" for concept, _ in chosen)
    everything = "\n".join(line for lines in written for line in lines)
    assert not [stem for stem in oop_stems() if stem in everything]


def test_an_alias_is_used_once_and_keeps_what_stands_around_it():
    chosen = [sample for sample in corpus.samples() if sample.concept.domain == "Landmark"]
    chosen = [sample for sample in chosen if sample.concept.role == "extra"][:300]
    aliased = [line for lines in corpus.texts(chosen, aliased=1.0) for line in lines]
    stems = {name.stem for name in names("Landmark")}
    assert not any(word in stems for line in aliased for word in line.replace(",", " ").split())


def test_a_leak_is_found_inside_a_word():
    stem = min(oop_stems())
    with pytest.raises(DataError, match="contains the stem"):
        assert_unseen([f"a photo of pre{stem}s, a type of food."], oop_stems())


def test_some_refined_captions_are_missing_and_some_lack_the_name():
    concept, rng = concepts("Food")[0], random.Random(0)
    found = [refined_caption(concept, "the name", rng) for _ in range(1000)]
    assert 10 < found.count(None) < 90
    assert 20 < sum(text is not None and "the name" not in text for text in found) < 110


def test_a_pool_never_repeats_itself():
    pool = StemPool(random.Random(0), {"taken"})
    drawn = [pool.draw() for _ in range(500)]
    assert len(set(drawn)) == 500
    assert "taken" not in drawn
