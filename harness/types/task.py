"""The input of ``Method.fit``: only what the method declares, and never a label of a scored image."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from harness.errors import MethodError
from harness.prompts import Template
from harness.types.images import Images as Images
from harness.types.images import Support as Support
from harness.types.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from torch import Tensor, nn

    from harness.prompts import Prompt

Pool = Literal["train-unlabeled", "test-unlabeled"]
"""The images of an unlabeled pool: the OOP train part, or the scored OOP images."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Needs:
    """The inputs that a method requires; each need is a column of the leaderboard.

    Captions imply support; support and validation imply the vocabulary, which gives their labels a meaning.

    Attributes:
        support: labelled few-shot images of the OOP names.
        captions: the captions of the support images (implies support).
        validation: the few-shot validation draw.
        unlabeled: images of the OOP names without labels; ``Method.pool`` says which.
        ip: the labelled IP train images, as known classes.
        clusters: the number of classes in the pool.
        vocabulary: the OOP names.
        texts: sentences of every name, from the file that ``--texts`` names.
        preprojection: of all images, what the image projection is applied to.
        tokens: of all images, the projected patch tokens.
        pixels: of all images, the preprocessed pixels.
        model: a copy of the model that may be changed and trained.
        stream: the scored images come one after the other, in an order that is part of the cell.
    """

    support: bool = False
    captions: bool = False
    validation: bool = False
    unlabeled: bool = False
    ip: bool = False
    clusters: bool = False
    vocabulary: bool = False
    texts: bool = False
    preprojection: bool = False
    tokens: bool = False
    pixels: bool = False
    model: bool = False
    stream: bool = False

    def declared(self) -> tuple[str, ...]:
        """Names of the declared needs."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))

    def includes(self, need: str) -> bool:
        """Whether a need is declared or implied by a declared one."""
        return getattr(self, need) or any(self.includes(other) for other in IMPLIED_BY.get(need, ()))

    def __or__(self, other: Needs) -> Needs:
        """The union of two sets of needs."""
        return Needs(**{need: getattr(self, need) or getattr(other, need) for need in Needs.__dataclass_fields__})


IMPLIED_BY = {"support": ("captions",), "vocabulary": ("support", "validation")}
"""Need -> the needs that imply it."""


class TextTower(Protocol):
    """The frozen text encoder; implemented in ``harness.backbones.text``.

    ``encode`` is enough for most methods. A method that encodes the same prompts at every step calls ``tokenize`` once
    and then ``encode_tokens``.
    """

    width: int
    context_length: int

    @property
    def embedding_std(self) -> float:
        """Standard deviation of the token-embedding table; the scale for random initialisation."""
        ...

    def encode(self, prompts: Sequence[Prompt], overrides: dict[str, Tensor] | None = None) -> Tensor:
        """Unit rows ``(k, d)`` of k prompts; overrides replace keyed pieces by learned token embeddings."""
        ...

    def norms(self, prompts: Sequence[Prompt]) -> Tensor:
        """L2 norms ``(k,)`` of the features of k prompts before normalization."""
        ...

    def token_embedding(self, text: str) -> Tensor:
        """The frozen embeddings ``(r, width)`` of a text's r tokens."""
        ...

    def tokenize(self, prompts: Sequence[Prompt], table: Mapping[str, tuple[int, int]] | None = None) -> Any:
        """Tokenized prompts; pieces with a key of ``table`` -> (first row, rows) become slots for learned rows."""
        ...

    def encode_tokens(self, tokens: Any, learned: Tensor | None = None) -> Tensor:
        """Unit rows ``(k, d)`` of k tokenized prompts; learned ``(R, width)`` is the table of ``tokenize``."""
        ...

    def on(self, model: Any) -> TextTower:
        """The text encoder of a copy of the model; gradients flow into its weights, and nothing is cached."""
        ...


class TrainableModel(Protocol):
    """The model that a method may change; implemented in ``harness.backbones.private_copy``."""

    def __call__(self, train: Callable[[str], bool] | None = None) -> nn.Module:
        """A private copy of the open_clip module, in evaluation mode: see ``Task.model``."""
        ...

    def encode_image(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """Unit rows ``(b, d)`` in fp32 of pixels ``(b, 3, h, w)``, with the precision of the run."""
        ...


class Progress(Protocol):
    """Callback with the number of completed steps and the total."""

    def __call__(self, done: int, total: int) -> None:
        """Report progress; cheap enough for every step."""


def _ignore_progress(done: int, total: int) -> None:
    return None


@dataclass(frozen=True)
class Task:
    """The input of ``Method.fit``. Reading a field that is not a declared need raises MethodError.

    Attributes:
        noun: what the domain's concepts are called in a prompt.
        template: the prompt template of the protocol.
        text: the frozen text tower.
        logit_scale: the model's own scale of cosines, exponentiated.
        generator: the only source of randomness, seeded by the cell. It is a CPU generator on every device, so that
            draws do not depend on the device: draw on the CPU, then call ``.to(task.device)``.
        device: device of the features and of the returned scores.
        shots: requested images per class.
        progress: call it with (completed steps, total steps).
    """

    noun: str
    text: TextTower
    logit_scale: float
    generator: torch.Generator
    device: torch.device
    template: Template = field(default_factory=Template)
    shots: int = 0
    progress: Progress = _ignore_progress
    _support: Support | None = field(default=None, repr=False)
    _validation: Support | None = field(default=None, repr=False)
    _unlabeled: Images | None = field(default=None, repr=False)
    _ip: Support | None = field(default=None, repr=False)
    _clusters: int | None = field(default=None, repr=False)
    _names: tuple[str, ...] | None = field(default=None, repr=False)
    _ip_count: int = field(default=0, repr=False)
    _ip_names: tuple[str, ...] | None = field(default=None, repr=False)
    _texts: Mapping[str, tuple[str, ...]] | None = field(default=None, repr=False)
    _model: TrainableModel | None = field(default=None, repr=False)
    _projection: Callable[[], tuple[Tensor, Tensor | None]] | None = field(default=None, repr=False)

    @property
    def support(self) -> Support:
        """The labelled few-shot images (need: support)."""
        return _require_declared(self._support, "support")

    @property
    def validation(self) -> Support:
        """The few-shot validation draw (need: validation)."""
        return _require_declared(self._validation, "validation")

    @property
    def unlabeled(self) -> Images:
        """The images of the pool, in an order independent of the class (need: unlabeled)."""
        return _require_declared(self._unlabeled, "unlabeled")

    @property
    def ip(self) -> Support:
        """The labelled IP train images; empty if the data have no IP folder (need: ip)."""
        return _require_declared(self._ip, "ip")

    @property
    def ip_names(self) -> tuple[str, ...]:
        """The names of the classes of ``ip``; position = label (need: ip)."""
        return _require_declared(self._ip_names, "ip")

    @property
    def clusters(self) -> int:
        """The number of classes in the pool (need: clusters)."""
        return _require_declared(self._clusters, "clusters")

    @property
    def names(self) -> tuple[str, ...]:
        """The names to fit on; position = label (need: vocabulary).

        These are the OOP names, or the IP names, or both with the OOP names first, as the protocol says.
        """
        return _require_declared(self._names, "vocabulary")

    @property
    def vocabulary(self) -> Vocabulary:
        """The names as a vocabulary (need: vocabulary)."""
        oop = len(self.names) - self._ip_count
        return Vocabulary.of(self.noun, oop=self.names[:oop], ip=self.names[oop:])

    @property
    def texts(self) -> Mapping[str, tuple[str, ...]]:
        """Name -> sentences about it, for all OOP and IP names of the domain (need: texts)."""
        return _require_declared(self._texts, "texts")

    def with_support(self, support: Support, validation: Support | None = None, ip: bool = False) -> Task:
        """The same task with other labelled images: for a method that fits another one to images it chose.

        Args:
            support: the new support; ``shots`` becomes the number of images of its largest class.
            validation: the new validation draw; None: none.
            ip: the labels are of ``ip_names`` rather than ``names``, so the inner method is fitted on the IP names.
        """
        of_ip = {"_names": self.ip_names, "_ip_count": len(self.ip_names)} if ip else {}
        shots = int(support.label.bincount().max()) if len(support) else 0
        return replace(self, shots=shots, _support=support, _validation=validation, **of_ip)  # type: ignore[arg-type]

    def as_part(self, number: int, parts: int) -> Task:
        """The same task for one of several fits that share its progress; ``number`` counts them from 0."""
        return replace(self, progress=lambda done, total: self.progress(number * total + done, parts * total))

    def model(self, train: Callable[[str], bool] | None = None) -> nn.Module:
        """A private copy of the open_clip module, in evaluation mode, to be changed by this fit alone (need: model).

        Args:
            train: whether the weight of a name is trained. Those weights are cloned and require gradients; all others
                are shared with the frozen model and must not be written. None: none is trained, as for adapters and
                prompts that a method adds.
        """
        return _require_declared(self._model, "model")(train)

    def encode_image(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """Unit rows ``(b, d)`` of pixels ``(b, 3, h, w)``, by a copy of the model, with gradients (need: model)."""
        return _require_declared(self._model, "model").encode_image(model, pixels)

    @property
    def projection(self) -> tuple[Tensor, Tensor | None]:
        """The frozen image projection: weight ``(w, d)``, and bias ``(d,)`` or None (need: preprojection)."""
        return _require_declared(self._projection, "preprojection")()


def _require_declared(value: _T | None, need: str) -> _T:
    if value is None:
        raise MethodError(
            f"the task has no {need}: the method does not declare it", f"add {need}=True to the method's needs"
        )
    return value
