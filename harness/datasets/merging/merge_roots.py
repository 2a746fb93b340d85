"""Write the folders of several roots as a new root; the roots themselves are never written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from harness.datasets.folder_writer import write_document
from harness.datasets.listing import is_intact
from harness.datasets.map_in_threads import SHORT_WORK, map_in_threads
from harness.datasets.merging.documents import merged_documents
from harness.datasets.merging.listed_root import ListedRoot, read_listed_root
from harness.datasets.new_root import OTHER_FOLDER, has_data, require_apart, require_content
from harness.datasets.remote import RemoteFile
from harness.datasets.whole_folder import write_whole_folder
from harness.errors import DataError, UserError, printable
from harness.progress import pluralize
from harness.types.cell import Record

Progress = Callable[[str, int, int], None]
"""Callback with (stage, files done, files in all)."""


class MergeReport(Record):
    """The result of a merge.

    Attributes:
        root: the new data root.
        written: whether it was written; False if it was there, with the same content.
        folders: each folder -> the root that it is from.
    """

    root: str
    written: bool
    folders: dict[str, str]


def merge_roots(
    paths: Sequence[Path], out: Path, link: bool = False, workers: int = 2, progress: Progress | None = None
) -> MergeReport:
    """Write a root with the folders of others and what is next to them; the order of the others does not matter.

    Every file is compared with the listing that an import, a download or a merge stored with it. The new root is filled
    in a hidden folder next to it and renamed at the end. A second merge writes nothing; it compares every byte.

    Args:
        paths: the other roots, at least two.
        out: the root to create.
        link: whether files are hard links rather than copies.
        workers: threads that read and write.
        progress: called from the calling thread.

    Raises:
        UserError: there are fewer than two roots, or one would be inside of another.
        DataError: two roots have the same domain or different sentences about a name, a root has no listing, or files
            differ from it.
        StorageError: the new root is something else, or cannot be written.
    """
    if len(paths) < 2:
        raise UserError("a merge needs at least two roots", "for example `harness data merge one two --out both`")
    require_apart(out, [str(path) for path in paths])
    there = has_data(out)
    roots = sorted(map(read_listed_root, paths), key=lambda root: list(root.folders))
    _require_distinct(roots)
    documents = merged_documents(roots, out.absolute().name)
    files = {file: root.path for root in roots for listed in root.folders.values() for file in listed}
    written: list[Path] = []

    def write(folder: Path) -> None:
        _copy_files(files, folder, link, workers, progress and partial(progress, "merging files"))
        for path, content in documents.items():
            write_document(folder / path, content)
        written.append(folder)

    if not there:
        hint = f"{OTHER_FOLDER}, or leave out --link" if link else OTHER_FOLDER
        write_whole_folder(out, lambda: has_data(out), write, "the data", hint)
    if not written:
        require_content(out, documents, list(files), workers, progress and partial(progress, "comparing files"))
    sources = {folder: printable(str(root.path)) for root in roots for folder in root.folders}
    return MergeReport(root=printable(str(out)), written=bool(written), folders=dict(sorted(sources.items())))


def _require_distinct(roots: Sequence[ListedRoot]) -> None:
    """Check that no two roots have the same domain, also where file systems ignore case.

    Raises:
        DataError: two have.
    """
    found: dict[str, Path] = {}
    for root in roots:
        for domain in root.domains:
            if domain.casefold() in found:
                hint = "merge roots of different domains; `harness data import --domain` names one"
                raise DataError(f"{found[domain.casefold()]} and {root.path} both have the domain {domain}", hint)
        found |= {domain.casefold(): root.path for domain in root.domains}


def _copy_files(
    files: Mapping[RemoteFile, Path], out: Path, link: bool, workers: int, progress: Callable[[int, int], None] | None
) -> None:
    """Copy or link listed files.

    Raises:
        DataError: some are missing or have another content.
    """
    for place in {file.path.rpartition("/")[0] for file in files}:
        (out / place).mkdir(parents=True, exist_ok=True)
    damaged = []
    copied = map_in_threads(lambda item: _copy(*item, out, link), files.items(), workers, SHORT_WORK)
    for done, (intact, (file, root)) in enumerate(zip(copied, files.items(), strict=True), start=1):
        if not intact:
            damaged.append(root / file.path)
        if progress:
            progress(done, len(files))
    if damaged:
        raise DataError(
            f"missing or changed in the roots: {pluralize(len(damaged), 'files')}, first {damaged[0]}",
            "`harness data check ROOT` lists them; import or download them again",
        )


def _copy(file: RemoteFile, root: Path, out: Path, link: bool) -> bool:
    """Copy or link a file; False if it is not as listed."""
    blocks: list[bytes] = []
    if not is_intact(root, file, blocks.append):
        return False
    if link:
        os.link(os.path.realpath(root / file.path), out / file.path)
    else:
        (out / file.path).write_bytes(b"".join(blocks))
    return True
