"""Records of one cell: the smallest unit that is run, stored and looked up."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt
from pydantic_core import to_jsonable_python
from typing_extensions import Self

from harness.errors import one_line
from harness.metrics.metric import LARGEST
from harness.types.task import Needs

NEEDS = {need.name for need in dataclasses.fields(Needs)}

NO_SEED = 0
"""Seed of a cell that does not depend on a seed: its method is deterministic and no images are drawn."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A hexadecimal sha256; many are parts of paths."""

SEED_LIMIT = 10**18
"""Seeds are smaller; so is the absolute value of a negative one."""

SeedNumber = Annotated[int, Field(gt=-SEED_LIMIT, lt=SEED_LIMIT)]
"""A seed; it has at most 18 digits as the key of a JSON object."""

Sentence = Annotated[str, BeforeValidator(one_line)]
"""What a plugin says, for people: one line of bounded length."""

Count = Annotated[int, Field(ge=0, lt=2**62)]
"""A number of learned values, or of bytes."""

MetricValue = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]

Decoding = Literal["upright-white", "plain"]
"""How image files become RGB: EXIF orientation applied and transparency on white, or ``Image.convert("RGB")``."""


class Record(BaseModel):
    """Base class of all stored records: immutable, no unknown fields, only finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with changed values; each ``cached_property`` is recomputed."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    def digest(self, include: set[str] | None = None, *more: Any) -> str:
        """sha256 over canonical JSON of the fields (or those in ``include``) that differ from their default, and more.

        So a field that a later version adds, with a default, does not change the digest of an older record.
        """
        content = [self.model_dump(mode="json", include=include, exclude_defaults=True), *more]
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def to_json(value: Any) -> Any:
    """A parameter or diagnostic as the plain JSON that a record of it holds."""
    # A record read from its file must equal the original, digest included. JSON has neither tuples nor infinity.
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return to_jsonable_python(value)


def _known_needs(needs: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := set(needs) - NEEDS:
        raise ValueError(f"no need is named {min(unknown)!r}")
    return needs


NeedNames = Annotated[tuple[str, ...], AfterValidator(_known_needs)]


class MethodRecord(Record):
    """A method as it was run: everything about it that its numbers depend on."""

    name: str
    distribution: str
    version: str
    code: str = Field(description="sha256 over the files of the plugin's distribution")
    parameters: Annotated[dict[str, Any], BeforeValidator(to_json)]
    needs: NeedNames
    seeded: bool = Field(default=True, description="whether its results depend on the seed, apart from any draw")
    pool: str | None = Field(default=None, description="the unlabeled images given to it, None for none")
    test_views: int = Field(default=1, ge=1, description="views of each scored image")
    encoders: dict[str, Sha256] = Field(
        default={}, description="second image encoders, and the sha256 of their weights"
    )
    texts: Sha256 | None = Field(default=None, description="sha256 of the file of sentences given to it")

    def runs_once(self, shots: int) -> bool:
        """Whether nothing depends on the seed, so that it is run once, with the seed ``NO_SEED``."""
        return not self.seeded and shots == 0


class Preprocessing(Record):
    """How an image is prepared for the encoder, in open_clip's terms and one normalized form."""

    size: tuple[PositiveInt, PositiveInt] = Field(description="height and width in pixels")
    mode: Literal["RGB"]
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    interpolation: Literal["bicubic", "bilinear"]
    resize_mode: Literal["shortest", "longest", "squash"] = Field(
        description="which side is resized to the encoder's size; 'squash' ignores the aspect ratio"
    )
    fill_color: int = Field(ge=0, le=255, description="of the padding that 'longest' adds")
    crop: float = Field(
        default=1.0,
        gt=0,
        le=2,
        description="side of the centre crop divided by the shorter side after resizing; above 1 the rest is black",
    )

    @property
    def summary(self) -> str:
        """A short description."""
        size = "x".join(map(str, self.size))
        mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"{size} pixels, {self.resize_mode}, {self.interpolation}, mean {mean}, std {std}"


PreprocessingSource = Literal["published", "model folder", "plugin", "stated", "unchecked", "protocol"]
"""Where the preprocessing settings come from; ``unchecked`` if no source states them."""

TIMM = "timm:"
"""Name prefix of timm's encoders, which have no text tower."""

LOCAL = "local-dir:"
"""Name prefix of a model folder on this machine."""

MODEL_FOLDERS = (LOCAL, "hf-hub:", f"{TIMM}{LOCAL}", f"{TIMM}hf-hub:")
"""Name prefixes of backbones that come from a model folder, local or on the Hugging Face Hub."""


class BackboneRecord(Record):
    """A model as it was run."""

    architecture: str = Field(description="name in open_clip, timm or of a plugin, or the model folder")
    pretrained: str = Field(description="published tag, or name of the weights file")
    weights_sha256: Sha256
    corpus: str = Field(description="pre-training corpus, 'unknown' if it is not known")
    quick_gelu: Literal["ok", "unchecked"]
    config: Sha256 = Field(description="sha256 of the model's open_clip or timm configuration as canonical JSON")
    preprocessing: Preprocessing
    preprocessing_source: PreprocessingSource = Field(
        description="where the settings come from; 'unchecked': the usual ones of the architecture"
    )
    precision: Literal["fp32", "tf32", "bf16", "fp16"]
    images: Literal["encoded", "given features"] = Field(
        default="encoded", description="by the model, or features from elsewhere, which go with its text tower"
    )
    compiled: bool = Field(default=False, description="whether names and contexts are learned through torch.compile")

    @property
    def has_text(self) -> bool:
        """Whether it has a text tower."""
        return not self.architecture.startswith(TIMM)


class DatasetRecord(Record):
    """The data of one domain, identified by content."""

    name: str
    folders: tuple[str, ...]
    fingerprint: Sha256 = Field(description="sha256 over names, paths, labels, captions and bytes of the scored images")
    copies_left_out: bool = Field(
        default=False, description="whether byte copies of train and val images are left out of the scored ones"
    )


class Spec(Record):
    """Everything that a cell's numbers depend on. Its digest is the cell's key."""

    schema_version: Literal[1] = 1
    protocol: str
    decoding: Decoding = Field(default="upright-white", description="how image files become RGB")
    dataset: DatasetRecord
    domain: str
    backbone: BackboneRecord
    method: MethodRecord
    shots: int
    seed: SeedNumber
    manifest: Sha256 | None = Field(description="sha256 of the few-shot manifest, None for a method that needs none")
    device: str
    versions: dict[str, str] = Field(
        description="of the harness, its libraries and the requirements of the plugin's distribution"
    )

    @cached_property
    def key(self) -> str:
        """The content address of the cell."""
        return self.digest()

    @property
    def seedless(self) -> bool:
        """Whether it is run once, with the seed ``NO_SEED``."""
        return self.method.runs_once(self.shots)


class Failure(Record):
    """Why a cell has no metrics."""

    kind: Literal["error", "not applicable"]
    reason: Sentence


class Cost(Record):
    """Time and memory of a cell; not part of its result."""

    fit_seconds: float
    score_seconds: float
    trainable: Count = Field(description="number of learned values")
    peak_host_bytes: Count | None = Field(default=None, description="peak memory of the process during the cell")
    peak_gpu_bytes: Count | None = Field(default=None, description="peak GPU memory of torch; None on the CPU")


class Cell(Record):
    """One (protocol, domain, backbone, method, parameters, shots, seed) with its metrics or its failure.

    ``metrics`` holds those of ``harness.metrics.table`` whose predictions the cell has: only those of the OOP names
    without an IP folder or for a method of fixed vocabulary, and those of the pool for a method that clusters one.
    """

    spec: Spec
    metrics: dict[str, MetricValue] = {}
    per_class: dict[str, tuple[MetricValue | None, ...]] = Field(
        default={}, description="side -> top-1 accuracy of each class among the names of its side, None without images"
    )
    not_applicable: Sentence | None = Field(default=None, description="why only the OOP names are scored")
    images: dict[str, int] = Field(default={}, description="scored images of each side")
    outcome: Annotated[dict[str, Any], BeforeValidator(to_json)] = Field(
        default={}, description="the method's own diagnostics of its fit"
    )
    remarks: tuple[Sentence, ...] = Field(
        default=(), description="parts of the diagnostics and metrics that are left out, and why"
    )
    unreadable: tuple[str, ...] = Field(default=(), description="images that could not be decoded")
    copies: int = Field(default=0, description="scored images with the same bytes as an image given to fit")
    left_out: int = Field(default=0, description="images that are not scored: copies of train or val images")
    collisions: tuple[tuple[str, ...], ...] = Field(
        default=(), description="groups of names, of one side or both, with the same tokens"
    )
    revision: str | None = Field(default=None, description="of the data set, if the download recorded it")
    isolation: str = Field(default="", description="what held the process that ran the method")
    features_from: tuple[str, ...] = Field(
        default=(), description="where image features come from that the user who ran it did not encode"
    )
    predictions: Sha256 | None = Field(default=None, description="sha256 of the file with the predicted columns")
    failure: Failure | None = None
    cost: Cost | None = None
    trace: str | None = Field(
        default=None,
        exclude=True,
        repr=False,
        description="a failure's traceback for the log; not stored",
    )
    predictions_content: bytes | None = Field(
        default=None, exclude=True, repr=False, description="content of that file for the result store; not stored here"
    )
