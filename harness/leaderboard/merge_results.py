"""Copy the results of several folders, such as those of shards, into one, and write its leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import DataError, UserError
from harness.files import list_paths
from harness.leaderboard.update import update_leaderboard
from harness.progress import Reporter
from harness.results.artifacts import Artifacts, MissingArtifact
from harness.results.store import FAILED, ResultStore
from harness.types.cell import Cell, Spec

OF_A_RUN = {"cost", "isolation", "features_from"}
"""Fields of a cell in which two runs of it may differ; all others are the same on every machine of one kind."""


def merge_results(folders: Sequence[Path], out: Path, report: Reporter) -> int:
    """Write all results of several folders into one, with the leaderboard that one run would have written.

    Args:
        folders: results folders; ``out`` may be one of them.
        out: the folder to write; results that it has are kept.
        report: shows progress, and notes what is damaged.

    Returns:
        The number of cells in the folder.

    Raises:
        UserError: a folder has no results.
        DataError: two folders have different results of one cell.
        StorageError: a folder cannot be read or written.
    """
    target, specs = ResultStore(out), dict[str, Spec]()
    target.prepare()
    for folder in dict.fromkeys([*folders, out]):
        source = ResultStore(folder)
        names = sorted(source.stamps(), key=lambda name: (name.endswith(FAILED), name))  # finished ones first
        if not names and folder in folders:
            raise UserError(f"{folder} has no results", "name the folders that `harness evaluate --out` wrote")
        copy = _Copy(source, target, report.note) if folder.resolve() != out.resolve() else None
        with report.stage(f"reading {folder}", len(names), "cells") as advance:
            for name in names:
                stored = source.read(name)
                if stored is None:
                    report.note(f"{folder}/cells/{name} is damaged and left out")
                elif copy is None or copy(stored.cell):
                    specs[stored.cell.spec.key] = stored.cell.spec
                advance(1)
        if copy is not None:
            copy.corpus_records()
    update_leaderboard(target, list(specs.values()))
    return len(specs)


class _Copy:
    """Copies cells from one store to another, with what they refer to."""

    def __init__(self, source: ResultStore, target: ResultStore, note: Callable[[str], object]) -> None:
        self._source, self._target, self._note = source, target, note
        self._artifacts = Artifacts.in_folder(source.root)
        self._done = set[str]()

    def __call__(self, cell: Cell) -> bool:
        """Copy a cell that is not there; whether the store has one of its key now.

        Raises:
            DataError: the store has another result of it.
        """
        known = self._target.get(cell.spec.key)
        if known is not None:
            if cell.failure is None and _result(known) != _result(cell):
                what = f"{cell.spec.method.name} on {cell.spec.domain} (cell {cell.spec.key[:12]})"
                fault = f"{self._source.root} has another result of {what} than {self._target.root}"
                raise DataError(fault, "one of the machines computes something else; assemble without its folder")
            return True
        try:
            self._put(cell)
        except MissingArtifact as lacking:
            self._note(f"{self._source.root}: cell {cell.spec.key[:12]} is left out: {lacking}")
            return False
        return True

    def corpus_records(self) -> None:
        """Copy the records of corpora."""
        for path in list_paths(self._source.root / "corpora", "*.json"):
            try:
                self._target.put_corpus_record(self._artifacts.corpus_record(path.stem))
            except MissingArtifact as lacking:
                self._note(f"{self._source.root}: a record of a corpus is left out: {lacking}")

    def _put(self, cell: Cell) -> None:
        """Copy a cell.

        Raises:
            MissingArtifact: its labels, draw or predictions are missing or damaged.
        """
        fingerprint, manifest = cell.spec.dataset.fingerprint, cell.spec.manifest
        if fingerprint not in self._done:
            self._target.put_labels(self._artifacts.sheet(fingerprint))
        if manifest is not None and manifest not in self._done:
            self._target.put_manifest(self._artifacts.manifest(manifest))
        self._done |= {fingerprint, manifest or ""}
        content = None if cell.predictions is None else self._artifacts.predictions_content(cell.predictions)
        self._target.put(cell.model_copy(update={"predictions_content": content}))


def _result(cell: Cell) -> str:
    return cell.model_dump_json(exclude=OF_A_RUN)
