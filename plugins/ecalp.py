"""ECALP: labels are propagated to a test image over a graph of names, support and earlier test images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.paper import Paper
from harness.types.task import Needs

from ._training import NonNegativeFloat, NonNegativeInt, PositiveInt
from ._vocabulary import fitted_positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

ROOM = 64
"""Test images for which there is room at first."""
RESTART = 5.0
"""What the score is divided by with which an earlier image begins."""
LEAST = 1e-12


@dataclass
class GrowingGraph:
    """The graph of one vocabulary: f nodes with fixed labels, k names and then support images, and t test images.

    Matrices have room for more test images than there are.

    Attributes:
        node: ``(f, d)`` features of the names, then of the support.
        label: ``(f, k)`` their one-hot labels.
        scales: weights ``(d,)`` of the dimensions in the similarity to test images and to support images.
        image: ``(room, d)`` features of the test images.
        start: ``(room, k)`` their scores at the beginning of a propagation.
        link: ``(room, f + room)`` weights from test images to all nodes, symmetric among test images.
        degree: ``(f + room,)`` sums of the weights of a node.
        count: t.
    """

    node: Tensor
    label: Tensor
    scales: tuple[Tensor, Tensor]
    image: Tensor
    start: Tensor
    link: Tensor
    degree: Tensor
    count: int = 0

    def add(self, image: Tensor, weight: Tensor) -> None:
        """Add a test image with weights ``(f + t,)`` to all nodes before it."""
        t, f = self.count, len(self.node)
        if t == len(self.image):
            self.image, self.start = (F.pad(rows, (0, 0, 0, t + ROOM)) for rows in (self.image, self.start))
            self.link, self.degree = F.pad(self.link, (0, t + ROOM, 0, t + ROOM)), F.pad(self.degree, (0, t + ROOM))
        self.image[t], self.link[t, : f + t], self.link[:t, f + t] = image, weight, weight[f:]
        self.degree[: f + t] += weight
        self.degree[f + t] = weight.sum()
        self.count += 1

    def propagated(self, rounds: int) -> Tensor:
        """Scores ``(k,)`` of the last test image: only images that reach it in so many rounds are computed."""
        f, n = len(self.node), self.count
        link, root = self.link[:n, : f + n], self.degree[: f + n].clamp_min(1e-30).rsqrt()
        reached = [torch.tensor([n - 1], device=link.device)]
        for _ in range(rounds - 1):
            reached.append((link[reached[-1], f:] > 0).any(dim=0).nonzero()[:, 0])
        value = self.start[:n]
        for rows in reversed(reached):
            moved = root[f + rows, None] * (link[rows] @ (root[:, None] * torch.cat([self.label, value])))
            value = torch.zeros_like(value).index_copy(0, rows, moved)
        return value[-1]


@dataclass
class ECALP(Method):
    """Label propagation on a graph that grows with the test images, without training (Li et al., ICLR 2025).

    A test image is linked to its nearest names, earlier test images and support images, with ``similarity^power``. The
    similarity is the cosine; for test images the dimensions of the new one are first weighed by the variance of the
    names' features, and for support images by the inverse of the support's variance. With the symmetric normalisation
    A of all links, ``Y <- A Y`` runs for some rounds with names and support held to their labels. Its last row scores
    the image; the image begins later propagations with its best score alone, divided by five. Scores are logarithms.

    The authors' settings are the same for all data sets. Their code enters an image twice and reads the second copy,
    and an even power turns negative similarities positive; here an image enters once, and those are zero.
    """

    needs = Needs(support=True, stream=True)
    seeded = False
    paper = Paper(
        "Li et al.",
        "Efficient and Context-Aware Label Propagation for Zero-/Few-Shot "
        "Training-Free Adaptation of Vision-Language Model",
        "ICLR",
        2025,
        "https://arxiv.org/abs/2412.18303",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {"names": 3, "images": 8, "shots": 8, "power": 10.0, "rounds": 3},
        "zero-shot": {"few_shot": False},
    }

    few_shot: bool = True
    """Use the labelled support images."""
    names: PositiveInt = 3
    """Nearest names of a test image."""
    images: NonNegativeInt = 8
    """Nearest earlier test images."""
    shots: NonNegativeInt = 8
    """Nearest support images."""
    power: NonNegativeFloat = 10.0
    """Exponent of the similarities."""
    rounds: PositiveInt = 3
    """Rounds of the propagation."""

    def __post_init__(self) -> None:
        if not self.few_shot:
            self.needs = replace(self.needs, support=False)

    def fit(self, task: Task) -> Self:
        """Store the task; images are learned from as they are scored."""
        self.task_ = task
        self.streams_: dict[Vocabulary, GrowingGraph] = {}
        task.progress(1, 1)
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """The scores ``(1, k)`` of the next image of a vocabulary's stream."""
        if vocabulary not in self.streams_:
            self.streams_[vocabulary] = self._graph(vocabulary)
        return torch.stack([self._next(image, self.streams_[vocabulary]) for image in images.features[:, 0]])

    def _graph(self, vocabulary: Vocabulary) -> GrowingGraph:
        """The names, and the support images of those that have any."""
        text = zero_shot_text(self.task_, vocabulary)
        image, label, spread = text[:0], text[:0, 0].long(), torch.ones_like(text[0])
        if self.few_shot:
            support, at = self.task_.support, fitted_positions(vocabulary, self.task_)
            column = torch.tensor([at.index(y) if y in at else -1 for y in range(len(self.task_.names))])
            own = column.to(text.device)[support.label]
            image, label = support.features[own >= 0, 0], own[own >= 0]
            spread = 1 / support.features[:, 0].var(dim=0, correction=0).clamp_min(LEAST)
        of_names = text.var(dim=0, correction=0).clamp_min(LEAST)
        one = F.one_hot(torch.cat([torch.arange(len(text), device=text.device), label]), len(text)).to(text.dtype)
        return GrowingGraph(
            node=torch.cat([text, image]),
            label=one,
            scales=(of_names, spread),
            image=text[:0],
            start=one[:0],
            link=text.new_zeros(0, len(one)),
            degree=text.new_zeros(len(one)),
        )

    def _next(self, image: Tensor, graph: GrowingGraph) -> Tensor:
        """The scores ``(k,)`` of an image."""
        k, t = graph.label.shape[1], graph.count
        of_images, of_support = graph.scales
        similar = (
            (graph.node[:k] @ image, self.names),
            (graph.node[k:] @ F.normalize(of_support * image, dim=0), self.shots),
            (graph.image[:t] @ F.normalize(of_images * image, dim=0), self.images),
        )
        graph.add(image, torch.cat([self._weights(values, count) for values, count in similar]))
        found = graph.propagated(self.rounds)
        best = found.argmax()
        graph.start[t, best] = found[best] / RESTART
        return (found / found.sum().clamp_min(1e-30)).clamp_min(LEAST).log()

    def _weights(self, similarity: Tensor, count: int) -> Tensor:
        """Powers of the highest similarities, of the others zero."""
        near = similarity.topk(min(count, len(similarity)))
        return torch.zeros_like(similarity).scatter(0, near.indices, near.values.clamp_min(0) ** self.power)


@hookimpl
def harness_method() -> type[ECALP]:
    """Return the method."""
    return ECALP
