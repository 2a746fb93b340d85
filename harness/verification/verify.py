"""Scoring kept predictions again, and naming everything in a row that does not follow from them.

What is checked: the row's setting does not contradict itself; labels, predictions and draws have the hashes that the
row names; every figure of the row follows from them; and, given the data, that labels, images and draws are those of
the data. What is not: that the predictions are the method's own. Only running it again shows that: ``harness
reproduce``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from harness.errors import DataError
from harness.leaderboard.assemble import assemble
from harness.leaderboard.differences import differences
from harness.metrics.compute import accuracy_per_class, compute_metrics
from harness.results.artifacts import Artifacts, MissingArtifact
from harness.results.copies import recount_copies
from harness.results.predictions import misfits
from harness.results.verification_marks import Against
from harness.types.cell import Cell, Failure
from harness.types.labels import LabelSheet
from harness.types.leaderboard import Row
from harness.types.manifest import Manifest
from harness.types.task import Pool
from harness.verification.collisions import unchecked_collisions, wrong_collisions
from harness.verification.consistency import contradictions
from harness.verification.label_changes import label_changes

POOLS = get_args(Pool)


class Truth(Protocol):
    """The data themselves, as far as a check needs them."""

    def sheet(self, row: Row, domain: str) -> LabelSheet | None:
        """The labels of a domain's images that the row scores; None if the data do not have the domain."""
        ...

    def fault(self, row: Row, domain: str) -> str:
        """Why there are none."""
        ...

    def unknown_rule(self, row: Row) -> str | None:
        """Why the rule that drew for a row is not known; None if it is."""
        ...

    def manifest(self, row: Row, given: Manifest) -> Manifest:
        """What the row's protocol draws from the data; of a rule that is not known, what the draw names.

        Raises:
            DataError: the data do not have an image of such a draw.
        """
        ...

    def readable(self, row: Row, domain: str, path: str) -> bool:
        """Whether the image ``folder/path`` of any part can be decoded as the row's were; not if it is in none."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What a check of one row found.

    Attributes:
        row: the row.
        status: ``verified``; ``differs``: something in it is not so; ``not verifiable``: something is missing for it.
        against: the data, or the labels that were kept.
        problems: each thing that differs or is missing.
        notes: what was not checked, or what a reader should know.
    """

    row: Row
    status: Literal["verified", "differs", "not verifiable"]
    against: Against
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def verify(row: Row, artifacts: Artifacts, truth: Truth | None = None) -> Verdict:
    """Check one row."""
    wrong = list(contradictions(row))
    lacking: list[str] = []
    notes: list[str] = []
    cells: list[Cell] = []
    for domain in sorted(row.data):
        try:
            sheet = _sheet(row, domain, artifacts, truth, wrong)
            if truth is not None and truth.sheet(row, domain) is not None:
                wrong += _wrongly_unreadable(row, domain, truth)
            cells += _cells(row, domain, sheet, artifacts, wrong)
            if domain in row.domains:
                wrong += wrong_collisions(domain, row.data[domain].collisions, sheet)
                notes += unchecked_collisions(domain, row.data[domain].collisions, sheet)
        except MissingArtifact as missing:
            lacking.append(f"{domain}: {missing}")
        for seed, digest in row.data[domain].manifests.items():
            if digest is not None:
                try:
                    wrong += _draw(row, domain, int(seed), artifacts.manifest(digest), truth)
                except MissingArtifact as missing:
                    lacking.append(f"{domain}, seed {seed}: {missing}")
        unreadable = row.data[domain].unreadable
        if unreadable and truth is None:
            notes.append(f"{domain}: {len(unreadable)} images are said to be unreadable; only --data can tell")
    if truth is not None and (unknown := truth.unknown_rule(row)) is not None:
        notes.append(f"{unknown}: its draws are of these data, as far as can be told")
    if not lacking:
        wrong += _figures(row, cells)
    status: Literal["verified", "differs", "not verifiable"]
    status = "differs" if wrong else "not verifiable" if lacking else "verified"
    return Verdict(row, status, "labels" if truth is None else "data", (*wrong, *lacking), tuple(notes))


def _sheet(row: Row, domain: str, artifacts: Artifacts, truth: Truth | None, wrong: list[str]) -> LabelSheet:
    """The labels that the row was scored against: its fingerprint is their hash."""
    fingerprint = row.data[domain].fingerprint
    own = truth.sheet(row, domain) if truth is not None else None
    if own is not None and own.hash == fingerprint:
        artifacts.add_labels(own)
        return own
    if truth is not None and own is None:
        wrong.append(f"{domain}: {truth.fault(row, domain)}")
    try:
        stored = artifacts.sheet(fingerprint)
    except MissingArtifact:
        if own is not None:
            wrong.append(f"{domain}: the data are not those of the row; without its labels, what differs is unknown")
        raise
    if stored.domain != domain:
        wrong.append(f"{domain}: its labels are those of {stored.domain}")
    if own is not None:
        wrong += [f"{domain}: {what}" for what in label_changes(stored, own)]
    return stored


def _cells(row: Row, domain: str, sheet: LabelSheet, artifacts: Artifacts, wrong: list[str]) -> Iterator[Cell]:
    """The row's cells of one domain, with every metric computed again."""
    data = row.data[domain]
    failures = {f.seed: f for f in row.failures if f.domain == domain}
    if extra := sorted({*data.predictions} - {*data.manifests}):
        wrong.append(f"{domain}: predictions of seeds that the row does not have: {', '.join(extra)}")
    labels = {side: artifacts.labels(data.fingerprint, side, data.unreadable) for side in sheet.sides}
    for spec in (row.spec(domain, int(seed)) for seed in data.manifests):
        failure = failures.get(spec.seed)
        blank = Cell(spec=spec, unreadable=data.unreadable, collisions=data.collisions, revision=data.revision)
        digest = data.predictions.get(str(spec.seed))
        if failure is not None and failure.kind != "missing" and digest is None:
            yield blank.model_copy(update={"failure": Failure(kind=failure.kind, reason=failure.reason)})
            continue
        if digest is None:
            raise MissingArtifact(f"no predictions are stored for seed {spec.seed}")
        predicted = artifacts.predictions(digest)
        if (row.method_record.pool or "") in POOLS and "pool_cluster" in predicted:
            labels["pool"] = artifacts.labels(data.fingerprint, str(row.method_record.pool), data.unreadable)
        names = {side: len(scored.names) for side, scored in sheet.sides.items()}
        if misfit := next(misfits(predicted, labels, names), None):
            raise MissingArtifact(f"the predictions of seed {spec.seed} {misfit}")
        only_oop = "oop" in predicted and "ip" not in predicted
        yield blank.model_copy(
            update={
                "metrics": compute_metrics(predicted, labels, names),
                "per_class": accuracy_per_class(predicted, labels, names),
                "images": {side: len(labels[side]) for side in sheet.sides},
                "not_applicable": row.not_applicable if only_oop else None,
                "predictions": digest,
                "copies": recount_copies(spec, data, sheet, artifacts),
                "left_out": sheet.left_out,
            }
        )
        if only_oop and "ip" in labels and row.not_applicable is None:
            wrong.append(f"{domain}, seed {spec.seed}: there are no predictions of the IP images, and no reason why")


def _wrongly_unreadable(row: Row, domain: str, truth: Truth) -> Iterator[str]:
    """Images that are left out as unreadable although they can be read: of scored ones, of a pool, or of a draw."""
    for path in row.data[domain].unreadable:
        if truth.readable(row, domain, path):
            yield f"{domain}: {path} is left out as unreadable, but it can be decoded"


def _draw(row: Row, domain: str, seed: int, manifest: Manifest, truth: Truth | None) -> Iterator[str]:
    """What is wrong with a few-shot draw."""
    where = f"{domain}, seed {seed}"
    said = (manifest.protocol, manifest.domain, manifest.shots, manifest.seed)
    if said != (row.protocol, domain, row.shots, seed):
        yield f"{where}: its manifest is of {manifest.domain}, {manifest.shots} shots, seed {manifest.seed}"
        return
    if truth is None or truth.sheet(row, domain) is None:
        return
    try:
        own = truth.manifest(row, manifest)
    except DataError as error:
        yield f"{where}: {error.message}"
        return
    if own.hash != manifest.hash:
        before, now = (dict.fromkeys((p.path, p.sha256, p.label) for p in m.picks) for m in (manifest, own))
        others = [path for path, digest, label in now if (path, digest, label) not in before]
        which = f": {others[0]} is drawn from the data, not in the manifest" if others else ""
        yield f"{where}: the manifest is not what {row.protocol} draws from the data{which}"


def _figures(row: Row, cells: list[Cell]) -> Iterator[str]:
    """Every figure of the row that does not follow from its cells."""
    wanted = {(c.spec.domain, c.spec.seed) for c in cells}
    wanted |= {(f.domain, f.seed) for f in row.failures if f.kind == "missing" and f.seed is not None}
    lost = [f for f in row.failures if f.seed is None]
    made = assemble(cells, wanted, lost).rows
    if len(made) != 1:
        yield "its domains do not belong to one row"
        return
    for what in differences(row.model_dump(mode="json"), made[0].model_dump(mode="json")):
        yield f"{what.where}: the file says {what.before}, its predictions give {what.after}"
