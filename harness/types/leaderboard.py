"""Records of a leaderboard file: versioned JSON, byte-identical for the same cells."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, computed_field, model_validator

from harness.types.cell import (
    MODEL_FOLDERS,
    BackboneRecord,
    DatasetRecord,
    Decoding,
    MethodRecord,
    MetricValue,
    Record,
    SeedNumber,
    Sha256,
    Spec,
)
from harness.types.pretraining import PretrainingFacts

SCHEMA_VERSION: Literal[1] = 1

_SETTINGS = {
    *(
        "protocol",
        "decoding",
        "dataset",
        "copies_left_out",
        "shots",
        "seeds",
        "device",
        "versions",
        "method_record",
        "backbone_record",
    ),
}

Seed = Annotated[str, Field(pattern=r"^-?[0-9]{1,18}$")]
"""A seed as the key of a JSON object."""


class Stat(Record):
    """Mean and sample standard deviation over n seeds, as fractions."""

    mean: MetricValue
    std: MetricValue
    n: int


class DomainRecord(Record):
    """Provenance of a domain's numbers: the data by content, and the few-shot draw of each seed."""

    folders: tuple[str, ...]
    fingerprint: Sha256
    manifests: dict[Seed, Sha256 | None] = Field(description="seed -> sha256 of the manifest")
    predictions: dict[Seed, Sha256 | None] = Field(
        default={}, description="seed -> sha256 of the stored predictions, None without"
    )
    images: dict[str, int]
    unreadable: tuple[str, ...]
    copies: dict[Seed, int] = Field(
        default={},
        description="seed -> scored images with the same bytes as an image given to fit, if any",
    )
    left_out: int = Field(default=0, description="images that are not scored: copies of train or val images")
    collisions: tuple[tuple[str, ...], ...] = Field(
        default=(), description="groups of names, of one side or both, with the same tokens"
    )
    revision: str | None = Field(default=None, description="of the data set, if the download recorded it")
    features_from: tuple[str, ...] = Field(
        default=(), description="where image features come from that the user who ran it did not encode"
    )
    isolation: tuple[str, ...] = Field(
        default=(),
        description="what held the processes that ran the method: landlock, landlock+ns+seccomp+cgroup, process",
    )
    pretraining: PretrainingFacts | None = Field(
        default=None, description="what a record of the backbone's corpus says about the names; None without a record"
    )


class RowFailure(Record):
    """A missing or failed cell of a row, with the reason."""

    domain: str
    seed: int | None
    kind: Literal["error", "not applicable", "missing"]
    reason: str


class Row(Record):
    """Results of one method in one setting.

    ``mean`` averages over domains for each seed, then over seeds. It is empty if a domain or seed is missing or failed:
    an incomplete row is never averaged.
    """

    method: str
    protocol: str
    decoding: Decoding = Field(default="upright-white", description="how image files become RGB")
    dataset: str
    backbone: str
    shots: int
    seeds: tuple[SeedNumber, ...]
    complete: bool
    domains: dict[str, dict[str, Stat]]
    mean: dict[str, Stat]
    failures: tuple[RowFailure, ...]
    per_class: dict[str, dict[str, tuple[float | None, ...]]] = Field(
        description="domain -> side -> accuracy of each class, averaged over seeds, in the order of the names"
    )
    not_applicable: str | None = Field(description="why only the OOP names are scored, for a fixed vocabulary")
    copies_left_out: bool = Field(
        default=False, description="whether byte copies of train and val images are left out of the scored ones"
    )
    device: str
    versions: dict[str, str]
    method_record: MethodRecord
    backbone_record: BackboneRecord
    data: dict[str, DomainRecord]

    @model_validator(mode="before")
    @classmethod
    def _without_id(cls, content: Any) -> Any:
        """The content of a file without its ``id``, which follows from the rest."""
        return {key: value for key, value in content.items() if key != "id"} if isinstance(content, dict) else content

    @computed_field(description="of the settings, without the numbers; the row's address in `FILE#ROW`")  # type: ignore[prop-decorator]
    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of a digest over everything that the numbers depend on, without the numbers."""
        drawn = {name: [d.folders, d.fingerprint, d.manifests] for name, d in self.data.items()}
        return self.digest(_SETTINGS, drawn)[:12]

    @property
    def title(self) -> str:
        """The row in messages: ``fsnl@4 (0123456789ab)``."""
        return f"{self.method}@{self.shots} ({self.id})"

    @cached_property
    def content_sha256(self) -> str:
        """sha256 over the whole row with its numbers; verification marks refer to it."""
        return self.digest()

    @property
    def seedless(self) -> bool:
        """Whether each of its cells is run once, with the seed ``NO_SEED``."""
        return self.method_record.runs_once(self.shots)

    @property
    def metrics(self) -> set[str]:
        """The names of the metrics that it has in any domain."""
        return {metric for stats in (*self.domains.values(), self.mean) for metric in stats}

    def only(self, metrics: Collection[str]) -> Row:
        """The row with the values of some of its metrics."""
        domains = {name: {m: s for m, s in stats.items() if m in metrics} for name, stats in self.domains.items()}
        mean = {metric: stat for metric, stat in self.mean.items() if metric in metrics}
        return self.model_copy(update={"domains": domains, "mean": mean})

    def edition(self, of: Literal["protocol", "backbone"]) -> str:
        """Distribution, version and code of the plugin of its protocol or backbone; empty for built-in ones."""
        name = self.protocol if of == "protocol" else self.backbone_record.architecture
        return self.versions.get(f"{of} {name}", "")

    @property
    def given_weights(self) -> str | None:
        """The tag or weights file given for its backbone; None if the backbone has its own."""
        record = self.backbone_record
        own = self.edition("backbone") or record.architecture.startswith(MODEL_FOLDERS)
        return None if own or record.pretrained == record.architecture else record.pretrained

    @property
    def stated_preprocessing(self) -> dict[str, Any] | None:
        """The preprocessing settings that the user gave; None if they have another source."""
        record = self.backbone_record
        if record.preprocessing_source != "stated":
            return None
        return record.preprocessing.model_dump(mode="json", exclude={"size", "mode", "crop"})

    def spec(self, domain: str, seed: int) -> Spec:
        """The spec of the cell of a domain and seed; its key is the cell's address in the result store."""
        data = self.data[domain]
        return Spec(
            protocol=self.protocol,
            decoding=self.decoding,
            dataset=DatasetRecord(
                name=self.dataset,
                folders=data.folders,
                fingerprint=data.fingerprint,
                copies_left_out=self.copies_left_out,
            ),
            domain=domain,
            backbone=self.backbone_record,
            method=self.method_record,
            shots=self.shots,
            seed=seed,
            manifest=data.manifests[str(seed)],
            device=self.device,
            versions=self.versions,
        )

    def specs(self) -> list[Spec]:
        """The specs of all its cells, by domain and seed."""
        return [
            self.spec(domain, seed) for domain in self.data for seed in sorted(map(int, self.data[domain].manifests))
        ]


class Leaderboard(Record):
    """A leaderboard file."""

    schema_version: Literal[1] = SCHEMA_VERSION
    rows: tuple[Row, ...]

    def text(self) -> str:
        """The file content: the same rows give the same bytes."""
        return self.model_dump_json(indent=1) + "\n"
