"""WaffleCLIP: random words and characters in place of descriptions; the control of CuPL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.prompts import Template
from harness.types.paper import Paper
from harness.types.task import Needs

from ._training import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class Waffle(Method):
    """Random descriptors, the same for all names: what sentences are worth beyond an ensemble (Roth et al., ICCV 2023).

    A pair is one string of random words and one of random characters, in ``a photo of a {name}, which has ....``. As in
    the authors' code a string has as many words as a name has on average, words are cut to the mean length of a name's
    words, and blocks of characters are as long as a name's longest word. Words and characters are drawn from the
    sentences of ``--texts``, so that ``cupl`` and ``waffle`` read the same words, here without their meaning. The score
    is the mean cosine over all strings. Names of both sides decide the lengths, so that strings do not depend on the
    vocabulary. Seeds differ by a point or so: average several.
    """

    needs = Needs(texts=True)
    paper = Paper(
        "Roth et al.",
        "Waffling around for Performance: Visual Classification with Random Words and Broad Concepts",
        "ICCV",
        2023,
        "https://arxiv.org/abs/2306.07282",
    )
    presets = {"paper": {"pairs": 15}}  # noqa: RUF012 - read only

    pairs: PositiveInt = 15
    """Pairs of a string of words and a string of characters."""
    concept: bool = False
    """Begin with the noun of the domain: ``a photo of a bird: a {name}, ...``."""

    def fit(self, task: Task) -> Self:
        """Draw the strings."""
        self.task_ = task
        names = [name.split() for name in task.texts]
        words = [word for sentences in task.texts.values() for text in sentences for word in _words(text)]
        count = max(1, round(_mean([len(name) for name in names])))
        length = max(1, round(_mean([len(word) for name in names for word in name])))
        block = max(1, round(_mean([max(map(len, name), default=1) for name in names])))
        letters = sorted({letter for word in words for letter in word})
        vocabulary = sorted({word[:length] for word in words})
        self.strings_: list[str] = []
        for _ in range(self.pairs):
            self.strings_.append(" ".join(self._draw(vocabulary, count)))
            self.strings_.append(", ".join("".join(self._draw(letters, block)) for _ in range(count)))
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale`` times the mean cosine over all strings."""
        start = "a photo of a {noun}: a" if self.concept else "a photo of a"
        templates = [Template(f"{start} {{name}}, which has {text}.") for text in self.strings_]
        texts = [
            self.task_.text.encode([template.fill(name, vocabulary.noun) for name in vocabulary.names])
            for template in templates
        ]
        return self.task_.logit_scale * images.features[:, 0] @ torch.stack(texts).mean(dim=0).T

    def outcome(self) -> dict[str, Any]:
        """The strings."""
        return {"strings": self.strings_}

    def _draw(self, choices: Sequence[str], count: int) -> list[str]:
        drawn = torch.randint(len(choices), (count,), generator=self.task_.generator)
        return [choices[i] for i in drawn.tolist()]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _mean(numbers: Sequence[int]) -> float:
    return sum(numbers) / max(1, len(numbers))


@hookimpl
def harness_method() -> type[Waffle]:
    """Return the method."""
    return Waffle
