"""Encode a sample of a row's images again, and compare with their cached features.

A shard of the cache is named by its own hash, so wrong features in it give wrong results that verify and reproduce.
Only encoding again shows them. The sample is drawn by a seed that nobody can know who wrote to the cache before.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.backbones.backbone import Precision
from harness.datasets.images import file_digest
from harness.errors import HarnessError
from harness.feature_cache.encode import Encoder, ImageSource
from harness.feature_cache.extractor import Extractor
from harness.feature_cache.store import FeatureStore
from harness.feature_cache.views import View
from harness.progress import Reporter, pluralize
from harness.runner.feature_provider import FeatureProvider, provider_of
from harness.runner.job import Job
from harness.runner.plan import make_plan
from harness.runner.reproduce import LocalPaths, request_of_row
from harness.types.labels import UNREADABLE
from harness.types.leaderboard import Row
from harness.verification.verify import Status, Verdict

TOLERANCE = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 5e-2, "fp16": 1e-2}
"""Largest distance of two features of one image, relative to their length: other hardware rounds in another order."""

Kind = Literal["equal", "rounded", "absent", "wrong"]


@dataclass(frozen=True)
class FeatureSample:
    """What the comparison of a sample showed.

    Attributes:
        equal: images whose cached features have the same bits.
        rounded: images whose cached features differ as between kinds of hardware.
        absent: images without cached features.
        wrong: each image whose cached features are not its own.
    """

    equal: int
    rounded: int
    absent: int
    wrong: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line without what is wrong."""
        compared = self.equal + self.rounded + len(self.wrong)
        absent = f", {self.absent} not in the cache" if self.absent else ""
        return (
            f"features of {pluralize(compared, 'images')} encoded again: {self.equal} equal bit for bit, "
            f"{self.rounded} up to rounding, {len(self.wrong)} differ{absent}"
        )


def with_features(verdict: Verdict, count: int, seed: str, here: LocalPaths, report: Reporter) -> Verdict:
    """A verdict that also covers a sample of the row's features; it is not verifiable if none can be compared."""
    try:
        found = compare_features(verdict.row, count, seed, here, report)
    except HarnessError as error:
        return _worse(verdict, f"features are not compared: {error}")
    verdict = replace(verdict, notes=(*verdict.notes, f"{found.summary} (--features-seed {seed})"))
    if found.wrong:
        return replace(verdict, status="differs", problems=(*found.wrong, *verdict.problems))
    return verdict if found.equal + found.rounded else _worse(verdict, "no image of the sample has cached features")


def _worse(verdict: Verdict, problem: str) -> Verdict:
    status: Status = "not verifiable" if verdict.status == "verified" else verdict.status
    return replace(verdict, status=status, problems=(*verdict.problems, problem))


def compare_features(row: Row, count: int, seed: str, here: LocalPaths, report: Reporter) -> FeatureSample:
    """Encode some of the images again that a row's cells use, scored and drawn ones, and compare.

    Args:
        row: the row.
        count: images in the sample, at most; an image in several views counts as several.
        seed: determines the sample, given the row and the data.
        here: the data and weights of the row, and the cache.
        report: shows progress.

    Raises:
        HarnessError: the row cannot be run here, or the cache cannot be read.
    """
    with request_of_row(row, here) as request:
        plan = make_plan(request, report)
        provider = provider_of(plan, here.workers)
        sample = _sample(provider, plan.jobs, count, seed)
        precision = provider.backbone.record.precision
        with report.stage("encoding again", sum(map(len, sample.values())), "images") as advance:
            encoded_again = EncodedAgain(request.out, here.workers, precision, advance)
            found: list[tuple[Kind, str]] = []
            for view, sources in sample.items():
                own = provider.encoder_of(view.kind)
                found += encoded_again.compare(own.extractor, own.store, view, sources)
    counts = Counter(kind for kind, _ in found)
    wrong = tuple(sorted(what for _, what in found if what))
    return FeatureSample(counts["equal"], counts["rounded"], counts["absent"], wrong)


def _sample(provider: FeatureProvider, jobs: Sequence[Job], count: int, seed: str) -> dict[View, list[ImageSource]]:
    """The readable images of a sample, by view."""
    images = {
        (view, source.sha256, source.path): source
        for view, sources in provider.wanted(jobs)
        for source in sources
        if source.sha256 != UNREADABLE
    }
    drawn: dict[View, list[ImageSource]] = {}
    for key in random.Random(seed).sample(sorted(images), min(count, len(images))):
        drawn.setdefault(key[0], []).append(images[key])
    return drawn


@dataclass(frozen=True)
class EncodedAgain:
    """Features encoded into an empty cache, to compare with cached ones.

    Attributes:
        folder: of the empty cache.
        workers: threads that decode images.
        precision: of the encoder; decides the tolerance.
        advance: called with the number of encoded images.
    """

    folder: Path
    workers: int
    precision: Precision
    advance: Callable[[int], None]

    def compare(
        self, extractor: Extractor, stored: FeatureStore, view: View, sources: Sequence[ImageSource]
    ) -> Iterator[tuple[Kind, str]]:
        """For each image how its cached features compare, and what is wrong with them if they differ."""
        true = [source for source in sources if file_digest(source.file) == source.sha256]
        for source in sources:
            if source not in true:
                yield "wrong", f"{source.path}: its sha256 in the cache is not that of the file"
        store = extractor.store(self.folder / "features")
        Encoder(extractor, store, self.workers).ensure(true, view.number, self.advance, view.crop)
        digests = [source.sha256 for source in true]
        cached, absent = stored.get(view.number, digests, view.crop)
        again, undecodable = store.get(view.number, digests, view.crop)
        tolerance = TOLERANCE[self.precision]
        for i, source in enumerate(true):
            if cached is None or i in absent:
                yield "absent", ""
            elif again is None or i in undecodable:
                yield "wrong", f"{source.path}: the cache has features of an image that cannot be decoded"
            else:
                yield _kind(cached[i], again[i], source.path, view, tolerance)


def _kind(cached: NDArray[Any], again: NDArray[Any], path: str, view: View, tolerance: float) -> tuple[Kind, str]:
    exact = again.astype(np.float64)
    distance = float(np.linalg.norm(cached - exact) / (np.linalg.norm(exact) or 1))
    if np.array_equal(cached, again):
        return "equal", ""
    if distance <= tolerance:
        return "rounded", ""
    return (
        "wrong",
        f"{path}: cached {view.kind} of view {view.number} are not those of the image (distance {distance:.3g})",
    )
