"""NoLA's labelling network: sentences label a pool, and a head on a second encoder learns the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.discovery import Discovery
from harness.types.paper import Paper
from harness.types.task import Needs, Pool, Support

from ._clustering import canonical_order
from ._layers import uniform_init
from ._sentences import sentence_features
from ._training import Batch, Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt, TrainedMethod
from ._vocabulary import add_to_fitted, fitted_positions

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

CHOICES = 3
"""A name that is no image's first choice takes images whose second or third choice it is."""


@dataclass
class NolaHead(TrainedMethod):
    """A head on a second encoder, fitted to labels that sentences give a pool (Imam et al., arXiv 2411.19346).

    1. A name's feature is the mean of its sentences, and in the paper of templates too, as in ``cupl``; every pool
    image has the probabilities ``softmax(logit_scale * image @ text.T)``. 2. Of the images that choose a name, the
    ``max(least, share * N / K)`` most confident ones are labelled with it. 3. An MLP, ``w2 relu(w1 z + b1) + b2``,
    learns these labels from frozen features z of the second encoder, by cross-entropy. It scores the OOP names; other
    names keep the scores of the sentences, and the total probability of the OOP names stays as it was.

    ``encoder`` is a model of timm, in the paper DINO's ViT-B/16; without one z are the backbone's own features, and
    the head sees nothing that the labels were not made of. Features come with length 1 and are multiplied by the root
    of their size, as a layer norm scales them. Left out is the paper's second stage, which tunes prompts and layer
    norms of CLIP on strong crops by the head's labels: the head itself is the classifier. The authors choose the epoch
    on labelled images; here the last one counts. Batch size, learning rate and its cosine decay are ours. So are
    sentences without templates: on IP images of two domains of the miniature, templates cost 4 points.
    """

    needs = Needs(unlabeled=True, vocabulary=True, texts=True)
    paper = Paper(
        "Imam et al.",
        "CLIP meets DINO for Tuning Zero-Shot Classifier using Unlabeled Image Collections",
        "arXiv",
        2024,
        "https://arxiv.org/abs/2411.19346",
    )
    presets = {"paper": {"encoder": "vit_base_patch16_224.dino", "prompts": "both"}}  # noqa: RUF012 - read only

    encoder: str | None = None
    """Second encoder: a name of timm, ``local-dir:`` and a folder, or ``hf-hub:`` and a name; None: the backbone."""
    pool: Pool = "train-unlabeled"
    """Pool of images that are labelled."""
    share: Fraction = 0.2
    """Labelled images of a name, as a share of the pool divided by the number of names."""
    least: PositiveInt = 16
    """Labelled images of a name, if so many choose it."""
    prompts: Literal["sentences", "both"] = "sentences"
    """The sentences alone, or together with the templates of the prompt ensemble."""
    hidden: PositiveInt = 256
    """Hidden units of the head."""
    batch: PositiveInt = 64
    """Images of a step."""
    epochs: NonNegativeInt = 50
    lr: NonNegativeFloat = 0.001

    def __post_init__(self) -> None:
        if self.encoder is not None:
            self.encoders = (self.encoder,)

    def fit(self, task: Task) -> Self:
        """Label the pool and fit the head."""
        self.task_ = task
        order = canonical_order(task.unlabeled.features[:, 0])  # results do not depend on the order of the pool
        pool = task.unlabeled[order]
        text = sentence_features(task, task.vocabulary, self.prompts == "both")
        probability = (task.logit_scale * pool.features[:, 0] @ text.T).softmax(dim=1)
        count = max(self.least, int(self.share * len(pool) / len(text)))
        index, label = confident_images(probability, count)
        rows = self._rows(pool)
        size, names = rows.shape[1], len(text)
        self.weights_ = [
            uniform_init(task, *shape, inputs=inputs, dtype=rows.dtype)
            for inputs, out in ((size, self.hidden), (self.hidden, names))
            for shape in ((inputs, out), (out,))
        ]
        labelled = Support(rows[index, None], label)
        self.train(task, self.weights_, self._loss, min(self.batch, len(index)), support=labelled)
        self.found_ = Discovery(self._head(rows)[torch.argsort(order)].argmax(dim=1), torch.arange(names))
        self.labelled_ = torch.bincount(label, minlength=names).tolist()
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """The head's log-probabilities of the OOP names, beside the sentences' scores of the others."""
        base = self._by_sentences(images, vocabulary)
        term = self._head(self._rows(images)).log_softmax(dim=1) - self._by_sentences(images, self.task_.vocabulary)
        return add_to_fitted(base, term, fitted_positions(vocabulary, self.task_))

    def discovery(self) -> Discovery:
        """The pool's images by the name that the head gives them."""
        return self.found_

    def outcome(self) -> dict[str, Any]:
        """Whose features the head is fitted to, and the number of labelled images of every name."""
        return {"features": "backbone" if self.encoder is None else "second encoder", "labelled": self.labelled_}

    def trainable(self) -> int:
        """Elements of the head."""
        return sum(weight.numel() for weight in self.weights_)

    def _by_sentences(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        text = sentence_features(self.task_, vocabulary, self.prompts == "both")
        return self.task_.logit_scale * images.features[:, 0] @ text.T

    def _rows(self, images: Images) -> Tensor:
        rows = (images.features if self.encoder is None else images.encoded(self.encoder))[:, 0]
        return rows * rows.shape[1] ** 0.5

    def _head(self, rows: Tensor) -> Tensor:
        into, bias, out, last = self.weights_
        return (rows @ into + bias).relu() @ out + last

    def _loss(self, batch: Batch) -> Tensor:
        return F.cross_entropy(self._head(batch.image), batch.label)


def confident_images(probability: Tensor, count: int, choices: int = CHOICES) -> tuple[Tensor, Tensor]:
    """Positions ``(m,)`` of labelled images and their labels: of each name the most confident that choose it.

    Args:
        probability: ``(n, k)`` of n images.
        count: labelled images of a name, at most.
        choices: names that an image chooses; a later one counts where no image has made an earlier choice.
    """
    chosen = probability.topk(min(choices, probability.shape[1]), dim=1).indices.T
    index, label = [], []
    for name in range(probability.shape[1]):
        choosing = ((choice == name).nonzero()[:, 0] for choice in chosen)
        own = next((found for found in choosing if len(found)), chosen.new_empty(0))
        index.append(own[probability[own, name].argsort(descending=True, stable=True)[:count]])
        label.append(torch.full_like(index[-1], name))
    return torch.cat(index), torch.cat(label)


@hookimpl
def harness_method() -> type[NolaHead]:
    """Return the method."""
    return NolaHead
