"""Import a data set: read a source, check all names, then write a root that appears only when it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.datasets.folder_writer import write_document
from harness.datasets.importing.documents import DividedImage, imported_folders, root_documents
from harness.datasets.importing.draw_parts import HashedImage, divide, require_shares
from harness.datasets.importing.find_source import read_source
from harness.datasets.importing.plan_root import RootPlan, plan_root, require_domain
from harness.datasets.importing.request import ImportReport, ImportRequest
from harness.datasets.importing.sample import Source
from harness.datasets.importing.store_images import StoredImage, store_images
from harness.datasets.listing import listing_path, read_listing
from harness.datasets.new_root import OTHER_FOLDER, has_data, require_apart, require_content, require_folders
from harness.datasets.remote import RemoteFile
from harness.datasets.whole_folder import write_whole_folder
from harness.errors import DataError, UserError, printable
from harness.progress import pluralize
from harness.prompts import domain_noun

Progress = Callable[[str, int, int], None]
"""Callback with (stage, images done, images in all)."""


def import_data(request: ImportRequest, progress: Progress | None = None) -> ImportReport:
    """Write a data set of another form as a new LAION-Beyond root; the source is never modified.

    The root is filled in a hidden folder next to it and renamed at the end. A second import of the same source writes
    nothing; it compares every byte.

    Raises:
        UserError: an option or a name is wrong, or the root would be inside the source.
        DataError: the source is damaged, an image is and may not be left out, or the root has changed since.
        StorageError: the root is something else, or cannot be written.
    """
    require_domain(request.domain)
    require_shares(request.shares)
    require_apart(request.out, request.sources)
    there = has_data(request.out)
    source = read_source(request.sources, request.columns, request.images)
    plan = plan_root(source, request)
    _require_links(plan, request)
    work = _Import(request, source, plan, progress)
    if there:
        return work.compare()
    reports: list[ImportReport] = []
    hint = f"{OTHER_FOLDER}, or leave out --link" if request.link else OTHER_FOLDER
    write_whole_folder(
        request.out,
        finished=lambda: has_data(request.out),
        write=lambda folder: reports.append(work.write(folder)),
        what="the data",
        hint=hint,
    )
    return reports[0] if reports else work.compare()  # another process was first


@dataclass(frozen=True)
class _Import:
    """A planned import."""

    request: ImportRequest
    source: Source
    plan: RootPlan
    progress: Progress | None

    def write(self, root: Path) -> ImportReport:
        """Fill a new folder."""
        images, damaged = self._images(root)
        documents, _ = self._documents(images, damaged)
        for path, content in documents.items():
            write_document(root / path, content)
        return self._report(images, damaged, written=True)

    def compare(self) -> ImportReport:
        """Check that the root is what this import would write.

        Raises:
            StorageError: it is another data set.
            DataError: its images have changed.
        """
        require_folders(self.request.out, sorted(self.plan.folders))
        images, damaged = self._images(None)
        documents, listed = self._documents(images, damaged)
        on_file = partial(self.progress, "comparing files") if self.progress else None
        require_content(self.request.out, documents, listed, self.request.workers, on_file)
        return self._report(images, damaged, written=False)

    def _images(self, root: Path | None) -> tuple[list[DividedImage], list[str]]:
        """The intact images with their parts, written into ``root`` if there is one, and the damaged ones."""
        request = self.request
        stage = "importing images" if root else "comparing images"
        on_image = partial(self.progress, stage) if self.progress else None
        intact = frozenset[str]() if root else self._imported()
        stored, damaged = store_images(self.plan, root, request.link, request.workers, on_image, intact)
        if damaged and not request.skip_damaged:
            raise _damaged_error(damaged, len(self.plan.images))
        self._require_classes(stored)
        hashed = [
            HashedImage(one.planned.classname, one.sha256, None if request.redraw else one.planned.sample.part)
            for one in stored
        ]
        parts = divide(hashed, request.shares, request.seed)
        return [DividedImage(one, part) for one, part in zip(stored, parts, strict=True)], damaged

    def _imported(self) -> frozenset[str]:
        """The sha256 of the images that the root lists: they were decoded when it was made."""
        listings = [read_listing(listing_path(self.request.out, folder)) for folder in self.plan.folders]
        files = (file for listing in listings if listing for file in listing.files)
        return frozenset(file.checksum.removeprefix("sha256:") for file in files)

    def _require_classes(self, stored: Sequence[StoredImage]) -> None:
        left = {one.planned.classname for one in stored}
        if lost := [name for names in self.plan.classes.values() for name in names if name not in left]:
            raise DataError(f"no image of {', '.join(lost[:10])} is intact", "remove the class, or add images")

    def _documents(self, images: list[DividedImage], damaged: list[str]) -> tuple[dict[str, bytes], list[RemoteFile]]:
        return root_documents(self.plan, images, self.request, self.source.kind, len(damaged))

    def _report(self, images: list[DividedImage], damaged: list[str], written: bool) -> ImportReport:
        return ImportReport(
            root=printable(str(self.request.out)),
            domain=self.request.domain,
            noun=self.request.noun or domain_noun(self.request.domain),
            written=written,
            folders=imported_folders(self.plan, images),
            damaged=tuple(map(printable, damaged)),
            notes=tuple(map(printable, (*self.plan.notes, *_copies(images), *_without_test(images)))),
        )


def _copies(images: Sequence[DividedImage]) -> Iterator[str]:
    """Notes on images whose bytes occur more than once."""
    classes: dict[str, list[DividedImage]] = {}
    for one in images:
        classes.setdefault(one.image.sha256, []).append(one)
    groups = [group for group in classes.values() if len(group) > 1]
    if groups:
        count = sum(len(group) - 1 for group in groups)
        yield f"{pluralize(count, 'images')} with the bytes of another one; copies are in the same part"
    several = [group for group in groups if len({one.image.planned.classname for one in group}) > 1]
    if several:
        places = ", ".join(one.image.planned.path for one in several[0])
        yield f"{pluralize(len(several), 'images')} in more than one class, first {places}: the labels contradict"


def _without_test(images: Sequence[DividedImage]) -> Iterator[str]:
    """A note on classes that are never scored."""
    tested = {one.image.planned.classname for one in images if one.part == "test"}
    if lost := sorted({one.image.planned.classname for one in images} - tested):
        yield f"{pluralize(len(lost), 'names')} without a test image, never scored: {', '.join(lost[:10])}"


def _damaged_error(damaged: Sequence[str], total: int) -> DataError:
    shown = "; ".join(damaged[:10]) + (f"; and {len(damaged) - 10} more" if len(damaged) > 10 else "")
    message = f"{len(damaged)} of {pluralize(total, 'images')} cannot be used: {shown}"
    return DataError(message, "--skip-damaged leaves them out, and --json then lists all")


def _require_links(plan: RootPlan, request: ImportRequest) -> None:
    """Check that every image can be linked.

    Raises:
        UserError: it is not in a file of its own.
    """
    packed = next((image.sample.where for image in plan.images if image.sample.path is None), None)
    if request.link and packed:
        raise UserError(f"--link needs image files, and {packed} is none", "leave out --link")
