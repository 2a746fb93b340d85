"""Serves the features that cells need, from a loaded backbone and the feature cache; one per process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.backbones.backbone import Backbone, ResolvedBackbone, load
from harness.datasets.domain import DomainData
from harness.datasets.images import DECODING
from harness.device import configure_determinism
from harness.errors import DataError
from harness.feature_cache.encode import Encoder
from harness.feature_cache.image_encoder import ImageSource
from harness.feature_cache.kinds import KINDS, global_features
from harness.feature_cache.views import MIN_CROP, View, views_of
from harness.progress import Reporter
from harness.prompts import Template, find_collisions
from harness.runner.best_columns import CHUNK, BestColumns, Indices
from harness.runner.image_input import FEATURES
from harness.runner.image_sources import drawn_source, pool_split, sources_of
from harness.types.cell import Decoding
from harness.types.features import Features
from harness.types.labels import UNREADABLE, name_with_side
from harness.types.manifest import Manifest, Pick
from harness.types.split import Split, TrainOn
from harness.types.task import Pool

if TYPE_CHECKING:
    from harness.runner.job import Job
    from harness.runner.plan import Plan


class FeatureProvider:
    """Serves features of domains and draws.

    Args:
        resolved: the backbone to load.
        device: ``cpu`` or a CUDA device.
        domains: the domains by name.
        cache: the cache folder.
        workers: threads that decode images.
        decoding: how image files become RGB.
        unit_rows: whether features are divided by their length.
        second: further image encoders by name, whose features methods ask for.
    """

    def __init__(
        self,
        resolved: ResolvedBackbone,
        device: str,
        domains: dict[str, DomainData],
        cache: Path,
        workers: int,
        decoding: Decoding = DECODING,
        unit_rows: bool = True,
        second: Mapping[str, ResolvedBackbone] | None = None,
    ) -> None:
        self.device = torch.device(device)
        configure_determinism(self.device, resolved.record.precision)
        self.backbone: Backbone = load(resolved, self.device, unit_rows)
        self.domains = domains
        self._cache, self._workers, self._decoding = cache / "features", workers, decoding
        self._encoders: dict[str, Encoder] = {}
        self._second = second or {}
        self.encoder = self.encoder_of(FEATURES)
        self.store = self.encoder.store
        self._scored: tuple[str, dict[str, Features]] = ("", {})
        self._pools: tuple[str, dict[str, Features]] = ("", {})
        self._sources: dict[str, ImageSource] = {}
        self._parts: dict[tuple[str, str], list[list[ImageSource]]] = {}
        self._zero_shot: dict[tuple[str, Template], Indices | None] = {}
        self._collisions: dict[tuple[str, Template], tuple[tuple[str, ...], ...]] = {}

    def scored(self, domain: str) -> dict[str, Features]:
        """Test features of each side, ordered by the sha256 of the image, so that the order reveals no class."""
        if self._scored[0] != domain:  # one domain at a time stays on the device
            splits = self.domains[domain].scored
            self._scored = (domain, {side: self.features(domain, split) for side, split in splits.items()})
        return self._scored[1]

    def pool(self, domain: str, name: Pool | Literal["ip"]) -> Features:
        """A pool of images, ordered by sha256; methods get its labels for IP images only."""
        if name == "test-unlabeled":
            return self.scored(domain)["oop"]
        if self._pools[0] != domain:
            self._pools = (domain, {})
        pools = self._pools[1]
        if name not in pools:
            split = pool_split(self.domains[domain], name)
            width = self.scored(domain)["oop"].image.shape[-1]
            empty = torch.zeros(0, 1, width, device=self.device)
            pools[name] = (
                self.features(domain, split)
                if split is not None
                else Features(empty, torch.zeros(0, dtype=torch.long, device=self.device))
            )
        return pools[name]

    def drawn(
        self, domain: str, picks: tuple[Pick, ...], views: int, crop: float = MIN_CROP, train_on: TrainOn = "oop"
    ) -> tuple[Features, list[int]]:
        """Features of drawn images with v views, and the positions of the readable ones among the picks."""
        sources = [drawn_source(self.domains[domain], pick, train_on) for pick in picks]
        image, readable = self.encoder.features(sources, views, crop)
        label = torch.tensor([picks[i].label for i in readable], device=self.device)
        found = set(readable)
        lost = tuple(s.path for i, s in enumerate(sources) if i not in found)
        return Features(image, label, lost, self._remember([sources[i] for i in readable])), readable

    def rows(self, kind: str, sha256: Sequence[str], views: int, crop: float = MIN_CROP) -> NDArray[Any]:
        """One kind of features ``(n, v, *shape)`` of images that were served before, by the sha256 of their files."""
        return self.encoder_of(kind).rows([self._sources[digest] for digest in sha256], views, crop)[0]

    @property
    def unreadable(self) -> dict[str, str]:
        """Path -> reason, for every image that cannot be decoded."""
        return {path: why for encoder in self._encoders.values() for path, why in encoder.unreadable.items()}

    def _remember(self, sources: Sequence[ImageSource]) -> tuple[str, ...]:
        """The sha256 of images, by which other kinds of their features are served."""
        self._sources |= {source.sha256: source for source in sources}
        return tuple(source.sha256 for source in sources)

    def encoder_of(self, kind: str) -> Encoder:
        """The encoder of one kind of features, made at its first use."""
        if kind not in self._encoders:
            extractor = (
                global_features(load(self._second[kind], self.device), self._decoding)
                if kind in self._second
                else KINDS[kind](self.backbone, self._decoding)
            )
            self._encoders[kind] = Encoder(extractor, extractor.store(self._cache), self._workers)
        return self._encoders[kind]

    def collisions(self, domain: str, template: Template) -> tuple[tuple[str, ...], ...]:
        """Groups of scored names, of one side or of both, whose prompts the tokenizer cannot distinguish."""
        if (domain, template) not in self._collisions:
            data = self.domains[domain]
            prompts = {
                name_with_side(name, side): template.fill(name, data.noun)
                for side, split in data.scored.items()
                for name in split.names
            }
            self._collisions[domain, template] = find_collisions(self.backbone.prompt_keys(prompts))
        return self._collisions[domain, template]

    def zero_shot(self, domain: str, template: Template) -> Indices | None:
        """Zero-shot predictions of the IP images among the IP names: what IP retention is measured against.

        They are ``(n,)`` columns, in the order of ``scored``; None without IP images or a text tower.
        """
        if (domain, template) not in self._zero_shot:
            self._zero_shot[domain, template] = self._predicted_ip(domain, template)
        return self._zero_shot[domain, template]

    def _predicted_ip(self, domain: str, template: Template) -> Indices | None:
        data, scored = self.domains[domain], self.scored(domain)
        if "ip" not in scored or not self.backbone.record.has_text:
            return None
        text = self.backbone.text.encode([template.fill(name, data.noun) for name in data.scored["ip"].names])
        image, scale = scored["ip"].image[:, 0], self.backbone.logit_scale
        parts = (image[start : start + CHUNK] for start in range(0, len(image), CHUNK))
        with torch.no_grad():  # scaled as methods do: else one in 16,000 images, nearly tied, is rounded another way
            best = [BestColumns.of(scale * part @ text.T) for part in parts]
        return BestColumns.joined(best).choose(scored["ip"].sha256)

    def encode(self, jobs: Iterable[Job], report: Reporter) -> None:
        """Encode the images that jobs need and that are not cached yet, with progress.

        Raises:
            StorageError: the cache cannot be written.
        """
        missing = self.missing(jobs)
        total = sum(len({s.sha256 for s in sources} - {UNREADABLE}) for sources in missing.values())
        with report.stage("encoding images", total, "images") if total else nullcontext() as advance:
            for view, sources in missing.items():
                self.encoder_of(view.kind).ensure(sources, view.number, advance, view.crop)
        for encoder in self._encoders.values():
            encoder.store.touch()

    def features_from(self, job: Job) -> tuple[str, ...]:
        """Where features that a job needs come from, apart from those that this user wrote.

        Raises:
            StorageError: the cache cannot be read.
        """
        foreign = any(encoder.store.has_foreign() for encoder in self._encoders.values())
        wanted = self.wanted([job]) if foreign else ()
        return tuple(
            sorted(
                {
                    origin
                    for view, found in wanted
                    for origin in self.encoder_of(view.kind).store.origins(
                        view.number, (source.sha256 for source in found), view.crop
                    )
                }
            )
        )

    def wanted(self, jobs: Iterable[Job]) -> Iterator[tuple[View, list[ImageSource]]]:
        """(View, images) that jobs need; what several jobs need comes once."""
        splits: dict[tuple[str, Pool | Literal["ip", "scored"]], dict[View, None]] = {}  # views in order, once each
        draws: dict[tuple[Any, ...], tuple[Manifest, dict[View, None]]] = {}
        for job in jobs:
            domain, crop = job.spec.domain, job.method.crop
            for kind in (FEATURES, *job.method.kinds):
                test = views_of(kind, job.method.test_views, crop)
                splits.setdefault((domain, "scored"), {}).update(dict.fromkeys(test))
                for pool in job.pools:
                    splits.setdefault((domain, pool), {})[View(kind)] = None
                if job.manifest is not None:
                    for part, count in job.draws:
                        _, drawn = draws.setdefault((domain, part, job.spec.manifest), (job.manifest, {}))
                        drawn.update(dict.fromkeys(views_of(kind, count, crop)))
        for (domain, images), views in splits.items():
            yield from ((view, sources) for sources in self._parts_of(domain, images) for view in views)
        for (domain, part, _), (manifest, views) in draws.items():
            data = self.domains[domain]
            sources = [drawn_source(data, pick, manifest.side) for pick in manifest.picks_of_part(part)]
            yield from ((view, sources) for view in views)

    def _parts_of(self, domain: str, images: Pool | Literal["ip", "scored"]) -> list[list[ImageSource]]:
        """The scored images of each side, or those of a pool; listed once, whatever the number of cells."""
        if (domain, images) not in self._parts:
            data = self.domains[domain]
            found = data.scored.values() if images == "scored" else filter(None, [pool_split(data, images)])
            self._parts[domain, images] = [sources_of(data, split) for split in found]
        return self._parts[domain, images]

    def in_order(self, domain: str, split: Split, report: Reporter) -> tuple[Tensor, list[int]]:
        """Features ``(n, d)`` of the readable images of a part in the order of the split, and their positions in it.

        Raises:
            DataError: none is readable.
        """
        sources = sources_of(self.domains[domain], split)
        with report.stage("encoding images", len(sources), "images") as advance:
            self.encoder.ensure(sources, 0, advance)
        image, readable = self.encoder.features(sources, views=1)
        return image[:, 0], readable

    def features(self, domain: str, split: Split) -> Features:
        """Test views of the images of a part, or of some of its items, ordered by sha256.

        Raises:
            DataError: it has no image, or none that is readable.
        """
        if not split.items:
            raise DataError(f"{split.folder.name} has no {split.part} image", "check its split file")
        sources = sources_of(self.domains[domain], split)
        labels = {id(source): item.label for source, item in zip(sources, split.items, strict=True)}
        readable = sorted((s for s in sources if s.sha256 != UNREADABLE), key=lambda s: (s.sha256, s.path))
        image, found = self.encoder.features(readable, views=1)
        label = torch.tensor([labels[id(readable[i])] for i in found], device=self.device)
        paths = {readable[i].path for i in found}
        unreadable = tuple(sorted(s.path for s in sources if s.path not in paths))
        return Features(image, label, unreadable, self._remember([readable[i] for i in found]))

    def missing(self, jobs: Iterable[Job]) -> dict[View, list[ImageSource]]:
        """View -> the images that jobs need and that are not cached, unreadable ones among them.

        They differ in bytes or in name: equal bytes are encoded once, but every name of an unreadable one is reported.
        """
        per_view: dict[View, dict[tuple[str, str], ImageSource]] = {}
        for view, found in self.wanted(jobs):
            per_view.setdefault(view, {}).update({(s.sha256, s.path): s for s in found})
        return {view: self._uncached(view, list(sources.values())) for view, sources in per_view.items()}

    def _uncached(self, view: View, sources: list[ImageSource]) -> list[ImageSource]:
        readable = sorted({source.sha256 for source in sources} - {UNREADABLE})
        lacking = {*self.encoder_of(view.kind).store.missing(view.number, readable, view.crop), UNREADABLE}
        return [source for source in sources if source.sha256 in lacking]


def provider_of(plan: Plan, workers: int) -> FeatureProvider:
    """The provider of a plan."""
    place = (plan.resolved, plan.device, plan.domains, plan.cache, workers)
    return FeatureProvider(*place, plan.protocol.decoding, plan.protocol.features.unit_rows, plan.encoders)
