"""FuDD: the likeliest names of an image are ranked again by texts on how each differs from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.method import File, Method
from harness.prompts import Piece, Prompt, clean_name
from harness.types.paper import Paper
from harness.types.task import Needs

from ._json_file import read_json
from ._training import Fraction, PositiveInt
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

AT_ONCE = 256
"""Images that are ranked at once; results do not depend on it."""


class Apart(NamedTuple):
    """Texts that set one name apart from others.

    Attributes:
        rows: their unit features ``(n, d)``.
        others: 1 for each of the k names that a text sets it apart from ``(n, k)``, else 0.
    """

    rows: Tensor
    others: Tensor


@dataclass
class FuDD(Method):
    """Follow-up differential descriptions: ambiguous names compared pair by pair (Esfandiarpoor and Bach, ICLR 2024).

    The candidates of an image are its likeliest names by zero-shot. A candidate's feature is the normalised mean of the
    unit features of all texts that set it apart from the other candidates, each text once; the scores
    ``logit_scale * cos`` rank the candidates again, with the total probability that zero-shot gives them. Other names
    keep their scores.

    The texts of pairs are a JSON file, ``{name: {other name: [texts about the first]}}``; the authors let a language
    model name attributes that tell two classes apart. Without a file they are taken from ``--texts``: of a name's
    sentences the share that is least like the other name's, by cosine with the mean of those. A pair without texts in
    the file has the protocol's prompt.
    """

    needs = Needs(texts=True)
    seeded = False
    paper = Paper(
        "Esfandiarpoor and Bach",
        "Follow-Up Differential Descriptions: Language Models Resolve Ambiguities for Image Classification",
        "ICLR",
        2024,
        "https://arxiv.org/abs/2311.07593",
    )
    presets = {"paper": {"candidates": 10}}  # noqa: RUF012 - read only

    pairs: File | None = None
    """Texts of pairs of names, in JSON; None: taken from the sentences of ``--texts``."""
    candidates: PositiveInt = 10
    """Names that are ranked again."""
    share: Fraction = 0.5
    """Share of a name's sentences that sets it apart from another one; at least one does. Not used with a file."""

    def __post_init__(self) -> None:
        if self.pairs is not None:
            self.needs = Needs()

    def fit(self, task: Task) -> Self:
        """Read the file, if there is one; the texts are encoded with the first image."""
        self.task_ = task
        self.apart_: dict[Vocabulary, list[Apart]] = {}
        if self.pairs is not None:
            found = read_json(self.pairs, dict[str, dict[str, list[str]]], "give {name: {other name: [texts]}}")
            self.file_ = {
                (clean_name(name), clean_name(other)): texts
                for name, others in found.items()
                for other, texts in others.items()
            }
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Zero-shot scores; those of the candidates are replaced."""
        if vocabulary not in self.apart_:
            names = vocabulary.names
            self.apart_[vocabulary] = self._from_texts(names) if self.pairs is None else self._from_file(vocabulary)
        text, apart = zero_shot_text(self.task_, vocabulary), self.apart_[vocabulary]
        return torch.cat([self._ranked(part, text, apart) for part in images.features[:, 0].split(AT_ONCE)])

    def _ranked(self, image: Tensor, text: Tensor, apart: list[Apart]) -> Tensor:
        scale = self.task_.logit_scale
        scores = scale * image @ text.T
        top = scores.topk(min(self.candidates, scores.shape[1]), dim=1)
        if top.indices.shape[1] < 2:
            return scores
        candidate = torch.zeros_like(scores).scatter(1, top.indices, 1.0)
        again = scores.clone()
        for name, own in enumerate(apart):
            of = candidate[:, name].nonzero()[:, 0]
            said = (candidate[of] @ own.others.T).clamp_max(1)  # a text counts once, with one candidate or several
            feature = F.normalize(said @ own.rows, dim=1)
            again[of, name] = scale * (feature * image[of]).sum(dim=1)
        again = again.gather(1, top.indices)
        again = again + top.values.logsumexp(dim=1, keepdim=True) - again.logsumexp(dim=1, keepdim=True)
        return scores.scatter(1, top.indices, again)

    def _from_texts(self, names: Sequence[str]) -> list[Apart]:
        """Of the sentences of each name those that are the least like another name's."""
        texts = [list(dict.fromkeys(self.task_.texts[name])) for name in names]
        every = self.task_.text.encode([Prompt((Piece(text),)) for own in texts for text in own])
        parts = every.split([len(own) for own in texts])
        means = F.normalize(torch.stack([part.mean(dim=0) for part in parts]), dim=1)
        return [_least_like(part, means, i, self.share) for i, part in enumerate(parts)]

    def _from_file(self, vocabulary: Vocabulary) -> list[Apart]:
        """The texts of the file; the protocol's prompt for a pair that is not there."""
        task, names = self.task_, vocabulary.names
        found = []
        for name in names:
            prompt, said = task.template.fill(name, vocabulary.noun).text, dict[str, list[int]]()
            for j, other in enumerate(names):
                for text in self.file_.get((name, other)) or [prompt] if other != name else ():
                    said.setdefault(text, []).append(j)
            rows = task.text.encode([Prompt((Piece(text),)) for text in said or [prompt]])
            others = rows.new_zeros(len(rows), len(names))
            for i, at in enumerate(said.values()):
                others[i, at] = 1
            found.append(Apart(rows, others))
        return found


def _least_like(sentence: Tensor, means: Tensor, own: int, share: float) -> Apart:
    """The share of a name's sentences ``(n, d)`` with the lowest cosine to the mean of each other name ``(k, d)``."""
    cosine = sentence @ means.T
    lowest = cosine.topk(max(1, int(share * len(sentence))), dim=0, largest=False).indices
    others = torch.zeros_like(cosine).scatter(0, lowest, 1.0)
    others[:, own] = 0
    return Apart(sentence, others)


@hookimpl
def harness_method() -> type[FuDD]:
    """Return the method."""
    return FuDD
