"""What a method may see when it is fitted: no more than it declared, and never a label of a scored image."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from harness.errors import MethodError
from harness.prompts import Template
from harness.types.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor

    from harness.prompts import Prompt

Pool = Literal["train-unlabeled", "test-unlabeled"]
"""Whose images an unlabeled pool holds: those of the OOP train part, or the OOP images that are scored."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Needs:
    """What a method asks for; every need becomes a column of the leaderboard.

    Labelled images come with what their labels mean: captions imply support, and support and validation the vocabulary.

    Attributes:
        support: labelled few-shot images of the OOP names.
        captions: the captions of the support images (implies support).
        validation: the few-shot validation draw.
        unlabeled: images of the OOP names without labels; ``Method.pool`` says which.
        ip: the labelled IP train images, as known classes.
        clusters: how many classes the pool holds.
        vocabulary: the OOP names.
    """

    support: bool = False
    captions: bool = False
    validation: bool = False
    unlabeled: bool = False
    ip: bool = False
    clusters: bool = False
    vocabulary: bool = False

    def declared(self) -> tuple[str, ...]:
        """The needs that are declared, by name."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))

    def includes(self, need: str) -> bool:
        """Whether a need is declared, or implied by one that is."""
        return getattr(self, need) or any(self.includes(other) for other in IMPLIED_BY.get(need, ()))

    def __or__(self, other: Needs) -> Needs:
        """What either asks for."""
        return Needs(**{need: getattr(self, need) or getattr(other, need) for need in Needs.__dataclass_fields__})


IMPLIED_BY = {"support": ("captions",), "vocabulary": ("support", "validation")}
"""Need -> the needs that cannot do without it."""


@dataclass(frozen=True)
class Support:
    """Labelled images of the OOP names, or of IP classes.

    Attributes:
        image: ``(n, v, d)`` unit rows: n images, v views; view 0 is the test view.
        label: ``(n,)`` int64, position in ``Task.names``; of IP images the number of the class.
        captions: n captions or None, absent unless captions were declared as a need.
    """

    image: Tensor
    label: Tensor
    captions: tuple[str | None, ...] | None = None


class TextTower(Protocol):
    """The frozen text encoder; ``harness.backbones.text`` has the one implementation.

    ``encode`` is enough for most methods. One that encodes the same prompts at every step tokenises them once with
    ``tokenize`` and then calls ``encode_tokens``.
    """

    width: int
    context_length: int

    @property
    def embedding_std(self) -> float:
        """Standard deviation over the whole token-embedding table; the scale for random initialisation."""
        ...

    def encode(self, prompts: Sequence[Prompt], overrides: dict[str, Tensor] | None = None) -> Tensor:
        """Unit rows (k, d) of k prompts; overrides replace keyed pieces by learned token embeddings."""
        ...

    def norms(self, prompts: Sequence[Prompt]) -> Tensor:
        """Lengths (k,) that the features of k prompts have before they are made unit rows."""
        ...

    def token_embedding(self, text: str) -> Tensor:
        """The frozen embeddings (r, width) of a text's r tokens."""
        ...

    def tokenize(self, prompts: Sequence[Prompt], table: Mapping[str, tuple[int, int]] | None = None) -> Any:
        """Prompts as tokens; pieces with a key of ``table`` -> (first row, rows) are places for learned rows."""
        ...

    def encode_tokens(self, tokens: Any, learned: Tensor | None = None) -> Tensor:
        """Unit rows (k, d) of k tokenised prompts; learned (R, width) is the table that ``tokenize`` was told of."""
        ...


class Progress(Protocol):
    """Called with the steps done and the steps in all."""

    def __call__(self, done: int, total: int) -> None:
        """Report progress; cheap, may be called at every step."""


def _ignore_progress(done: int, total: int) -> None:
    return None


@dataclass(frozen=True)
class Task:
    """Everything ``Method.fit`` is given. A field that was not declared as a need raises when it is read.

    Attributes:
        hint: what the domain's concepts are called in a prompt.
        template: the prompt template of the protocol.
        text: the frozen text tower.
        logit_scale: the model's own scale of cosines, exponentiated.
        generator: the only source of randomness; seeded by the cell. It is of the CPU on every device, so that a seed
            draws the same on each: draw there, then ``.to(task.device)``.
        device: where features are and scores are wanted.
        shots: images per class that the draw asked for.
        progress: call it with (steps done, steps in all).
    """

    hint: str
    text: TextTower
    logit_scale: float
    generator: torch.Generator
    device: torch.device
    template: Template = field(default_factory=Template)
    shots: int = 0
    progress: Progress = _ignore_progress
    _support: Support | None = field(default=None, repr=False)
    _validation: Support | None = field(default=None, repr=False)
    _unlabeled: Tensor | None = field(default=None, repr=False)
    _ip: Support | None = field(default=None, repr=False)
    _clusters: int | None = field(default=None, repr=False)
    _names: tuple[str, ...] | None = field(default=None, repr=False)
    _ip_names: int = field(default=0, repr=False)

    @property
    def support(self) -> Support:
        """The labelled few-shot images (need: support)."""
        return _require_declared(self._support, "support")

    @property
    def validation(self) -> Support:
        """The few-shot validation draw (need: validation)."""
        return _require_declared(self._validation, "validation")

    @property
    def unlabeled(self) -> Tensor:
        """``(n, d)`` unit rows of the pool, in an order that tells nothing about the class (need: unlabeled)."""
        return _require_declared(self._unlabeled, "unlabeled")

    @property
    def ip(self) -> Support:
        """The labelled IP train images, none where the data have no IP folder (need: ip)."""
        return _require_declared(self._ip, "ip")

    @property
    def clusters(self) -> int:
        """How many classes the pool holds (need: clusters)."""
        return _require_declared(self._clusters, "clusters")

    @property
    def names(self) -> tuple[str, ...]:
        """The names to be fitted on; position = label (need: vocabulary).

        The OOP names, unless the protocol fits methods on the IP names or on both, the OOP names first.
        """
        return _require_declared(self._names, "vocabulary")

    @property
    def vocabulary(self) -> Vocabulary:
        """The names as a vocabulary (need: vocabulary)."""
        oop = len(self.names) - self._ip_names
        return Vocabulary.of(self.hint, oop=self.names[:oop], ip=self.names[oop:])


def _require_declared(value: _T | None, need: str) -> _T:
    if value is None:
        raise MethodError(
            f"the task has no {need}: the method did not declare it", f"add {need}=True to the method's needs"
        )
    return value
