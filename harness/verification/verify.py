"""Verify a row: compute it again from stored predictions, and name everything that differs.

What is checked: the row's setting does not contradict itself; its cells are stored, with that very setting; labels,
predictions and draws have the hashes that cells and row name; every value of the row follows from them; and, given the
data, that labels, images and draws are those of the data. What is not: that the predictions are the method's own. Only
running it again shows that: ``harness reproduce``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from harness.corpus.record import CorpusRecord
from harness.errors import DataError
from harness.leaderboard.assemble import assemble
from harness.leaderboard.differences import differences
from harness.leaderboard.pretraining import PretrainingFinder
from harness.metrics.compute import Vectors, accuracy_per_class, compute_metrics
from harness.metrics.metric import Metric
from harness.metrics.table import VERSION, metrics_of
from harness.results.artifacts import Artifacts, MissingArtifact
from harness.results.copies import recount_copies
from harness.results.predictions import misfits
from harness.results.verification_marks import Against
from harness.types.cell import Cell
from harness.types.labels import LabelSheet
from harness.types.leaderboard import Row
from harness.types.manifest import Manifest
from harness.types.task import Pool
from harness.verification.collisions import unchecked_collisions, wrong_collisions
from harness.verification.consistency import contradictions
from harness.verification.label_changes import label_changes

if TYPE_CHECKING:
    from harness.verification.source_data import SourceData

POOLS = get_args(Pool)

Status = Literal["verified", "differs", "not verifiable"]


@dataclass(frozen=True)
class Verdict:
    """The result of verifying one row.

    Attributes:
        row: the row.
        status: ``differs`` if something in it is wrong; ``not verifiable`` if something is missing for it.
        against: the data, or the stored labels.
        problems: each thing that differs or is missing.
        notes: what was not checked, or what a reader should know.
    """

    row: Row
    status: Status
    against: Against
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def failing(self) -> bool:
        """Whether the row is not verified although its method applies: else there is nothing that could be wrong."""
        applies = self.row.domains or {failure.kind for failure in self.row.failures} != {"not applicable"}
        return self.status != "verified" and bool(applies)


def verify(row: Row, artifacts: Artifacts, data: SourceData | None = None) -> Verdict:
    """Verify one row against its stored labels, or against the data if they are given."""
    check = _Check(row, artifacts, data)
    check.run()
    status: Status = "differs" if check.wrong else "not verifiable" if check.missing else "verified"
    problems = (*check.wrong, *check.missing)
    return Verdict(row, status, "labels" if data is None else "data", problems, tuple(check.notes))


@dataclass
class _Check:
    """One row, and what is found: wrong things, missing things and notes."""

    row: Row
    artifacts: Artifacts
    data: SourceData | None
    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    corpus_records: dict[str, CorpusRecord] = field(default_factory=dict)
    sheets: dict[str, LabelSheet] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that the row's versions name, as far as they are known here."""
        return metrics_of(self.row.versions)

    def run(self) -> None:
        """Check everything."""
        row, cells = self.row, list[Cell]()
        self.wrong += contradictions(row)
        for domain in sorted(row.data):
            try:
                cells += self._domain(domain)
            except MissingArtifact as error:
                self.missing.append(f"{domain}: {error}")
            self._draws(domain)
            self._corpus_record(domain)
            unreadable = row.data[domain].unreadable
            if unreadable and self.data is None:
                self.notes.append(
                    f"{domain}: {len(unreadable)} images are listed as unreadable; only --data can check this"
                )
        if self.data is not None and (unknown := self.data.unknown_rule(row)) is not None:
            self.notes.append(f"{unknown}: its draws are of these data, as far as can be checked")
        if not self.missing:
            self.wrong += _differences(
                row.only(self.metrics), cells, PretrainingFinder(self.corpus_records, self.sheets)
            )
        if not row.domains:
            self.missing.append("the row has no values: all its cells are missing or failed")
        self.missing += [_why_unknown(metric, row) for metric in sorted(row.metrics - self.metrics.keys())]

    def _domain(self, domain: str) -> list[Cell]:
        """Check labels, unreadable images and names of a domain; its cells, computed again.

        Raises:
            MissingArtifact: labels or predictions are missing or damaged.
        """
        row = self.row
        sheet = self._labels(domain)
        self.sheets[sheet.fingerprint] = sheet
        if self.data is not None and self.data.sheet(row, domain) is not None:
            for path in row.data[domain].unreadable:
                if self.data.readable(row, domain, path):
                    self.wrong.append(f"{domain}: {path} is left out as unreadable, but it can be decoded")
        cells = list(self._cells(domain, sheet))
        if domain in row.domains:
            self.wrong += wrong_collisions(domain, row.data[domain].collisions, sheet)
            self.notes += unchecked_collisions(domain, row.data[domain].collisions, sheet)
        return cells

    def _labels(self, domain: str) -> LabelSheet:
        """The labels that the row was scored against: its fingerprint is their hash."""
        fingerprint = self.row.data[domain].fingerprint
        own = self.data.sheet(self.row, domain) if self.data is not None else None
        if own is not None and own.fingerprint == fingerprint:
            self.artifacts.add_labels(own)
            return own
        if self.data is not None and own is None:
            self.wrong.append(f"{domain}: {self.data.why_missing(self.row, domain)}")
        try:
            stored = self.artifacts.sheet(fingerprint)
        except MissingArtifact:
            if own is not None:
                self.wrong.append(
                    f"{domain}: the data are not those of the row; without its labels, what differs is unknown"
                )
            raise
        if stored.domain != domain:
            self.wrong.append(f"{domain}: its labels are those of {stored.domain}")
        if own is not None:
            self.wrong += [f"{domain}: {what}" for what in label_changes(stored, own)]
        return stored

    def _cells(self, domain: str, sheet: LabelSheet) -> Iterator[Cell]:
        """The stored cells of one domain of the row; what follows from their predictions is computed again."""
        for seed in self.row.data[domain].manifests:
            cell = self.artifacts.cell(self.row.spec(domain, int(seed)).key)
            if cell.predictions is not None:
                cell = cell.model_copy(update=self._computed(cell, cell.predictions, sheet))
            yield cell

    def _computed(self, cell: Cell, digest: str, sheet: LabelSheet) -> dict[str, object]:
        """What follows from the predictions of a cell."""
        spec, row = cell.spec, self.row
        predicted = self.artifacts.predictions(digest)
        sides: dict[str, str] = {side: side for side in sheet.sides}
        if "pool_cluster" in predicted and (pool := row.method_record.pool) in POOLS:
            sides["pool"] = str(pool)
        fingerprint = spec.dataset.fingerprint
        labels = {key: self.artifacts.labels(fingerprint, side, cell.unreadable) for key, side in sides.items()}
        names = {side: len(scored.names) for side, scored in sheet.sides.items()}
        if misfit := next(misfits(predicted, labels, names), None):
            raise MissingArtifact(f"the predictions of seed {spec.seed} {misfit}")
        only_oop = "oop" in predicted and "ip" not in predicted
        if only_oop and "ip" in sheet.sides and cell.not_applicable is None:
            self.wrong.append(
                f"{spec.domain}, seed {spec.seed}: there are no predictions of the IP images, and no reason why"
            )
        return {
            "metrics": self._metrics(predicted, labels, names),
            "per_class": accuracy_per_class(predicted, labels, names),
            "images": {side: len(labels[side]) for side in sheet.sides},
            "not_applicable": cell.not_applicable if only_oop else None,
            "copies": recount_copies(cell, sheet, self.artifacts),
            "left_out": sheet.left_out,
        }

    def _metrics(self, predicted: Vectors, labels: Vectors, names: dict[str, int]) -> dict[str, float]:
        """The row's metrics of one cell; one that the row does not have at all is noted."""
        found = compute_metrics(predicted, labels, names, self.metrics, self.notes.append)
        for metric in found.keys() - self.row.metrics:
            note = f"the row has no {metric}: another version of the harness made it, or it was removed"
            self.notes += [note] if note not in self.notes else []
        return {metric: value for metric, value in found.items() if metric in self.row.metrics}

    def _corpus_record(self, domain: str) -> None:
        """Read the record that a domain's facts about its names are from."""
        facts = self.row.data[domain].pretraining
        if facts is not None:
            try:
                self.corpus_records[facts.record] = self.artifacts.corpus_record(facts.record)
            except MissingArtifact as error:
                self.missing.append(f"{domain}: {error}")

    def _draws(self, domain: str) -> None:
        """Check the few-shot draws of a domain."""
        for seed, digest in self.row.data[domain].manifests.items():
            if digest is not None:
                try:
                    if wrong := self._wrong_draw(domain, int(seed), self.artifacts.manifest(digest)):
                        self.wrong.append(f"{domain}, seed {seed}: {wrong}")
                except MissingArtifact as error:
                    self.missing.append(f"{domain}, seed {seed}: {error}")

    def _wrong_draw(self, domain: str, seed: int, manifest: Manifest) -> str | None:
        """What is wrong with a few-shot draw, None if nothing is."""
        row = self.row
        if (manifest.protocol, manifest.domain, manifest.shots, manifest.seed) != (
            row.protocol,
            domain,
            row.shots,
            seed,
        ):
            return f"its manifest is of {manifest.title}"
        if self.data is None or self.data.sheet(row, domain) is None:
            return None
        try:
            own = self.data.manifest(row, manifest)
        except DataError as error:
            return error.message
        if own.sha256 == manifest.sha256:
            return None
        before, now = (dict.fromkeys((p.path, p.sha256, p.label) for p in m.picks) for m in (manifest, own))
        others = [path for path, digest, label in now if (path, digest, label) not in before]
        which = f": {others[0]} is drawn from the data, not in the manifest" if others else ""
        return f"the manifest is not what {row.protocol} draws from the data{which}"


def _why_unknown(metric: str, row: Row) -> str:
    distribution, version, *_ = (*row.versions.get(VERSION.format(metric), "").split(), "", "")
    offered = f"plugin of {distribution} {version}, which" if distribution else "plugin that"
    return f"metric {metric} is not checked: it comes from a {offered} is not installed here in the same edition"


def _differences(row: Row, cells: list[Cell], facts: PretrainingFinder) -> Iterator[str]:
    """Everything in a row that does not follow from its cells and the records of its corpus."""
    wanted = {(c.spec.domain, c.spec.seed) for c in cells}
    wanted |= {(f.domain, f.seed) for f in row.failures if f.kind == "missing" and f.seed is not None}
    lost = [f for f in row.failures if f.seed is None]
    made = facts.added_to_all(assemble(cells, wanted, lost)).rows
    if len(made) != 1:
        yield "its domains do not belong to one row"
        return
    follows = {"id"}  # from the other values
    stored, again = (one.model_dump(mode="json", exclude=follows) for one in (row, made[0]))
    for what in differences(stored, again):
        yield f"{what.where}: the file says {what.before}, its results give {what.after}"
