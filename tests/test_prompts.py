"""Names and prompts: one clean-up, one template, and names found as whole words only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.prompts import NOUNS, Piece, Prompt, Template, caption_prompt, clean_name, comparable_name, domain_noun

from .makers import few

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("great_auk", "great auk"),
        ("St._Bernard", "St Bernard"),
        ("  grey \t wolf\n", "grey wolf"),
        ("Père David's deer", "Père David's deer"),
        ("gen-2 fly", "gen-2 fly"),
        ("_._", ""),
    ],
)
def test_underscores_and_full_stops_become_single_spaces(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean


@pytest.mark.parametrize("spelling", ["Pere_David\u2019s  DEER", "pe&#768;re David's deer", "p\u00e8re_David's deer"])
def test_spellings_that_the_tokenizer_reads_alike_are_one_name(spelling: str) -> None:
    same = comparable_name("p\u00e8re David's deer")
    assert (comparable_name(spelling) == same) == (not spelling.startswith("Pere"))


@few
@given(anything)
def test_clean_name_is_idempotent(name: str) -> None:
    clean = clean_name(name)
    assert clean_name(clean) == clean
    assert not set("_.") & set(clean)
    assert clean == clean.strip()
    assert "  " not in clean


def test_every_domain_has_the_hint_of_the_paper() -> None:
    assert len(NOUNS) == 9
    assert domain_noun("Insects_Spiders") == "insect or spider"
    assert domain_noun("Plants_Fugi") == "plant or fungus"
    assert domain_noun("My_Own.Domain") == "my own domain"


def test_the_template_of_the_paper() -> None:
    assert Template().fill("ibex", "animal").text == "a photo of ibex, a type of animal."


@few
@given(anything, anything)
def test_names_and_nouns_are_not_treated_as_templates(name: str, noun: str) -> None:
    prompt = Template().fill(name, noun)
    assert prompt.text == "a photo of " + name + ", a type of " + noun + "."
    assert [piece for piece in prompt.pieces if piece.key is not None] == [Piece(name, name)]


@pytest.mark.parametrize("name", ["{noun}", "{name}", "{0}", "{", "}", r"\1", "%s"])
def test_braces_in_names_are_preserved(name: str) -> None:
    assert Template("{noun}: {name} ({noun})").fill(name, "x").text == f"x: {name} (x)"
    assert Template("{noun}: {name}").fill("a", name).text == f"{name}: a"


@pytest.mark.parametrize("text", ["a photo", "{name} and {name}", ""])
def test_a_template_requires_exactly_one_name(text: str) -> None:
    with pytest.raises(UserError, match="exactly once"):
        Template(text)


# -- locate --------------------------------------------------------------------------------------------------------


def split_at(caption: str, name: str) -> tuple[str, str] | None:
    """The text before and after the first place of the name."""
    prompt = caption_prompt(caption, name)
    return None if prompt is None else (prompt.pieces[0].text, "".join(piece.text for piece in prompt.pieces[2:]))


@pytest.mark.parametrize(
    ("caption", "name", "expected"),
    [
        ("A rose in a garden", "rose", ("A ", " in a garden")),
        ("ROSE.", "rose", ("", ".")),
        ("a rosebud", "rose", None),
        ("a primrose", "rose", None),
        ("rose2", "rose", None),
        ("a rose-hip", "rose hip", ("a ", "")),
        ("a rose_hip and more", "rose hip", ("a ", " and more")),
        ("a rose  hip", "rose hip", ("a ", "")),
        ("a rose with a hip", "rose hip", None),
        ("folk art and craft", "folk art", ("", " and craft")),
        ("a heart, an artist", "art", None),
        ("St. Bernard on snow", "St Bernard", ("", " on snow")),
        ("st bernard's bowl", "St Bernard", ("", "'s bowl")),
        ("c++ and c", "c++", ("", " and c")),
        ("c", "c++", None),
        ("axb", "a.b", None),
        ('see the "old" horse run', 'the "old" horse', ("see ", " run")),
        ("(gen-2 fly)", "gen-2 fly", ("(", ")")),
        ("a {name} here", "{name}", ("a ", " here")),
        (r"a \d here", r"\d", ("a ", " here")),
        ("", "rose", None),
        ("a rose", "", None),
        ("a rose", "  ", None),
    ],
)
def test_caption_prompt_matches_whole_words(caption: str, name: str, expected: tuple[str, str] | None) -> None:
    assert split_at(caption, name) == expected


def test_caption_prompt_uses_the_spelling_of_the_class() -> None:
    prompt = caption_prompt("The GREAT_auk, by the sea", "great auk")
    assert prompt == Prompt((Piece("The "), Piece("great auk", "great auk"), Piece(", by the sea")))


def test_caption_prompt_finds_every_occurrence() -> None:
    # Otherwise context swap would leave one class's name in the text of another.
    prompt = caption_prompt("A rose is a Rose, not a rosebud", "rose")
    assert prompt is not None
    assert prompt.with_name("ibex").text == "A ibex is a ibex, not a rosebud"


@few
@given(st.sampled_from(["rose", "rose hip", "art", "c++", "(x)", "a|b"]), anything, anything)
def test_caption_prompt_preserves_the_other_text(name: str, before: str, after: str) -> None:
    prompt = caption_prompt(f"{before} {name} {after}", name)
    assert prompt is not None
    other = prompt.with_name("\0")
    assert other.text.count("\0") >= 1
    assert prompt.text.casefold().count(name) >= 1
    assert {piece.key for piece in prompt.pieces} == {None, name}


@few
@given(anything, anything)
def test_caption_prompt_accepts_any_text(caption: str, name: str) -> None:
    prompt = caption_prompt(caption, clean_name(name))
    assert prompt is None or clean_name(name) in prompt.text


def test_with_name_changes_keyed_pieces_only() -> None:
    prompt = Prompt((Piece("rose "), Piece("rose", "rose"), Piece(" rose")))
    assert prompt.with_name("ibex") == Prompt((Piece("rose "), Piece("ibex", "ibex"), Piece(" rose")))
