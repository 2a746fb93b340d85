"""Count scored images that are byte copies of images of a method's draw, pool or IP part."""

from __future__ import annotations

from collections.abc import Collection

from harness.results.artifacts import Artifacts, MissingArtifact
from harness.types.cell import Cell, MethodRecord
from harness.types.labels import UNREADABLE, LabelSheet
from harness.types.manifest import Manifest
from harness.types.task import Needs


def count_copies(
    record: MethodRecord, sheet: LabelSheet, manifest: Manifest | None, unreadable: Collection[str] = ()
) -> int:
    """Number of scored images of both sides with the bytes of an image that a method was given to fit.

    A pool of the scored images themselves does not count: the row's pool states it.

    Args:
        record: the method; its needs and its pool decide what it was given.
        sheet: the labels of the domain.
        manifest: the few-shot draw, None for a method without.
        unreadable: ``folder/path`` of images that were not scored.
    """
    seen = _given(record, sheet, manifest)
    return sum(
        digest in seen and f"{side.folder}/{path}" not in unreadable
        for side in sheet.sides.values()
        for path, digest in zip(side.paths, side.sha256, strict=True)
    )


def recount_copies(cell: Cell, sheet: LabelSheet, artifacts: Artifacts) -> int:
    """The same for a stored cell; if its draw is missing (reported elsewhere), the cell's own count."""
    try:
        manifest = artifacts.manifest(cell.spec.manifest) if cell.spec.manifest else None
    except MissingArtifact:
        return cell.copies
    return count_copies(cell.spec.method, sheet, manifest, cell.unreadable)


def _given(record: MethodRecord, sheet: LabelSheet, manifest: Manifest | None) -> set[str]:
    """sha256 of the images that a method was given; of IP images only those that are scored too."""
    needs = Needs(**dict.fromkeys(record.needs, True))
    parts = {"train": needs.includes("support"), "val": needs.validation}
    seen = {pick.sha256 for pick in manifest.picks if parts.get(pick.part)} if manifest else set()
    if record.pool == "train-unlabeled" and sheet.pool is not None:
        seen |= set(sheet.pool.sha256)
    if needs.ip:
        seen |= set(sheet.copies_of_ip)
    return seen - {UNREADABLE}
