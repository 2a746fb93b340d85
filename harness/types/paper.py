"""The publication of a method: how it is named, linked and cited."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A publication, for example of a method: ``paper = Paper("Snell et al.", "Prototypical ...", "NeurIPS", 2017)``.

    Attributes:
        authors: ``Snell et al.``, or all names with ``and`` between them.
        title: of the publication.
        venue: conference, journal, or ``arXiv``.
        year: of publication.
        link: an https address, or '' if there is none.

    Raises:
        ValueError: the link is no https address.
    """

    authors: str
    title: str
    venue: str
    year: int
    link: str = ""

    def __post_init__(self) -> None:
        if self.link and not re.fullmatch(r"https://[!-~]+", self.link):
            raise ValueError(f"link={self.link!r} is not an https address")

    def __str__(self) -> str:
        """In a line, without the title: ``Snell et al., NeurIPS 2017``."""
        return f"{self.authors}, {self.venue} {self.year}"

    @property
    def citation(self) -> str:
        """In full: ``Snell et al. Prototypical Networks for Few-shot Learning. NeurIPS 2017. https://...``."""
        ended = self.authors if self.authors.endswith(".") else f"{self.authors}."
        stop = "" if self.title.endswith(("?", "!")) else "."
        return f"{ended} {self.title}{stop} {self.venue} {self.year}" + (f". {self.link}" if self.link else "")

    @property
    def bibtex(self) -> str:
        """An entry for BibTeX; its key is the first author's name, the year and the first long word of the title."""
        authors = [_author(name) for name in self.authors.removesuffix(" et al.").split(" and ")]
        authors += ["others"] if self.authors.endswith(" et al.") else []
        words = [word for word in re.findall(r"\w+", self.title) if len(word) > 3]
        key = _plain(self.authors.split(" ")[0]) + str(self.year) + _plain((words or [""])[0])
        fields = {
            "author": " and ".join(authors),
            "title": f"{{{_escape(self.title)}}}",  # inner braces keep its capitals
            "year": str(self.year),
            "howpublished": _escape(self.venue),
        } | ({"url": self.link} if self.link else {})
        return "".join([f"@misc{{{key},\n", *(f"  {name} = {{{value}}},\n" for name, value in fields.items()), "}\n"])


def _plain(text: str) -> str:
    """Lower-case ASCII letters and digits, as every program of BibTeX takes them in a key."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", text).lower())


def _author(name: str) -> str:
    """A last name of several words in braces, or BibTeX takes the first for a first name."""
    return f"{{{_escape(name)}}}" if " " in name else _escape(name)


def _escape(text: str) -> str:
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[{}\\]", "", text))


LAION_BEYOND = Paper(
    "Chen et al.",
    "Reproducible Vision-Language Models Meet Concepts Out of Pre-Training",
    "CVPR",
    2025,
    "https://openaccess.thecvf.com/content/CVPR2025/papers/"
    "Chen_Reproducible_Vision-Language_Models_Meet_Concepts_Out_of_Pre-Training_CVPR_2025_paper.pdf",
)
"""The paper of the benchmark, of name learning and of its results."""
