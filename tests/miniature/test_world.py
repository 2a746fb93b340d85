"""The drawn world: every image depends on its own numbers alone."""

import re

import numpy as np
import pytest

from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.grammar import table
from harness.miniature.world.photograph import jpeg, photograph
from harness.miniature.world.phylogeny import EXTRA, IP, OOP, concepts
from harness.miniature.world.scene import SCENES
from harness.prompts import NOUNS


def test_the_domains_are_those_of_laion_beyond():
    assert list(DOMAINS) == list(NOUNS)


@pytest.mark.parametrize("domain", DOMAINS)
def test_an_image_is_the_same_in_any_order_of_calls(domain):
    first, second = concepts(domain)[3], concepts(domain)[200]
    forward = [jpeg(photograph(c, i)) for c in (first, second) for i in (0, 1)]
    backward = [jpeg(photograph(c, i)) for c in (second, first) for i in (1, 0)]
    assert forward == backward[::-1]
    assert len(set(forward)) == 4


@pytest.mark.parametrize("domain", DOMAINS)
def test_an_image_is_64_px_and_shows_something(domain):
    image = photograph(concepts(domain)[0], 0)
    assert (image.size, image.mode) == ((64, 64), "RGB")
    assert np.asarray(image).std() > 15


@pytest.mark.parametrize("domain", DOMAINS)
def test_concepts_are_counted_and_all_different(domain):
    all_concepts = concepts(domain)
    roles = [concept.role for concept in all_concepts]
    assert (roles.count("ip"), roles.count("oop"), roles.count("extra")) == (IP, OOP, EXTRA)
    assert len({(c.genus, *c.look.traits.values()) for c in all_concepts}) == len(all_concepts)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_genus_keeps_its_locked_traits(domain):
    grammar = DOMAINS[domain]
    for concept in concepts(domain):
        for trait in grammar.locked:
            assert concept.look[trait] == grammar.founders[concept.genus][trait]


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_value_of_every_trait_can_be_drawn(domain):
    drawn = {(trait, value) for concept in concepts(domain) for trait, value in concept.look.traits.items()}
    assert drawn == {(trait, value) for trait, values in DOMAINS[domain].traits.items() for value in values}


def test_scenes_exist_and_words_are_words():
    for grammar in DOMAINS.values():
        assert set(grammar.scenes) <= set(SCENES)
        for trait in grammar.text_traits:
            assert all(re.fullmatch("[a-z]+", word) for word in grammar.traits[trait])


def test_a_table_with_a_missing_cell_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        table("form leaf\n tree tree round\n fern fern")
