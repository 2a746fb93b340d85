"""Inspecting images with an executor: some hundred images are a job, such as of a node of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pydantic import ConfigDict

from harness.datasets.check_report import Problem
from harness.datasets.inspect_images import ImageInfo, ListedImage, inspect_image
from harness.errors import DataError, StorageError
from harness.execution.executors import Executor, in_order
from harness.execution.jobs import JobFailure, JobResult, Limits
from harness.files import content_digest, list_paths
from harness.parsing import MAX_VALUES, parse_record
from harness.types.cell import Record

CHUNK = 256
"""Images of a job."""


class _Inspected(Record):
    """The answer to a job."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    images: tuple[ImageInfo | Problem, ...]


class ImageInspector:
    """Inspects images in its process.

    Args:
        root: of their folders.
        device: is not used.
    """

    def __init__(self, root: Path, device: str) -> None:
        self._root = root

    def __call__(self, job: Sequence[ListedImage]) -> bytes:
        """What is found of the images of a job, as JSON."""
        return _Inspected(images=tuple(inspect_image(self._root, image) for image in job)).model_dump_json().encode()


def inspect_with(
    executor: Executor, workers: int, root: Path, images: Sequence[ListedImage]
) -> Iterator[ImageInfo | Problem]:
    """Inspect images in the processes of an executor; yields them in order.

    Args:
        executor: runs the processes.
        workers: processes on this machine.
        root: of the folders, on every node.
        images: of the root.

    Raises:
        StorageError: images could not be inspected.
    """
    jobs = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    for result in in_order(executor(jobs, partial(ImageInspector, root), Limits(workers))):
        yield from _images_of(result, jobs[result.number])


def _images_of(result: JobResult, job: Sequence[ListedImage]) -> tuple[ImageInfo | Problem, ...]:
    where = f" (on {result.place})" if result.place else ""
    what = f"{job[0].folder}/{job[0].path}{where}"
    if isinstance(result.value, JobFailure):
        fault = f"the process that checks images such as {what} {result.value.reason}"
        raise StorageError(fault, "run the command again")
    return parse_record(_Inspected, result.value, f"the answer about {what} is damaged", max_values=MAX_VALUES).images


def split_digest(root: Path) -> str:
    """The sha256 of the names and contents of all split files of a root."""
    files = list_paths(root, "*/split_Xin_*.json")
    return content_digest((file.relative_to(root).as_posix(), file) for file in files)


def require_root(root: Path, digest: str, limits: Limits) -> Limits:
    """Check that a node has a root with the same split files.

    Args:
        root: the folder.
        digest: of its split files on the machine that began.
        limits: of the node's processes, which are returned.

    Raises:
        DataError: it has not.
    """
    hint = "check data that lie under the same path on every node, as on a shared file system"
    if not root.is_dir():
        raise DataError(f"it has no folder {root}", hint)
    if split_digest(root) != digest:
        raise DataError(f"it has other data in {root}", hint)
    return limits
