"""The artifacts of rows, in a results folder, packed or not, or a submission.

They are cells, labels, draws, predictions and records of corpora. Each is named by its hash, which is always checked;
damaged content counts as missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from harness.corpus.record import CorpusRecord, parse_corpus_record
from harness.errors import DataError, UserError
from harness.files import read_error, read_file
from harness.metrics.prediction_kinds import Columns
from harness.parsing import MAX_VALUES, parse_record
from harness.results import predictions
from harness.results.archive import HINT, PACKED, Archive, is_archive
from harness.results.costs import FILE as COSTS
from harness.results.costs import RowCost, parse_costs
from harness.results.leaderboard_file import BOARD, parse_board, read_board, select, split_address
from harness.results.store import (
    FAILED,
    cell_path,
    corpus_record_path,
    labels_path,
    manifest_path,
    parse_cell,
    predictions_path,
)
from harness.types.cell import Cell
from harness.types.labels import LabelSheet
from harness.types.leaderboard import Leaderboard, Row
from harness.types.manifest import Manifest

MAX_REFERENCED = 1 << 30
"""Bytes that the row of a submission may refer to, each file counted as often as it is named."""

UNPACKED = 64
"""Cells whose predictions stay in memory: those of a row, of which several parts of a page ask."""

POOLED = {"test-unlabeled": "oop"}
"""The side whose scored images a pool is."""


class MissingArtifact(Exception):  # noqa: N818 - a finding, not an error
    """Raised when labels, predictions or a draw are missing or damaged; the message says which."""


class Artifacts:
    """Reads the artifacts of rows.

    Args:
        read: a path in the results folder -> the content, or None if there is no such file.
    """

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        self._read = read
        self._unpacked = lru_cache(maxsize=UNPACKED)(self._unpack)
        self._sheets: dict[str, LabelSheet] = {}
        self._labels: dict[tuple[str, str, tuple[str, ...]], Columns] = {}

    @classmethod
    def in_folder(cls, results: Path) -> Artifacts:
        """The artifacts of a results folder."""
        return cls(_Folder(results))

    def sheet(self, fingerprint: str) -> LabelSheet:
        """The labels of the domain data with that fingerprint.

        Raises:
            MissingArtifact: they are missing or damaged.
        """
        if fingerprint not in self._sheets:
            content = self._content(labels_path(fingerprint), fingerprint, "labels")
            problem = f"labels {fingerprint[:12]} are damaged"
            try:
                sheet = parse_record(LabelSheet, content, problem, max_values=MAX_VALUES)
            except DataError as error:
                raise MissingArtifact(error.message) from None
            self._sheets[fingerprint] = sheet
        return self._sheets[fingerprint]

    def add_labels(self, sheet: LabelSheet) -> None:
        """Add labels from elsewhere, under their hash."""
        self._sheets[sheet.fingerprint] = sheet

    def labels(self, fingerprint: str, side: str, unreadable: tuple[str, ...]) -> Columns:
        """Labels ``(n,)`` of a side's scored images, or of a pool's, in the order of predictions.

        Raises:
            MissingArtifact: the labels are missing or damaged, or the domain has no such side.
        """
        key = fingerprint, side, unreadable
        if key not in self._labels:
            sheet = self.sheet(fingerprint)
            scored = sheet.pool if side == "train-unlabeled" else sheet.sides.get(POOLED.get(side, side))
            if scored is None:
                raise MissingArtifact(f"labels {fingerprint[:12]} have no {side} images")
            self._labels[key] = scored.scored_labels(unreadable)
        return self._labels[key]

    def predictions(self, digest: str) -> dict[str, Columns]:
        """The predicted columns of one cell; they cannot be written to.

        Raises:
            MissingArtifact: they are missing or damaged.
        """
        return dict(self._unpacked(digest))

    def _unpack(self, digest: str) -> dict[str, Columns]:
        try:
            return predictions.unpack(self.predictions_content(digest))
        except DataError as error:
            raise MissingArtifact(f"predictions {digest[:12]} are damaged: {error.message}") from None

    def predictions_content(self, digest: str) -> bytes:
        """The file of the predictions of one cell.

        Raises:
            MissingArtifact: it is missing or damaged.
        """
        return self._content(predictions_path(digest), digest, "predictions")

    def manifest(self, digest: str) -> Manifest:
        """A few-shot draw.

        Raises:
            MissingArtifact: it is missing or damaged.
        """
        content = self._content(manifest_path(digest), digest, "manifest")
        try:
            return parse_record(Manifest, content, f"manifest {digest[:12]} is damaged", max_values=MAX_VALUES)
        except DataError as error:
            raise MissingArtifact(error.message) from None

    def corpus_record(self, digest: str) -> CorpusRecord:
        """The record of a corpus.

        Raises:
            MissingArtifact: it is missing or damaged.
        """
        content = self._content(corpus_record_path(digest), digest, "corpus record")
        try:
            return parse_corpus_record(content, f"corpus record {digest[:12]}")
        except DataError as error:
            raise MissingArtifact(error.message) from None

    def cell(self, key: str) -> Cell:
        """A finished or failed cell.

        Raises:
            MissingArtifact: it is missing, damaged or was changed.
        """
        return self._cell(key)[1]

    def files(self, row: Row) -> dict[str, bytes]:
        """Path in a results folder -> content, of everything that verifying the row needs.

        Raises:
            MissingArtifact: something is missing or damaged.
        """
        wanted = dict.fromkeys(references(row))
        found = {one.path: self._content(one.path, one.digest, one.what) for one in wanted}
        return found | dict(self._cell(spec.key)[0] for spec in row.specs())

    def costs(self) -> dict[str, RowCost]:
        """Row id -> cost; empty if the file is missing or damaged."""
        return parse_costs(self._read(COSTS) or b"")

    def _cell(self, key: str) -> tuple[tuple[str, bytes], Cell]:
        """Path and content of a cell's file, and the cell."""
        for path in (cell_path(key), cell_path(key, FAILED)):
            content = self._read(path)
            cell = None if content is None else parse_cell(content, key)
            if content is not None and cell is not None:
                return (path, content), cell
        raise MissingArtifact(f"no result with the settings of the row is stored: there is no whole {cell_path(key)}")

    def _content(self, path: str, digest: str, what: str) -> bytes:
        content = self._read(path)
        if content is None:
            raise MissingArtifact(f"{what} {digest[:12]} missing: there is no {path}")
        if hashlib.sha256(content).hexdigest() != digest:
            raise MissingArtifact(f"{what} {digest[:12]} damaged or changed: {path} has another sha256")
        return content


class Reference(NamedTuple):
    """A file that a row names: its path in a results folder, its sha256, and what it is called."""

    path: str
    digest: str
    what: str


def references(row: Row) -> Iterator[Reference]:
    """Every file that verifying a row needs, as often as the row names it."""
    for data in row.data.values():
        yield Reference(labels_path(data.fingerprint), data.fingerprint, "labels")
        for digest in filter(None, data.manifests.values()):
            yield Reference(manifest_path(digest), digest, "manifest")
        for digest in filter(None, data.predictions.values()):
            yield Reference(predictions_path(digest), digest, "predictions")
        if data.pretraining is not None:
            yield Reference(corpus_record_path(data.pretraining.record), data.pretraining.record, "corpus record")


def open_file(path: Path) -> tuple[Leaderboard, Artifacts]:
    """The rows of a leaderboard file, results folder or submission, and their artifacts.

    Raises:
        UserError: there is no such file.
        DataError: it is none of these.
    """
    if path.is_file() and is_archive(path):
        return _open_submission(path)
    return read_board(path), Artifacts.in_folder(path if path.is_dir() else path.parent)


def open_row(address: str) -> tuple[Path, Row, Artifacts]:
    """The file, the row and its artifacts of an address ``FILE#ROW``; ``select`` describes ROW.

    Raises:
        UserError: no such file or row, or more than one.
        DataError: the file is not a leaderboard.
    """
    path, wanted = split_address(address)
    board, artifacts = open_file(path)
    return path, select(board.rows, wanted, str(path)), artifacts


def _open_submission(path: Path) -> tuple[Leaderboard, Artifacts]:
    archive = Archive(path)
    content = archive.read(BOARD)
    if content is None:
        raise UserError(f"{path} is not a submission: it has no {BOARD}", "`harness leaderboard submit` writes one")
    board = parse_board(content, f"{path}:{BOARD}")
    if sum(archive.sizes.get(one.path, 0) for row in board.rows for one in references(row)) > MAX_REFERENCED:
        raise DataError(f"{path} is a damaged submission: its row names the same files again and again", HINT)
    return board, Artifacts(archive.read)


class _Folder:
    """Reads a results folder: a file, or else the member of that name of its packed artifacts."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, name: str) -> bytes | None:
        content = _read_file(self._root / name)
        return content if content is not None or self._packed is None else self._packed.read(name)

    @cached_property
    def _packed(self) -> Archive | None:
        path = self._root / PACKED
        return Archive(path) if path.is_file() else None


def _read_file(path: Path) -> bytes | None:
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise read_error(path, error) from None
