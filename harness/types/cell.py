"""One result: the smallest thing that is run, stored and found again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt
from pydantic_core import to_jsonable_python
from typing_extensions import Self

from harness.errors import one_line

ONCE = 0
"""The seed of a cell that depends on none: its method has no randomness, and nothing is drawn for it."""

Decoding = Literal["upright-white", "plain"]
"""How image files become RGB: turned by their EXIF orientation and on white; or as ``Image.convert("RGB")`` does."""


class Record(BaseModel):
    """Base of everything that is written: immutable, strict about unknown fields, and every number is finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other values; what a record keeps of itself (``cached_property``) is worked out anew."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    def digest(self, include: set[str] | None = None, *more: Any) -> str:
        """sha256 over the canonical JSON of the fields that are not at their default, or of some of them, and of more.

        A field that a later version adds has a default, and so it does not change the digest of an older record.
        """
        content = [self.model_dump(mode="json", include=include, exclude_defaults=True), *more]
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _as_json(value: Any) -> Any:
    # A record must be equal to itself read from its file, and its hash too. JSON has neither tuples nor infinity.
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _as_json(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return to_jsonable_python(value)


class MethodRecord(Record):
    """A method as it was run: what makes its numbers its own."""

    name: str
    distribution: str
    version: str
    code: str = Field(description="sha256 over the files of the plugin's distribution")
    parameters: Annotated[dict[str, Any], BeforeValidator(_as_json)]
    needs: tuple[str, ...]
    seeded: bool = Field(default=True, description="whether its results depend on the seed, apart from any draw")
    pool: str | None = Field(default=None, description="the unlabeled images it saw, None for none")

    def runs_once(self, shots: int) -> bool:
        """Whether nothing depends on the seed, so that one run, with the seed ``ONCE``, stands for all seeds."""
        return not self.seeded and shots == 0


class Preprocessing(Record):
    """How an image becomes what the encoder takes, in open_clip's words and in one form."""

    size: tuple[PositiveInt, PositiveInt] = Field(description="height and width in pixels")
    mode: Literal["RGB"]
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    interpolation: Literal["bicubic", "bilinear"]
    resize_mode: Literal["shortest", "longest", "squash"] = Field(
        description="which side becomes the encoder's; 'squash' keeps no aspect ratio"
    )
    fill_color: int = Field(ge=0, le=255, description="of what 'longest' adds at the sides")
    crop: float = Field(
        default=1.0, gt=0, le=1, description="side of the middle that is cut out over the shorter side after resizing"
    )

    @property
    def summary(self) -> str:
        """It in a few words."""
        size = "x".join(map(str, self.size))
        mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"{size} pixels, {self.resize_mode}, {self.interpolation}, mean {mean}, std {std}"


PreprocessingSource = Literal["published", "model folder", "plugin", "stated", "unchecked", "protocol"]
"""Who says how images are prepared; ``unchecked`` if nobody does."""

MODEL_FOLDERS = ("local-dir:", "hf-hub:")
"""What the name of a backbone begins with that comes whole from a folder, here or on the Hugging Face Hub."""


class BackboneRecord(Record):
    """A model as it was run."""

    architecture: str = Field(description="name in open_clip or of a plugin, or the folder that describes the model")
    pretrained: str = Field(description="published tag, or name of the weights file")
    weights_sha256: str
    corpus: str = Field(description="pre-training corpus, 'unknown' if nothing tells")
    quick_gelu: Literal["ok", "unchecked"]
    config: str = Field(description="sha256 of all that builds the model: open_clip's configuration as canonical JSON")
    preprocessing: Preprocessing
    preprocessing_source: PreprocessingSource = Field(
        description="who says so; 'unchecked' if nobody does, and what is usual for the architecture was taken"
    )
    precision: Literal["fp32", "tf32", "bf16", "fp16"]
    compiled: bool = Field(default=False, description="whether names and contexts were learned through torch.compile")


class DatasetRecord(Record):
    """The data of one domain, by content."""

    name: str
    folders: tuple[str, ...]
    fingerprint: str = Field(description="sha256 over names, paths, labels, captions and bytes of the scored images")
    oop_exact: Literal["yes", "no", "unknown"] = Field(
        description="whether the OOP names were really absent from the backbone's corpus"
    )
    copies_left_out: bool = Field(
        default=False, description="whether byte copies of train and val images are left out of the scored ones"
    )


class Spec(Record):
    """Everything that decides a number. Its hash is the cell's address."""

    schema_version: Literal[1] = 1
    protocol: str
    decoding: Decoding = Field(default="upright-white", description="how image files become RGB")
    dataset: DatasetRecord
    domain: str
    backbone: BackboneRecord
    method: MethodRecord
    shots: int
    seed: int
    manifest: str | None = Field(description="hash of the few-shot draw, None for a method that needs none")
    device: str
    versions: dict[str, str] = Field(
        description="of the harness, its libraries, and what the plugin's distribution requires"
    )

    @property
    def key(self) -> str:
        """Its digest."""
        return self.digest()

    @property
    def once(self) -> bool:
        """Whether it is run once, with the seed ``ONCE``."""
        return self.method.runs_once(self.shots)


class Failure(Record):
    """Why a cell has no metrics."""

    kind: Literal["error", "not applicable"]
    reason: Annotated[str, BeforeValidator(one_line)]


class Cost(Record):
    """What a cell took; no part of its result."""

    fit_seconds: float
    score_seconds: float
    trainable: int = Field(description="numbers that were learned")
    peak_host_bytes: int | None = Field(default=None, description="resident memory of the process while the cell ran")
    peak_gpu_bytes: int | None = Field(default=None, description="memory that torch held on the GPU; None on the CPU")


class Cell(Record):
    """One (protocol, domain, backbone, method, parameters, shots, seed) with its metrics or its failure.

    ``metrics`` holds those of ``harness.metrics.table`` whose predictions it has: without an IP folder, and for a
    method of fixed vocabulary, only those of the OOP names; those of the pool for a method that found clusters in one.
    """

    spec: Spec
    metrics: dict[str, float] = {}
    per_class: dict[str, tuple[float | None, ...]] = Field(
        default={}, description="side -> top-1 accuracy of every class among its own side's names, None without images"
    )
    not_applicable: Annotated[str, BeforeValidator(one_line)] | None = Field(
        default=None, description="why only the OOP names were scored"
    )
    images: dict[str, int] = Field(default={}, description="scored images of each side")
    outcome: Annotated[dict[str, Any], BeforeValidator(_as_json)] = Field(
        default={}, description="what the method tells of its fit, in its own words"
    )
    remarks: tuple[str, ...] = Field(default=(), description="what of the method's own report is left out, and why")
    unreadable: tuple[str, ...] = Field(default=(), description="images that could not be decoded")
    copies: int = Field(
        default=0, description="scored images with the bytes of an image that the method was given for its fit"
    )
    left_out: int = Field(default=0, description="images that are not scored: copies of train or val images")
    collisions: tuple[tuple[str, ...], ...] = Field(
        default=(), description="groups of names, of one side or of both, that are one text to the tokenizer"
    )
    revision: str | None = Field(default=None, description="of the data set, where a download wrote it down")
    predictions: str | None = Field(default=None, description="sha256 of the file with the predicted columns")
    failure: Failure | None = None
    cost: Cost | None = None
    trace: str | None = Field(
        default=None,
        exclude=True,
        repr=False,
        description="a failure's traceback on its way to a log; not written",
    )
    answers: bytes | None = Field(
        default=None, exclude=True, repr=False, description="that file's content on its way to the ledger; not written"
    )
