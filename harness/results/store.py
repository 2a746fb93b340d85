"""The result store: one file for each finished cell, named by the hash of everything that decides it.

Append-only and content-addressed: a stored cell is never run again, writers do not conflict, and a file is absent or
complete, also after kill -9. A file holds the cell and its digest, so that a damaged or edited one is not taken for a
result. A failed cell is stored under another ending, and run again by the next run.

Waiting for a busy disk takes up to ten times as long as anything else about a cell, so ``put`` does not wait: ``flush``
does once, before a leaderboard names the cells. A power failure loses what the system has not written by itself, in
Linux the results of about the last half minute; the next run computes them again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from harness.corpus.record import CorpusRecord, record_content
from harness.errors import DataError
from harness.execution import linux
from harness.file_stamp import Stamp
from harness.files import list_paths, read_error, read_file, require_writable, save, write_error
from harness.parsing import parse_record
from harness.progress import pluralize
from harness.types.cell import Cell, Record
from harness.types.labels import LabelSheet
from harness.types.manifest import Manifest

FAILED = ".failed.json"


def cell_path(key: str, ending: str = ".json") -> str:
    """Path of a cell in a results folder, by the key of its spec."""
    return f"cells/{key[:2]}/{key}{ending}"


def cell_key(path: str) -> str:
    """The key of the cell with that path; the other way round of ``cell_path``, with any ending."""
    return path.rpartition("/")[2].partition(".")[0]


def predictions_path(digest: str) -> str:
    """Path of predictions in a results folder, by the sha256 of their content."""
    return f"predictions/{digest[:2]}/{digest}.safetensors"


def labels_path(fingerprint: str) -> str:
    """Path of a domain's labels in a results folder, by the fingerprint of its data."""
    return f"labels/{fingerprint}.json"


def manifest_path(digest: str) -> str:
    """Path of a few-shot draw in a results folder, by its hash."""
    return f"manifests/{digest}.json"


def corpus_record_path(digest: str) -> str:
    """Path of the record of a corpus in a results folder, by the sha256 of its content."""
    return f"corpora/{digest}.json"


class StoredCell(Record):
    """Content of a cell's file: the cell, and its digest, by which a change of the file is noticed."""

    sha256: str
    cell: Cell


class ResultStore:
    """The cells of one results folder, with their predictions, labels, few-shot draws and records of corpora."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._unflushed = False

    def prepare(self) -> None:
        """Create the folder and check that it is writable, before hours are spent.

        Raises:
            StorageError: it cannot.
        """
        require_writable(self.root / "cells", "results", "choose another folder with --out")

    def get(self, key: str) -> Cell | None:
        """The finished cell of that key; None if there is none, or only a failed or damaged one."""
        stored = _read(self._path(key))
        return None if stored is None else stored.cell

    def latest(self, key: str) -> Cell | None:
        """The finished cell of that key, or else the failed one; None if there is neither, or only damaged ones."""
        if (cell := self.get(key)) is not None:
            return cell
        failed = _read(self._path(key).with_suffix(FAILED))
        return None if failed is None else failed.cell

    def known(self, keys: Iterable[str], note: Callable[[str], object]) -> set[str]:
        """The keys of finished cells that are undamaged, and whose predictions are.

        Args:
            keys: of cells that are wanted.
            note: is called with a sentence about the files that are damaged or missing, if there are any.
        """
        found, damaged = set[str](), list[Path]()
        for key in keys:
            cell = self.get(key)
            if cell is None:
                damaged += [path] if (path := self._path(key)).exists() else []
            elif cell.predictions is None or self._intact(path := self.root / predictions_path(cell.predictions)):
                found.add(key)
            else:
                damaged.append(path)
        if damaged:
            what = pluralize(len(damaged), "results")
            note(
                f"{what} to be computed again: {damaged[0]} is missing or damaged" + ", and others" * (len(damaged) > 1)
            )
        return found

    def _intact(self, path: Path) -> bool:
        """Whether a file that is named by the sha256 of its content is there and has it."""
        try:
            return hashlib.sha256(read_file(path)).hexdigest() == path.stem
        except OSError:
            return False

    def put(self, cell: Cell) -> Cell:
        """Store a cell and its predictions; a temporary failure never hides a result.

        Returns:
            The cell as stored: its predictions are on disk, and no longer in memory.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        if cell.predictions_content is not None and cell.predictions is not None:
            self._add(predictions_path(cell.predictions), cell.predictions_content)  # first: no cell points at nothing
            cell = cell.model_copy(update={"predictions_content": None})
        key = cell.spec.key
        final = cell.failure is None or cell.failure.kind == "not applicable"
        path = self._path(key) if final else self._path(key).with_suffix(FAILED)
        self._write(path, cell_content(cell))
        if final:
            for ending in (FAILED, ".failed.log"):
                with contextlib.suppress(OSError):  # the result is stored; an old failure next to it changes nothing
                    self._path(key).with_suffix(ending).unlink()
        return cell

    def put_log(self, key: str, content: bytes) -> Path:
        """Store what a failed cell printed next to its record; its path."""
        path = self._path(key).with_suffix(".failed.log")
        self._write(path, content)
        return path

    def put_manifest(self, manifest: Manifest) -> None:
        """Store a few-shot draw of results."""
        content = manifest.text().encode()
        self._add(manifest_path(hashlib.sha256(content).hexdigest()), content)

    def put_labels(self, sheet: LabelSheet) -> None:
        """Store the labels that results were scored against."""
        self._add(labels_path(sheet.fingerprint), sheet.text().encode())

    def put_corpus_record(self, record: CorpusRecord) -> None:
        """Store what is known about the names in a pre-training corpus."""
        content = record_content(record)
        self._add(corpus_record_path(hashlib.sha256(content).hexdigest()), content)

    def stamps(self) -> dict[str, Stamp]:
        """Name in the folder of cells -> state, of the files of all cells, finished or failed.

        Raises:
            StorageError: a folder cannot be read.
        """
        found: dict[str, Stamp] = {}
        for folder in list_paths(self.root / "cells", "*"):
            try:
                with os.scandir(folder) as entries:
                    cells = [e for e in entries if e.name.endswith(".json") and not e.name.startswith(".")]
                    found |= {f"{folder.name}/{entry.name}": Stamp.of_status(entry.stat()) for entry in cells}
            except NotADirectoryError:
                continue
            except OSError as error:
                raise read_error(folder, error) from None
        return found

    def read(self, name: str) -> StoredCell | None:
        """A cell by the name of its file in the folder of cells; None if it is damaged or not there any more.

        Raises:
            StorageError: the file cannot be read.
        """
        return _read(self.root / "cells" / name)

    def cells(self) -> Iterator[Cell]:
        """All finished cells, in the order of their keys; damaged files are skipped.

        Raises:
            StorageError: a folder or file cannot be read.
        """
        names = (name for name in sorted(self.stamps()) if not name.endswith(FAILED))
        return (stored.cell for name in names if (stored := self.read(name)) is not None)

    def _path(self, key: str) -> Path:
        return self.root / cell_path(key)

    def flush(self) -> None:
        """Wait until what was put is on the disk.

        Raises:
            StorageError: the disk failed, as Linux tells from 5.8 on.
        """
        if self._unflushed:
            try:
                sync_file_system(self.root)
            except OSError as error:
                hint = "check the disk; the same command then computes what was lost"
                raise write_error("results", self.root, error, hint) from None
            self._unflushed = False

    def replace(self, name: str, content: bytes) -> None:
        """Write a file of the results folder and wait until it is on the disk, unless it has that content.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        if not _has(path := self.root / name, content):
            _save(path, content, durable=True)

    def _add(self, name: str, content: bytes) -> None:
        """Write a file that is named by its content; a damaged one is replaced."""
        if not _has(path := self.root / name, content):
            self._write(path, content)

    def _write(self, path: Path, content: bytes) -> None:
        self._unflushed = True
        _save(path, content, durable=False)


def sync_file_system(folder: Path) -> None:
    """Wait until all that was written to the file system of a folder is on the disk.

    Linux alone can wait for one file system; others wait for all, and Windows for none.

    Raises:
        OSError: the disk failed, as Linux alone tells.
    """
    if linux.is_linux():
        handle = os.open(folder, os.O_RDONLY)
        try:
            linux.call("syncfs", handle)
        finally:
            os.close(handle)
    elif hasattr(os, "sync"):
        os.sync()


def _has(path: Path, content: bytes) -> bool:
    """Whether a file has that content."""
    try:
        return read_file(path, len(content)) == content
    except OSError:
        return False


def _save(path: Path, content: bytes, durable: bool) -> None:
    save(path, content, "results", "choose another folder with --out; finished cells stay stored", durable)


def _read(path: Path) -> StoredCell | None:
    try:
        return _parse(read_file(path), cell_key(path.name))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise read_error(path, error) from None


def cell_content(cell: Cell) -> bytes:
    """The content of a cell's file."""
    return (StoredCell(sha256=cell.digest(), cell=cell).model_dump_json(indent=1) + "\n").encode()


def parse_cell(content: bytes, key: str) -> Cell | None:
    """The cell of a file's content; None if it is damaged, was changed, or has another key."""
    stored = _parse(content, key)
    return None if stored is None else stored.cell


def _parse(content: bytes, key: str) -> StoredCell | None:
    try:
        stored = parse_record(StoredCell, content, f"cell {key[:12]} is damaged")
    except DataError:
        return None
    intact = stored.sha256 == stored.cell.digest() and stored.cell.spec.key == key
    return stored if intact else None
