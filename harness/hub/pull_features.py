"""Pull features of others, and check them before any is used.

A shard is used only if it is whole, holds rows of this encoder and images of this domain alone, and if the features of
a random sample of its images equal those that are encoded here. Rows say that their features are of others.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.datasets.remote import RemoteFile
from harness.errors import DataError
from harness.feature_cache import shard
from harness.feature_cache.contents import enforce_limit
from harness.feature_cache.extractor import MAX_SHARD_BYTES
from harness.feature_cache.signed_index import add_index, signer_of
from harness.feature_cache.store import FeatureStore
from harness.feature_cache.views import View
from harness.feature_cache.workload import Workload, measure_workload, require_room
from harness.files import CACHE_HINT, read_file, save
from harness.hub.feature_parts import INDEX, TEMPORARY_HINT, FeaturePart, RemoteShard, feature_parts
from harness.hub.repository import Repository
from harness.progress import Reporter
from harness.runner.request import Request
from harness.verification.feature_sample import EncodedAgain

MAX_FILE = MAX_SHARD_BYTES + (1 << 20)
"""Bytes of a shard: its rows, the sha256 of each image, and the header."""

MAX_INDEX = 1 << 24
"""Bytes of a signed list."""

REFUSED = "nothing is stored; tell whoever maintains the repository"


@dataclass(frozen=True)
class Pulled:
    """What was pulled.

    Attributes:
        files: number of shards.
        images: number of rows in them.
        signers: names of the trusted keys that signed some.
        unsigned: number of shards that no trusted key signed.
    """

    files: int
    images: int
    signers: tuple[str, ...]
    unsigned: int


def pull_features(
    repository: Repository, request: Request, kinds: Sequence[str], revision: str, sample: int, report: Reporter
) -> Pulled:
    """Pull features of the images of some domains that the cache lacks, after a sample of them was encoded again.

    Args:
        repository: where from.
        request: names the data, the domains, the backbone and the cache.
        kinds: of features.
        revision: branch, tag or pull request.
        sample: images of every file to encode again.
        report: shows progress.

    Raises:
        DataError: features are damaged, of other images, or not those of their images; nothing is stored then.
        HarnessError: the data or the backbone cannot be used, the Hub does not answer, or there is no room.
    """
    commit = repository.head(revision)
    listed = repository.files(commit)
    parts = {part.folder: part for part in feature_parts(request, kinds, report)}
    shards = [one for path in sorted(listed) if (one := RemoteShard.of(path, parts)) and not one.cached]
    if not shards:
        return Pulled(0, 0, (), 0)
    require_room([_workload(*one) for one in dict.fromkeys((one.part, one.view) for one in shards)])
    with TemporaryDirectory(prefix="harness-pull-") as name:
        folder = Path(name)
        with report.stage("fetching", len(shards), "files") as advance:
            for one in shards:
                content = repository.read(listed[one.path], commit, MAX_FILE)
                save(one.staged(folder), content, "features", TEMPORARY_HINT)
                advance(1)
        with report.stage("encoding a sample", None, "images") as advance:
            rows = {one: _check(one, folder, sample, request, advance) for one in shards}
        used = [one for one in shards if rows[one]]
        signers, unsigned = _take_indexes(repository, listed, commit, used)
        for one in used:
            _store(one, folder)
    return Pulled(len(used), sum(rows.values()), signers, unsigned)


def _store(one: RemoteShard, folder: Path) -> None:
    store = one.part.encoder.store
    store.prepare()
    save(one.place, read_file(one.staged(folder), MAX_FILE), "features", CACHE_HINT)
    enforce_limit(store.folder.parent, store.limit, keep=store.folder.name)


def _workload(part: FeaturePart, view: View) -> Workload:
    return measure_workload(part.encoder.extractor, part.encoder.store, [(view, part.images)])


def _check(one: RemoteShard, folder: Path, sample: int, request: Request, advance: Callable[[int], None]) -> int:
    """Check a fetched shard; returns the number of its rows, or 0 if all of them are cached.

    Raises:
        DataError: it is damaged, has images of other data, or features that are not those of its images.
    """
    part, extractor = one.part, one.part.encoder.extractor
    rule = shard.RowRule(extractor.shape, extractor.dtype, extractor.unit)
    found = shard.check(one.staged(folder), rule)
    if found is None:
        raise DataError(f"{one.path} is damaged, or has no rows of this encoder", REFUSED)
    digests = [digest.hex() for digest in found.digests]
    if not part.images.keys() >= set(digests):
        raise DataError(f"{one.path} has features of images that are not of {part.domain.name}", REFUSED)
    if not part.encoder.store.missing(one.view.number, digests, one.view.crop):
        return 0
    stored = FeatureStore(folder, one.name[:64], "", rule=rule)
    drawn = [part.images[digest] for digest in secrets.SystemRandom().sample(digests, min(sample, len(digests)))]
    with TemporaryDirectory(prefix="harness-again-") as empty:
        again = EncodedAgain(Path(empty), request.workers, part.precision, advance)
        for _, wrong in again.compare(extractor, stored, one.view, drawn):
            if wrong:
                raise DataError(f"{one.path} is refused: {wrong}", REFUSED)
    return len(digests)


def _take_indexes(
    repository: Repository, listed: Mapping[str, RemoteFile], commit: str, shards: Sequence[RemoteShard]
) -> tuple[tuple[str, ...], int]:
    """Take over the lists of trusted keys; returns their names, and how many of the shards are on none of these."""
    left = {f"{one.place.parents[1].name}/{one.place.parent.name}/{one.name}" for one in shards}
    signers: set[str] = set()
    for path in sorted(path for path in listed if INDEX.fullmatch(path)):
        content = repository.read(listed[path], commit, MAX_INDEX)
        name, signed = signer_of(content)
        if name and not left.isdisjoint(signed):
            add_index(shards[0].place.parents[2], content)
            signers.add(name)
            left -= set(signed)
    return tuple(sorted(signers)), len(left)
