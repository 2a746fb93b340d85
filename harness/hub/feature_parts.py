"""Image features in a repository, by the encoder's key and the fingerprint of a domain's data.

``features/KEY/FINGERPRINT/VIEW/SHARD`` is a shard of the feature cache with images of one domain alone, and
``features/signed/DIGEST.json`` a list of shards that whoever pushed them signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.backbones.backbone import Precision
from harness.datasets.domain import DomainData
from harness.feature_cache.encode import Encoder
from harness.feature_cache.image_encoder import ImageSource
from harness.feature_cache.views import View, parse_view_name, view_name
from harness.progress import Reporter
from harness.runner.feature_provider import provider_of
from harness.runner.image_sources import sources_of
from harness.runner.plan import make_plan
from harness.runner.request import Request
from harness.types.labels import UNREADABLE

FOLDER = "features"
SIGNED = f"{FOLDER}/signed"

TEMPORARY_HINT = "set TMPDIR to a folder with room"

_FILE = r"[0-9a-f]{64}-[0-9a-f]{32}\.safetensors"
PATH = re.compile(rf"{FOLDER}/([0-9a-f]{{32}})/([0-9a-f]{{64}})/(view-[\w.-]+)/({_FILE})")
INDEX = re.compile(rf"{SIGNED}/[0-9a-f]{{32}}\.json")


@dataclass(frozen=True, eq=False)
class FeaturePart:
    """The images of a domain and the cached rows of one kind of them."""

    domain: DomainData
    encoder: Encoder
    images: Mapping[str, ImageSource]
    precision: Precision

    @property
    def folder(self) -> str:
        """Its folder in a repository."""
        return f"{FOLDER}/{self.encoder.extractor.key}/{self.domain.fingerprint}"


class RemoteShard(NamedTuple):
    """A shard in a repository.

    Attributes:
        path: there.
        part: whose rows it has.
        view: of the rows.
        name: of its file.
    """

    path: str
    part: FeaturePart
    view: View
    name: str

    @classmethod
    def of(cls, path: str, parts: Mapping[str, FeaturePart]) -> RemoteShard | None:
        """The shard of a path, if it is of one of some parts."""
        found = PATH.fullmatch(path)
        part = parts.get(f"{FOLDER}/{found[1]}/{found[2]}") if found else None
        view = parse_view_name(found[3]) if found else None
        if found is None or part is None or view is None:
            return None
        return cls(path, part, View(part.encoder.extractor.kind, *view), found[4])

    @property
    def place(self) -> Path:
        """Where it is in the cache."""
        return self.part.encoder.store.folder / view_name(self.view.number, self.view.crop) / self.name

    @property
    def cached(self) -> bool:
        """Whether the cache has it, or all images of its part in this view."""
        images = self.part.images
        return self.place.exists() or not self.part.encoder.store.missing(self.view.number, images, self.view.crop)

    def staged(self, folder: Path) -> Path:
        """Where it waits for its check: alone in the folder of an encoder of its own."""
        return folder / self.name[:64] / self.place.parent.name / self.name


def feature_parts(request: Request, kinds: Sequence[str], report: Reporter) -> list[FeaturePart]:
    """The images of every domain, for each kind."""
    plan = make_plan(request, report)
    provider, precision = provider_of(plan, request.workers), plan.resolved.record.precision
    return [
        FeaturePart(data, provider.encoder_of(kind), _images(data), precision)
        for data in plan.domains.values()
        for kind in kinds
    ]


def _images(data: DomainData) -> dict[str, ImageSource]:
    """sha256 -> the image, of all readable images of a domain, sorted."""
    splits = [*data.oop.values(), *(data.ip or {}).values(), *data.scored.values()]
    found = {source.sha256: source for split in splits for source in sources_of(data, split)}
    return {digest: found[digest] for digest in sorted(found) if digest != UNREADABLE}
