"""Publications in a line, in full, and as BibTeX."""

from __future__ import annotations

import pytest

from harness.types.paper import LAION_BEYOND, Paper


def test_a_paper_is_named_cited_and_linked():
    paper = Paper("Snell et al.", "Prototypical Networks", "NeurIPS", 2017, "https://arxiv.org/abs/1703.05175")
    assert str(paper) == "Snell et al., NeurIPS 2017"
    cited = "Snell et al. Prototypical Networks. NeurIPS 2017. https://arxiv.org/abs/1703.05175"
    assert paper.citation == cited
    assert Paper("MacQueen", "What is k?", "Symposium", 1967).citation == "MacQueen. What is k? Symposium 1967"
    with pytest.raises(ValueError, match="is not an https address"):
        Paper("A", "B", "C", 2000, "javascript:alert(1)")


def test_bibtex_keeps_last_names_capitals_and_special_characters():
    paper = Paper("Zanella and Ben Ayed", "50 % of R&D with CLIP_{1}", "CVPR", 2024)
    assert paper.bibtex == (
        "@misc{zanella2024with,\n  author = {Zanella and {Ben Ayed}},\n  title = {{50 \\% of R\\&D with CLIP\\_1}},\n"
        "  year = {2024},\n  howpublished = {CVPR},\n}\n"
    )
    assert "author = {Chen and others}" in LAION_BEYOND.bibtex
    assert LAION_BEYOND.bibtex.startswith("@misc{chen2025reproducible,\n")
