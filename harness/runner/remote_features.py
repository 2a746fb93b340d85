"""Share features through a remote cache: what it has is not encoded, and what is encoded is copied to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.errors import StorageError
from harness.feature_cache.remote import RemoteCache
from harness.progress import Reporter, pluralize
from harness.runner.feature_provider import FeatureProvider
from harness.runner.job import Job
from harness.types.labels import UNREADABLE


@contextmanager
def shared_features(provider: FeatureProvider, jobs: Sequence[Job], report: Reporter) -> Iterator[None]:
    """Copy features that jobs need from the remote cache of HARNESS_REMOTE_CACHE, and in the end new ones to it.

    Raises:
        StorageError: the cache cannot be read.
    """
    remote = RemoteCache.of_environment()
    if remote is None:
        yield
        return
    lacking = {
        view: provider.encoder_of(view.kind).store
        for view, sources in provider.missing(jobs).items()
        if any(source.sha256 != UNREADABLE for source in sources)
    }
    pulled = sum(remote.pull(store, view) for view, store in lacking.items())
    if pulled:
        report.note(f"{pluralize(pulled, 'shards')} of features copied from the remote cache")
    yield
    try:
        pushed = sum(remote.push(store, view) for view, store in lacking.items())
    except StorageError as error:  # features are here, and cells can be computed
        report.note(f"{error.message} ({error.hint})")
    else:
        if pushed:
            report.note(f"{pluralize(pushed, 'shards')} of features copied to the remote cache")
