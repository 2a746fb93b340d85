"""Few-shot name learning (FSNL): tune the token embeddings of the OOP names, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from harness.hookspecs import Register, hookimpl
from harness.method import Method
from harness.prompts import Prompt, locate
from harness.types.task import Needs

from ._contrastive import symmetric_contrastive
from ._names import NameEmbeddings

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class FSNL(Method):
    """Few-shot name learning (Chen et al., CVPR 2025).

    Every OOP name is a small matrix of token embeddings, learned through the frozen text tower with the mean of two
    symmetric contrastive losses: (a) the batch's images against the prompts of all names, (b) the batch's images
    against their captions after context swap: a caption keeps its own name and takes the text around it from a
    caption of another class. Captions that are missing or do not contain their name take no part in (b).
    """

    needs = Needs(support=True, captions=True)
    paper = "Chen et al., CVPR 2025"
    presets = {  # noqa: RUF012 - read only
        "paper": {
            "optimizer": "sgd",
            "lr": None,
            "weight_decay": 5e-4,
            "epochs": 200,
            "warmup_lr": 1e-5,
            "caption_weight": 0.5,
            "captions_per_class": None,
            "views": 16,
        },
    }

    epochs: int = 60
    """Passes over the support images."""
    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float | None = 0.01
    """Learning rate; None is the paper's rule, batch / 128 * 2e-4."""
    momentum: float = 0.9
    """Of SGD."""
    weight_decay: float = 0.0
    warmup_lr: float | None = None
    """Constant learning rate of the first epoch; None has no such epoch."""
    shots_per_batch: int = 4
    """A batch holds classes * min(shots, this) images."""
    caption_weight: float = 0.5
    """Weight of loss (b); loss (a) has the rest. 0 learns without captions."""
    captions_per_class: int | None = 1
    """Captions of each class that a batch's loss (b) uses, drawn anew for every batch; None uses all."""
    swap: Literal["random", "similar", "none"] = "random"
    """Where a caption's context comes from: any other class, the most similar one in the batch, or its own."""
    length: int | None = None
    """Learned tokens per name; None takes as many as the name has."""
    init: Literal["name", "random"] = "name"
    views: int = 1
    """Views of each support image; a batch takes one of them at random."""

    def fit(self, task: Task) -> Self:
        """Learn the name embeddings from the support."""
        self.task_ = task
        self.names_ = NameEmbeddings(task.names, task, self.length, self.init)
        rows = self.names_.rows.requires_grad_(True)
        prompts = task.text.tokenize([task.template.fill(name, task.hint) for name in task.names], self.names_.table)
        every = torch.arange(len(task.names), device=task.device)
        support = task.support
        located = self._located(task)
        batch = len(task.names) * min(task.shots or 1, self.shots_per_batch)
        step = self._optimizer(rows, batch)
        per_epoch = math.ceil(len(support.label) / batch)
        for epoch in range(self.epochs):
            for group in step.param_groups:
                group["lr"] = self._lr(epoch, batch)
            for n, chosen in enumerate(self._batches(task, batch)):
                image = self._view(task, chosen)
                label = support.label[chosen]
                names = task.text.encode_tokens(prompts, rows)
                loss = symmetric_contrastive(image, names, label, every, task.logit_scale)
                swapped = self._swapped(task, chosen, located, names)
                if swapped is not None:
                    texts, text_label = swapped
                    captions = task.text.encode_tokens(task.text.tokenize(texts, self.names_.table), rows)
                    second = symmetric_contrastive(image, captions, label, text_label, task.logit_scale)
                    loss = (1 - self.caption_weight) * loss + self.caption_weight * second
                step.zero_grad()
                loss.backward()
                step.step()
                task.progress(epoch * per_epoch + n + 1, self.epochs * per_epoch)
        self.names_.rows = rows.detach()
        with torch.no_grad():
            self.text_ = task.text.encode_tokens(prompts, self.names_.rows)
        return self

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T`` with learned OOP names; other names are as in zero-shot."""
        task = self.task_
        frozen = [n for n, oop in zip(vocabulary.names, vocabulary.oop, strict=True) if not self._learned(n, oop)]
        encoded = task.text.encode([task.template.fill(name, vocabulary.hint) for name in frozen])
        text = torch.empty(len(vocabulary), image.shape[1], device=image.device)
        rest = iter(encoded)
        for column, (name, oop) in enumerate(zip(vocabulary.names, vocabulary.oop, strict=True)):
            text[column] = self.text_[task.names.index(name)] if self._learned(name, oop) else next(rest)
        return task.logit_scale * image @ text.T

    def trainable(self) -> int:
        """Rows times width."""
        return self.names_.rows.numel()

    def _learned(self, name: str, oop: bool) -> bool:
        return oop and name in self.names_.table

    def _optimizer(self, rows: Tensor, batch: int) -> torch.optim.Optimizer:
        lr = self._lr(0, batch)
        if self.optimizer == "sgd":
            return torch.optim.SGD([rows], lr=lr, momentum=self.momentum, weight_decay=self.weight_decay)
        return torch.optim.Adam([rows], lr=lr, weight_decay=self.weight_decay)

    def _lr(self, epoch: int, batch: int) -> float:
        if epoch == 0 and self.warmup_lr is not None:
            return self.warmup_lr
        peak = self.lr if self.lr is not None else batch / 128 * 2e-4
        return peak * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))

    def _batches(self, task: Task, batch: int) -> Iterator[Tensor]:
        order = torch.randperm(len(task.support.label), generator=task.generator, device=task.device)
        yield from order.split(batch)

    def _view(self, task: Task, chosen: Tensor) -> Tensor:
        image = task.support.image[chosen]
        count = image.shape[1]
        view = torch.randint(count, (len(chosen),), generator=task.generator, device=task.device)
        return image[torch.arange(len(chosen), device=task.device), view]

    def _located(self, task: Task) -> list[Prompt | None]:
        """The captions of the support as prompts around their own class name."""
        captions = task.support.captions or ()
        labels = task.support.label.tolist()
        return [locate(c, task.names[y]) if c else None for c, y in zip(captions, labels, strict=True)]

    def _swapped(
        self, task: Task, chosen: Tensor, located: list[Prompt | None], names: Tensor
    ) -> tuple[list[Prompt], Tensor] | None:
        """Captions of a batch after context swap, and their labels; None if fewer than two classes have one."""
        labels = task.support.label.tolist()
        usable = [i for i in chosen.tolist() if located[i] is not None] if self.caption_weight > 0 else []
        if self.captions_per_class is not None:
            kept: dict[int, list[int]] = {}
            for i in usable:  # the batch is in random order, so the first ones are a random choice
                kept.setdefault(labels[i], []).append(i)
            usable = [i for group in kept.values() for i in group[: self.captions_per_class]]
        if len({labels[i] for i in usable}) < 2:
            return None
        texts = []
        draw = torch.rand(len(usable), generator=task.generator, device=task.device).tolist()
        nearest = (names.detach() @ names.detach().T).tolist() if self.swap == "similar" else None
        for i, at in zip(usable, draw, strict=True):
            others = [j for j in usable if labels[j] != labels[i]] if self.swap != "none" else [i]
            if nearest is not None:
                best = max(nearest[labels[i]][labels[j]] for j in others)
                others = [j for j in others if nearest[labels[i]][labels[j]] == best]
            context = located[others[int(at * len(others))]]
            if context is not None:
                texts.append(context.with_name(task.names[labels[i]]))
        return texts, torch.tensor([labels[i] for i in usable], device=task.device)


@hookimpl
def harness_register_methods(register: Register) -> None:
    """Offer the method."""
    register("fsnl", FSNL)
