"""Loki: the name with the least expected distance to the predicted ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from harness.errors import UserError
from harness.hookspecs import hookimpl
from harness.method import File, Method
from harness.types.paper import Paper
from harness.types.task import Needs
from harness.types.vocabulary import Vocabulary

from ._json_file import read_json
from ._training import PositiveFloat
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task


@dataclass
class Loki(Method):
    """Zero-shot probabilities, decoded to the Fréchet mean of the names (Roberts et al., NeurIPS 2023).

    ``scores[v] = -sum_u p[u] d(u, v)^2``: p is zero-shot's softmax at a temperature, d the distance of the names' text
    features, or in a taxonomy the number of edges between two names. Names that are alike support each other. With
    ``observed=ip`` p is of the domain's IP names alone, and OOP names are predicted from their distances to these: the
    paper's classes without scores.

    At temperature 1 most probabilities are so peaked that few predictions differ from zero-shot.
    """

    seeded = False
    paper = Paper(
        "Roberts et al.",
        "Geometry-Aware Adaptation for Pretrained Models",
        "NeurIPS",
        2023,
        "https://arxiv.org/abs/2307.12226",
    )
    presets = {"paper": {"temperature": 1.0}}  # noqa: RUF012 - read only

    temperature: PositiveFloat = 1.0
    """Divides the scaled cosines before the softmax."""
    observed: Literal["all", "ip"] = "all"
    """Names with a probability: those that are scored, or the IP names."""
    taxonomy: File | None = None
    """JSON: name -> list of its ancestors, from the root down; None: distances of text features."""

    def __post_init__(self) -> None:
        if self.observed == "ip":
            self.needs = Needs(ip=True)

    def fit(self, task: Task) -> Self:
        """Read the taxonomy; nothing is learned."""
        self.task_ = task
        self.paths_ = None if self.taxonomy is None else _paths(self.taxonomy)
        self.ip_ = Vocabulary.of(task.noun, ip=task.ip_names) if self.observed == "ip" else None
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Negative expected squared distances."""
        observed = self.ip_ or vocabulary
        text = zero_shot_text(self.task_, observed)
        share = (self.task_.logit_scale / self.temperature * images.features[:, 0] @ text.T).softmax(dim=1)
        return -share @ self._squares(observed, vocabulary).to(share)

    def _squares(self, observed: Vocabulary, vocabulary: Vocabulary) -> Tensor:
        """Squared distances ``(u, v)``."""
        if self.paths_ is None:
            one, other = (zero_shot_text(self.task_, each) for each in (observed, vocabulary))
            return (2 - 2 * one @ other.T).clamp_min(0)
        paths = self.paths_
        edges = [[_edges(name, other, paths) for other in vocabulary.names] for name in observed.names]
        return torch.tensor(edges, dtype=torch.float64, device=self.task_.device).square()


def _paths(taxonomy: File) -> dict[str, list[str]]:
    """Name -> its ancestors and itself."""
    found = read_json(taxonomy, dict[str, list[str]], "give a JSON object: name -> list of its ancestors, root first")
    return {name: [*above, name] for name, above in found.items()}


def _edges(name: str, other: str, paths: dict[str, list[str]]) -> int:
    """Edges on the path between two names."""
    for each in (name, other):
        if each not in paths:
            raise UserError(f"the taxonomy has no {each!r}", "give the ancestors of every OOP and IP name")
    one, two = paths[name], paths[other]
    same = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    return len(one) + len(two) - 2 * same


@hookimpl
def harness_method() -> type[Loki]:
    """Return the method."""
    return Loki
