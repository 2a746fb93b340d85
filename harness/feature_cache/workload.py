"""What a run needs of the feature cache: rows that are not cached yet, their bytes, and whether there is room."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from harness.errors import StorageError, os_reason
from harness.feature_cache.contents import shard_bytes
from harness.feature_cache.extractor import Extractor
from harness.feature_cache.store import FeatureStore, is_sha256
from harness.feature_cache.views import View
from harness.files import OTHER_CACHE_HINT


@dataclass(frozen=True)
class Workload:
    """The rows of one kind that a run needs.

    Attributes:
        extractor: of the rows.
        store: its cached rows.
        rows: number of rows that are needed, one for each image and view.
        missing: how many of them are not cached.
    """

    extractor: Extractor
    store: FeatureStore
    rows: int
    missing: int

    @property
    def missing_bytes(self) -> int:
        """Bytes that the missing rows will take in the cache."""
        return self.missing * (self.extractor.row_bytes + 32)  # with the sha256 of the image

    @property
    def summary(self) -> str:
        """One line."""
        state = f"{self.missing:,} of {self.rows:,} rows are not cached"
        return f"{self.extractor.description}: {state} ({_size(self.missing_bytes)})"


def measure_workload(
    extractor: Extractor, store: FeatureStore, wanted: Iterable[tuple[View, Collection[str]]]
) -> Workload:
    """How many rows of images are needed and missing; only the index of the cache is read.

    Args:
        extractor: of the rows.
        store: its cached rows.
        wanted: (view of their kind, sha256 of the images); other text, as of an unreadable file, does not count.

    Raises:
        StorageError: the cache cannot be read.
    """
    per_view: dict[View, set[str]] = {}
    for view, digests in wanted:
        per_view.setdefault(view, set()).update(filter(is_sha256, digests))
    missing = sum(len(store.missing(view.number, digests, view.crop)) for view, digests in per_view.items())
    return Workload(extractor, store, sum(map(len, per_view.values())), missing)


def require_room(workloads: Sequence[Workload]) -> None:
    """Check that the missing rows of a run fit into the cache and onto the disk, before any is encoded.

    What the run reads is marked as used, so that rows of other extractors are removed first.

    Raises:
        StorageError: they do not.
    """
    for workload in workloads:
        workload.store.touch()
    needed = sum(workload.missing_bytes for workload in workloads)
    if not needed:
        return
    folder, limit = workloads[0].store.folder, workloads[0].store.limit
    try:
        total = needed + sum(map(shard_bytes, {workload.store.folder for workload in workloads}))
        free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.is_dir())).free
    except OSError as error:
        raise StorageError(f"{folder} cannot be looked up: {os_reason(error)}", OTHER_CACHE_HINT) from None
    if total > limit:
        raise StorageError(
            f"the feature cache is limited to {_size(limit)}, and would need {_size(total)} for this run",
            f"set HARNESS_CACHE_LIMIT={total // 10**9 + 1}GB, or remove features with `harness features clear`",
        )
    if needed > free:
        raise StorageError(
            f"the run adds {_size(needed)} to the feature cache, and {folder.parent} has {_size(free)} free",
            OTHER_CACHE_HINT,
        )


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 10**9 else f"{size / 1e6:.1f} MB"
