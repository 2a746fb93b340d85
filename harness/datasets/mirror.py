"""A mirror of a data set: tar archives of class folders, with listings of their files, in a folder or on a web server.

A mirror contains::

    index.json                    the commit, and the names of the folders
    Food53_OOP/listing.json       path, size, sha256, archive and offset of each file of the folder
    Food53_OOP/0000.tar           the files next to images/
    Food53_OOP/0001.tar           the images of a class, and so on
    root-files/...                nouns.json and the other files next to the folders, in the same way

The archives are ordinary tar files. A download reads files by their offset and never extracts an archive.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from harness.datasets.identity import read_revision
from harness.datasets.image_bytes import MAX_BYTES
from harness.datasets.layout import find_folders
from harness.datasets.listing import MAX_LISTING_BYTES, Listing, write_listing
from harness.datasets.remote import PORTAL, FileFault, RemoteBusy, RemoteFile, is_inside, retry_after
from harness.datasets.root_files import ROOT_FILES, find_root_files, is_listed_in
from harness.errors import DataError, UserError, one_line, os_reason
from harness.files import detect_placeholder, open_regular_file, read_error, read_file, save, walk_files
from harness.types.cell import Record

R = TypeVar("R", bound=Record)

INDEX = "index.json"

TIMEOUT_S = 30.0

_BLOCK_BYTES = 1 << 20


class MirrorIndex(Record):
    """The content of a mirror.

    Attributes:
        commit: the commit of the data if they were downloaded, else a digest of the listings.
        folders: the ``{Domain}{N}_{side}`` folders, and ``ROOT_FILES`` if there are any.
    """

    commit: str
    folders: tuple[str, ...]


class Mirror:
    """A mirror as a server of data.

    Args:
        address: a folder, or the http(s) address of one.
    """

    def __init__(self, address: str) -> None:
        scheme = urlsplit(address).scheme if "://" in address else None
        if scheme not in (None, "http", "https"):
            raise UserError(f"{address!r} is not a folder or an http(s) address", "give the folder of index.json")
        self.name = address.rstrip("/") if scheme else str(Path(address).absolute())
        self._folder = None if scheme else Path(address).expanduser()

    def commit(self, revision: str) -> str:
        """See Remote: a mirror contains one commit, whatever the revision."""
        return self._read(INDEX, MirrorIndex).commit

    def names(self, commit: str) -> list[str]:
        """See Remote."""
        return list(self._read(INDEX, MirrorIndex).folders)

    def files(self, folder: str, commit: str) -> list[RemoteFile]:
        """See Remote."""
        listing = self._read(f"{folder}/listing.json", Listing)
        if listing.commit != commit:
            raise UserError(
                f"{self.name} contains commit {listing.commit[:12]} of {folder}, not {commit[:12]}",
                "use another destination, or the source of the first download",
            )
        return list(listing.files)

    def find(self, paths: Sequence[str], commit: str) -> list[RemoteFile]:
        """See Remote: the listings are complete."""
        return []

    def fetch(self, files: Sequence[RemoteFile], commit: str) -> Iterator[tuple[RemoteFile, Iterator[bytes]]]:
        """See Remote; the files of one archive are read in its order, from the first that is asked for."""
        ordered = sorted(files, key=lambda file: file.offset)
        archive, position = _safe_archive(ordered[0]), ordered[0].offset

        def blocks(size: int) -> Iterator[bytes]:
            nonlocal position
            with self._translate_errors(archive):
                for block in _read(stream, size):
                    position += len(block)
                    size -= len(block)
                    yield block
            if size and not self._folder:
                raise RemoteBusy(f"{self.name}/{archive} ends early", status=200)

        with self._open(archive, position) as stream:
            for file in ordered:
                if file.offset < position:
                    raise FileFault(f"{file.path}: the listing gives its bytes to another file too")
                position += _skip(stream, file.offset - position)
                yield file, blocks(file.size)

    def advice(self, files: Sequence[RemoteFile]) -> str | None:
        """See Remote: a mirror has no known limit."""
        return None

    def _read(self, name: str, record: type[R]) -> R:
        """A JSON document of the mirror."""
        try:
            with self._open(name, 0) as stream:
                content = stream.read(MAX_LISTING_BYTES + 1)
        except FileFault as fault:
            raise DataError(f"no mirror: {fault}", f"give the folder that contains {INDEX}") from None
        try:
            return record.model_validate_json(content[:MAX_LISTING_BYTES])
        except ValueError as error:
            page = detect_placeholder(content)
            reason = f"the server sent {PORTAL}" if page else f"it is malformed: {one_line(error)}"
            raise DataError(f"{self.name}/{name}: {reason}", "check the address of the mirror") from None

    @contextmanager
    def _open(self, name: str, offset: int) -> Iterator[BinaryIO]:
        """A file of the mirror, from a position on; errors of opening and reading it are translated."""
        with self._translate_errors(name):
            if self._folder:
                with open_regular_file(self._folder / name) as file:
                    file.seek(offset)
                    yield file
            else:
                request = Request(f"{self.name}/{quote(name)}", headers={"Range": f"bytes={offset}-"})
                with urlopen(request, timeout=TIMEOUT_S) as response:
                    if response.status != HTTPStatus.PARTIAL_CONTENT:
                        _skip(response, offset)
                    yield response

    @contextmanager
    def _translate_errors(self, name: str) -> Iterator[None]:
        what = f"{self.name}/{name}"
        try:
            yield
        except HTTPError as error:
            if error.code in (401, 403, 404, 410):
                raise FileFault(f"{what}: HTTP {error.code}") from None
            raise RemoteBusy(
                f"HTTP {error.code} for {what}",
                retry_after({name.lower(): value for name, value in error.headers.items()}),
                error.code,
            ) from None
        except (OSError, HTTPException) as error:
            if self._folder:
                raise FileFault(f"{what} cannot be read: {os_reason(error)}") from None
            raise RemoteBusy(f"{what}: {one_line(error)}") from error


def pack(root: Path, out: Path, progress: Callable[[str, int, int], None] | None = None) -> None:
    """Write a data root as a mirror: one tar archive for each class, the same bytes every time.

    Archives are written atomically and the index last, so a stopped run leaves no usable but incomplete mirror.

    Args:
        root: the data root.
        out: the folder of the mirror; created if missing.
        progress: called with (folder name, written archives, all archives).

    Raises:
        DataError: the root contains no folder.
        StorageError: a file cannot be read or written.
    """
    folders = find_folders(root) + [ROOT_FILES] * bool(find_root_files(root))
    packed = {folder: list(_pack_folder(root, folder, out, progress)) for folder in folders}
    content = [file.model_dump(mode="json") for files in packed.values() for file in files]
    commit = read_revision(root) or hashlib.sha256(json.dumps(content).encode()).hexdigest()
    for folder, files in packed.items():
        write_listing(out / folder / "listing.json", Listing(commit=commit, files=tuple(files)))
    index = MirrorIndex(commit=commit, folders=tuple(folders)).model_dump_json().encode()
    save(out / INDEX, index, "the index of the mirror", "choose another folder")


def _pack_folder(
    root: Path, folder: str, out: Path, progress: Callable[[str, int, int], None] | None
) -> Iterator[RemoteFile]:
    groups: dict[str, list[tuple[str, Path]]] = {}
    for name, path in _files(root, folder):
        classname = name.split("/")[2] if name.startswith(f"{folder}/images/") else ""
        groups.setdefault(classname, []).append((name, path))
    for number, (_, files) in enumerate(sorted(groups.items())):
        archive = f"{folder}/{number:04d}.tar"
        content, listed = _tar(archive, files)
        save(out / archive, content, "an archive of the mirror", "choose another folder")
        yield from listed
        if progress:
            progress(folder, number + 1, len(groups))


def _files(root: Path, folder: str) -> list[tuple[str, Path]]:
    """(Path relative to the root, path) of the files of a folder."""
    if folder == ROOT_FILES:
        return find_root_files(root)
    try:
        return [(f"{folder}/{name}", path) for name, path in walk_files(root / folder)]
    except OSError as error:
        raise read_error(root / folder, error) from None


def _tar(archive: str, files: list[tuple[str, Path]]) -> tuple[bytes, list[RemoteFile]]:
    """A tar archive of some files, and their places in it."""
    buffer, digests = io.BytesIO(), {}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in files:
            try:
                content = read_file(path, MAX_BYTES)
            except OSError as error:
                raise read_error(path, error) from None
            info = tarfile.TarInfo(name)
            info.size, digests[name] = len(content), f"sha256:{hashlib.sha256(content).hexdigest()}"
            tar.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as tar:
        members = tar.getmembers()
    return buffer.getvalue(), [
        RemoteFile(path=m.name, size=m.size, checksum=digests[m.name], archive=archive, offset=m.offset_data)
        for m in members
    ]


def _safe_archive(file: RemoteFile) -> str:
    """The archive of a file, which is a path in the mirror."""
    folder = ROOT_FILES if is_listed_in(file.path, ROOT_FILES) else file.path.partition("/")[0]
    if file.archive is None or not is_inside(file.archive, folder):
        raise FileFault(f"{file.path}: its archive {file.archive!r} is not in its folder of the mirror")
    return file.archive


def _read(stream: BinaryIO, count: int) -> Iterator[bytes]:
    """The next bytes of a stream, in blocks; fewer than ``count`` if it ends."""
    while count > 0 and (block := stream.read(min(count, _BLOCK_BYTES))):
        count -= len(block)
        yield block


def _skip(stream: BinaryIO, count: int) -> int:
    """Skip the next bytes of a stream; returns how many there were."""
    return sum(map(len, _read(stream, count)))
