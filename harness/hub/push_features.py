"""Push the features that this user encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.datasets.image_bytes import RETRY_HINT
from harness.errors import StorageError, UserError
from harness.feature_cache import shard
from harness.feature_cache.signed_index import signed_index
from harness.feature_cache.views import parse_view_name
from harness.files import CACHE_HINT, list_paths, save
from harness.hub.feature_parts import PATH, SIGNED, TEMPORARY_HINT, FeaturePart, feature_parts
from harness.hub.repository import PushOptions, Repository
from harness.progress import Reporter
from harness.runner.request import Request
from harness.signatures import SigningError


def push_features(
    repository: Repository,
    request: Request,
    kinds: Sequence[str],
    options: PushOptions,
    report: Reporter,
) -> tuple[int, str | None]:
    """Push the features that this user encoded of the images of some domains, in one commit.

    Args:
        repository: where to.
        request: names the data, the domains, the backbone and the cache.
        kinds: of features.
        options: how.
        report: shows progress.

    Returns:
        The number of files, and the address of the commit; None if the repository has all of them.

    Raises:
        UserError: the cache has no such features of this user.
        HarnessError: the data or the backbone cannot be used, or the Hub refuses.
    """
    commit = repository.head(options.revision)
    there = {_of_anybody(path) for path in repository.files(commit) if PATH.fullmatch(path)}
    with TemporaryDirectory(prefix="harness-push-") as folder:
        files = dict(_packed(feature_parts(request, kinds, report), Path(folder)))
        if not files:
            raise UserError("the cache has no features of these images that you encoded", "`harness evaluate` encodes")
        new: dict[str, bytes | Path] = {path: file for path, file in files.items() if _of_anybody(path) not in there}
        if not new:
            return len(files), None
        shards = sorted("/".join([path.split("/")[1], *path.split("/")[3:]]) for path in new)
        try:
            index = signed_index(shards)
            new[f"{SIGNED}/{hashlib.sha256(index).hexdigest()[:32]}.json"] = index
        except SigningError as error:
            report.note(f"the features are pushed without a signature: {error}")
        message = f"Features of {len(shards)} parts"
        return len(shards), repository.commit(new, message, commit, options, report)


def _of_anybody(path: str) -> str:
    """The path of a shard without the mark of who encoded it."""
    return path.rpartition("-")[0]


def _packed(parts: Sequence[FeaturePart], folder: Path) -> Iterator[tuple[str, Path]]:
    """Path in a repository, and a file, of shards with the cached features that this user encoded."""
    for part in parts:
        extractor, store = part.encoder.extractor, part.encoder.store
        for name in (path.name for path in list_paths(store.folder, "view-*", CACHE_HINT)):
            if (view := parse_view_name(name)) is None:
                continue
            number, crop = view
            absent = set(store.missing(number, part.images, crop))
            own = [one for one in part.images if one not in absent and not store.origins(number, [one], crop)]
            for start in range(0, len(own), extractor.shard_images):
                chunk = own[start : start + extractor.shard_images]
                rows, lost = store.get(number, chunk, crop)
                if rows is None or lost:
                    raise StorageError("features were removed from the cache while they were read", RETRY_HINT)
                file, content = shard.serialize(chunk, rows, (extractor.key, name))
                path = f"{part.folder}/{name}/{file}"
                save(folder / path, content, "features", TEMPORARY_HINT)
                yield path, folder / path
