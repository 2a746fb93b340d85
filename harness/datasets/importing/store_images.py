"""Read, check and store the images of a planned root."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import NamedTuple

from harness.datasets.images import decode_image
from harness.datasets.importing.plan_root import PlannedImage, RootPlan
from harness.datasets.map_in_threads import SHORT_WORK, map_in_threads
from harness.datasets.pillow import fixed_pillow_settings
from harness.errors import DataError


class StoredImage(NamedTuple):
    """An intact image."""

    planned: PlannedImage
    sha256: str
    size: int


def store_images(
    plan: RootPlan,
    root: Path | None,
    link: bool,
    workers: int,
    progress: Callable[[int, int], None] | None,
    intact: Collection[str] = (),
) -> tuple[list[StoredImage], list[str]]:
    """Read and decode every image, and write it.

    Args:
        plan: the images.
        root: the new root; None writes nothing.
        link: whether to write hard links.
        workers: threads.
        progress: called with (images done, images in all).
        intact: sha256 of images that were decoded before.

    Returns:
        The intact images in the order of the plan, and a sentence for each damaged one.
    """
    if root:
        for place in {image.path.rpartition("/")[0] for image in plan.images}:
            (root / place).mkdir(parents=True)
    stored: list[StoredImage] = []
    damaged: list[str] = []
    store = partial(_store, root=root, link=link, intact=intact)
    with fixed_pillow_settings():  # entered once, not for each image
        for done, result in enumerate(map_in_threads(store, plan.images, workers, SHORT_WORK), start=1):
            if isinstance(result, StoredImage):
                stored.append(result)
            else:
                damaged.append(result.message)
            if progress:
                progress(done, len(plan.images))
    return stored, damaged


def _store(planned: PlannedImage, root: Path | None, link: bool, intact: Collection[str]) -> StoredImage | DataError:
    sample = planned.sample
    try:
        data = sample.read()
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 not in intact:
            decode_image(data, sample.where)
    except DataError as error:
        return error
    if root:
        target = root / planned.path
        if link:
            assert sample.path is not None, "checked before"
            os.link(os.path.realpath(sample.path), target)
        else:
            target.write_bytes(data)
    return StoredImage(planned, sha256, len(data))
