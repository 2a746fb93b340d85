"""FuDD: the likeliest names of an image are ranked again by texts on how each differs from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

AT_ONCE = 256
"""Images that are ranked at once; results do not depend on it."""


@dataclass
class FuDD(Method):
    """Follow-up differential descriptions: ambiguous names compared pair by pair (Esfandiarpoor and Bach, ICLR 2024).

    The candidates of an image are its likeliest names by zero-shot. A candidate's feature is the normalised mean of the
    unit features of all texts that set it apart from the other candidates; the scores ``logit_scale * cos`` rank the
    candidates again, with the total probability that zero-shot gives them. Other names keep their scores.

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
        self.sums_: dict[Vocabulary, Tensor] = {}
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
        if vocabulary not in self.sums_:
            self.sums_[vocabulary] = self._sums(vocabulary)
        text, sums = zero_shot_text(self.task_, vocabulary), self.sums_[vocabulary]
        return torch.cat([self._ranked(part, text, sums) for part in images.features[:, 0].split(AT_ONCE)])

    def _ranked(self, image: Tensor, text: Tensor, sums: Tensor) -> Tensor:
        scale = self.task_.logit_scale
        scores = scale * image @ text.T
        top = scores.topk(min(self.candidates, scores.shape[1]), dim=1)
        if top.indices.shape[1] < 2:
            return scores
        own, other = top.indices[:, :, None], top.indices[:, None, :]
        feature = F.normalize(sums[own, other].sum(dim=2), dim=2)  # a pair of equal names has zero
        again = scale * (feature @ image[:, :, None])[..., 0]
        again = again + top.values.logsumexp(dim=1, keepdim=True) - again.logsumexp(dim=1, keepdim=True)
        return scores.scatter(1, top.indices, again)

    def _sums(self, vocabulary: Vocabulary) -> Tensor:
        """``(k, k, d)`` sums of the unit features of the texts that set a name apart from another one."""
        if self.pairs is not None:
            return self._from_file(vocabulary)
        texts = [self.task_.texts[name] for name in vocabulary.names]
        every = self.task_.text.encode([Prompt((Piece(text),)) for own in texts for text in own])
        parts = every.split([len(own) for own in texts])
        means = F.normalize(torch.stack([part.mean(dim=0) for part in parts]), dim=1)
        sums = torch.stack([_least_like(part, means, self.share) for part in parts])
        return sums * (1 - torch.eye(len(parts), dtype=sums.dtype, device=sums.device))[..., None]

    def _from_file(self, vocabulary: Vocabulary) -> Tensor:
        k = len(vocabulary)
        prompts, at = [], []
        for i, name in enumerate(vocabulary.names):
            for j, other in enumerate(vocabulary.names):
                texts = [Prompt((Piece(text),)) for text in self.file_.get((name, other), ())] if i != j else []
                texts = texts or ([self.task_.template.fill(name, vocabulary.noun)] if i != j else [])
                prompts += texts
                at += [i * k + j] * len(texts)
        rows = self.task_.text.encode(prompts)
        index = torch.tensor(at, device=rows.device)
        return rows.new_zeros(k * k, rows.shape[1]).index_add(0, index, rows).unflatten(0, (k, k))


def _least_like(sentence: Tensor, means: Tensor, share: float) -> Tensor:
    """``(k, d)`` for each of k means the sum of the share of sentences ``(n, d)`` with the lowest cosine."""
    count = max(1, int(share * len(sentence)))
    chosen = (sentence @ means.T).topk(count, dim=0, largest=False).indices
    return sentence[chosen].sum(dim=0)


@hookimpl
def harness_method() -> type[FuDD]:
    """Return the method."""
    return FuDD
