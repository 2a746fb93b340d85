"""Methods that learn from IP classes how a name's text feature becomes the feature of its images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from harness.errors import MethodError
from harness.method import Method
from harness.types.task import Needs
from harness.types.vocabulary import Vocabulary

from ._clustering import class_means
from ._grid_search import middle_of_best
from ._vocabulary import add_to_fitted, fitted_positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task

FOLDS = 5
"""Parts of the IP classes, each of which is posed as out of pre-training once."""


@dataclass(frozen=True)
class KnownClasses:
    """KnownClasses classes.

    Attributes:
        texts: ``(c, d)`` unit text features.
        means: ``(c, d)`` unit mean image features.
    """

    texts: Tensor
    means: Tensor

    def __getitem__(self, rows: Tensor) -> KnownClasses:
        """Some of the classes."""
        return KnownClasses(self.texts[rows], self.means[rows])


@dataclass
class KnownConceptMethod(Method):
    """Base of the methods that change the text features of the OOP names by what labelled IP images teach.

    No image of an OOP name is used. Settings are chosen as if some IP names were out of pre-training: the IP classes
    are split into folds, each fold's names are changed by what the others teach, and its images are classified among
    its names. All other names keep their zero-shot scores, and OOP names their total probability.
    """

    needs = Needs(ip=True, vocabulary=True)

    def fit(self, task: Task) -> Self:
        """Choose the settings on folds of the IP classes, and change the OOP names' features."""
        self.task_ = task
        known, image, label = self._known(task)
        grids = self.grids()
        right = torch.zeros([len(grid) for grid in grids.values()], dtype=torch.long)
        learn = self.learner(task)
        for fold in range(min(FOLDS, len(known.texts))):
            held = torch.arange(len(known.texts), device=label.device) % FOLDS == fold
            of_fold = held[label]
            truth = (held.cumsum(dim=0) - 1)[label[of_fold]]
            right += self._count(learn(known[~held]), known.texts[held], image[of_fold], truth, grids)
        best = middle_of_best(right.tolist())
        self.chosen_ = {name: grid[at] for (name, grid), at in zip(grids.items(), best, strict=True)}
        text = zero_shot_text(task, task.vocabulary)
        self.text_ = learn(known)(text, **self.chosen_)
        task.progress(1, 1)
        return self

    @abstractmethod
    def grids(self) -> dict[str, tuple[float, ...]]:
        """Name of a setting -> its candidates."""

    @abstractmethod
    def learner(self, task: Task) -> Callable[[KnownClasses], Callable[..., Tensor]]:
        """Gives, for known classes, the function from text features ``(m, d)`` and settings to changed unit rows."""

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T`` with changed OOP names, among the OOP names; others as in zero-shot."""
        task, image = self.task_, images.features[:, 0]
        zero_shot = task.logit_scale * image @ zero_shot_text(task, vocabulary).T
        moved = task.logit_scale * image @ (self.text_ - zero_shot_text(task, task.vocabulary)).T
        return add_to_fitted(zero_shot, moved, fitted_positions(vocabulary, task))

    def outcome(self) -> dict[str, Any]:
        """The chosen settings."""
        return self.chosen_

    def trainable(self) -> int:
        """Elements of the changed features."""
        return self.text_.numel()

    def _known(self, task: Task) -> tuple[KnownClasses, Tensor, Tensor]:
        """The IP classes with images, and the images ``(n, d)`` with their positions among these ``(n,)``."""
        there, label = task.ip.label.unique(return_inverse=True)
        if len(there) < 2:
            raise MethodError(
                "there are no labelled IP images of two classes to learn from", "use data with IP folders"
            )
        names = tuple(task.ip_names[i] for i in there.tolist())
        image = task.ip.features[:, 0]
        text = zero_shot_text(task, Vocabulary.of(task.noun, ip=names))
        return KnownClasses(text, F.normalize(class_means(image, label), dim=1)), image, label

    def _count(
        self, change: Callable[..., Tensor], text: Tensor, image: Tensor, truth: Tensor, grids: dict[str, Any]
    ) -> Tensor:
        """Correctly classified images of a fold for every setting."""
        settings = torch.cartesian_prod(*(torch.arange(len(grid)) for grid in grids.values())).reshape(-1, len(grids))
        right = []
        for at in settings.tolist():
            setting = {name: grid[i] for (name, grid), i in zip(grids.items(), at, strict=True)}
            right.append(int(((image @ change(text, **setting).T).argmax(dim=1) == truth).sum()))
        return torch.tensor(right).reshape([len(grid) for grid in grids.values()])
