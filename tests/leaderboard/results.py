"""A results folder as `harness evaluate` leaves it, over a small root on disk, with made-up predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness import protocols
from harness.datasets.digests import DigestIndex
from harness.datasets.domain import DomainData, DomainReader
from harness.datasets.layout import open_dataset
from harness.leaderboard.assemble import assemble
from harness.metrics.compute import accuracy_per_class, compute_metrics
from harness.results.costs import FILE, Costs, cost_of
from harness.results.predictions import digest, pack
from harness.results.store import ResultStore
from harness.types.cell import Cell, Cost, Failure
from harness.types.leaderboard import Leaderboard, Row

from ..datasets.roots import make_root
from ..makers import make_spec

PER_PART = {"train": 3, "val": 2, "test": 8}


@dataclass(frozen=True)
class Answering:
    """A made-up method: how often it is right on OOP images, and whether that depends on the seed."""

    name: str
    right: float
    shots: int = 2
    seeds: tuple[int, ...] = (1, 2, 3)
    moody: bool = True
    only_oop: bool = False


METHODS = (Answering("zero_shot", 0.3, shots=0, moody=False), Answering("fsnl", 0.8))


def read_all(root: Path, tmp: Path) -> dict[str, DomainData]:
    dataset = open_dataset(root)
    reader = DomainReader(dataset, DigestIndex(tmp / "digests.sqlite"), workers=1)
    return {name: reader.read(name) for name in dataset.domains}


def answers(data: DomainData, method: Answering, seed: int) -> dict[str, np.ndarray]:
    """Predictions that are right as often as the method says, elsewhere any other column."""
    rng = np.random.default_rng([len(data.name), seed if method.moody else 0, int(1000 * method.right)])
    label = {side: scored.scored_labels() for side, scored in data.sheet.sides.items()}
    k = {side: len(scored.names) for side, scored in data.sheet.sides.items()}

    def draw(truth: np.ndarray, columns: int, right: float) -> np.ndarray:
        wrong = (truth + rng.integers(1, columns, len(truth))) % columns
        return np.where(rng.random(len(truth)) < right, truth, wrong)

    found = {"oop": draw(label["oop"], k["oop"], method.right)}
    if method.only_oop:
        return found
    both = sum(k.values())
    found |= {"ip": draw(label["ip"], k["ip"], 0.7), "joint_oop": draw(label["oop"], both, method.right * 0.8)}
    found |= {"joint_ip": draw(label["ip"] + k["oop"], both, 0.5)}
    fixed = np.random.default_rng(len(data.name))
    found["reference"] = (label["ip"] + (fixed.random(len(label["ip"])) < 0.3)) % k["ip"]
    return found | measured(data, found, seed)


def measured(data: DomainData, found: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """What is stored besides predictions: confidences, own names, margins and groups; groups depend on no seed."""
    rng, fixed = np.random.default_rng([seed, len(data.name)]), np.random.default_rng(len(data.name))
    more = {f"{key}_confidence": rng.integers(31_000, 34_000, len(columns)) for key, columns in found.items()}
    del more["reference_confidence"]
    for side in ("oop", "ip"):
        n = len(found[side])
        more |= {f"joint_{side}_own": found[side], f"{side}_margin": rng.integers(0, 30, n) + 10 * (side == "oop")}
        more |= {f"{side}_subgroup": fixed.integers(0, 2, n), f"{side}_leaf": fixed.integers(0, 6, n) * 9}
    return more


def run(
    out: Path,
    domains: dict[str, DomainData],
    methods: Sequence[Answering] = METHODS,
    fail: Callable[[str, str, int], Failure | None] = lambda method, domain, seed: None,
) -> Leaderboard:
    """Fill a results folder the way ``evaluate`` does."""
    store = ResultStore(out)
    store.prepare()
    cells = [
        one(store, data, method, seed, fail) for method in methods for data in domains.values() for seed in method.seeds
    ]
    board = assemble(cells)
    (out / "leaderboard.json").write_text(board.text())
    known = {row.id: cost for row in board.rows if (cost := cost_of(row, store.get))}
    (out / FILE).write_bytes(Costs(rows=known).content())
    return board


def one(
    store: ResultStore,
    data: DomainData,
    method: Answering,
    seed: int,
    fail: Callable[[str, str, int], Failure | None],
) -> Cell:
    manifest = None
    if method.shots:
        protocol = protocols.get_protocol("clean-v1")
        manifest = protocols.draw(protocol, [(data.oop["train"], data.oop["val"])], method.shots, seed, data.digests)
        store.put_manifest(manifest)
    store.put_labels(data.sheet)
    spec = make_spec(
        domain=data.name,
        seed=seed,
        shots=method.shots,
        manifest=manifest.sha256 if manifest else None,
        method={"name": method.name},
        dataset={"folders": data.folders, "fingerprint": data.fingerprint, "name": "small"},
    )
    failure = fail(method.name, data.name, seed)
    if failure is not None:
        return store.put(Cell(spec=spec, failure=failure))
    label = {side: scored.scored_labels() for side, scored in data.sheet.sides.items()}
    predicted = answers(data, method, seed)
    names = {side: len(scored.names) for side, scored in data.sheet.sides.items()}
    content = pack(predicted)
    return store.put(
        Cell(
            spec=spec,
            metrics=compute_metrics(predicted, label, names),
            per_class=accuracy_per_class(predicted, label, names),
            images={side: len(y) for side, y in label.items()},
            not_applicable="it knows the OOP names only" if method.only_oop else None,
            predictions=digest(content),
            predictions_content=content,
            cost=Cost(fit_seconds=2.0, score_seconds=0.5, trainable=64, peak_host_bytes=1000 * seed),
        )
    )


@dataclass
class Lab:
    """A root, what was read from it, and a results folder over it."""

    root: Path
    domains: dict[str, DomainData]
    out: Path
    board: Leaderboard

    def row(self, method: str) -> Row:
        return next(row for row in self.board.rows if row.method == method)


def make_lab(tmp: Path) -> Lab:
    root = make_root(tmp / "data", per_part=PER_PART)
    domains = read_all(root, tmp)
    return Lab(root, domains, tmp / "results", run(tmp / "results", domains))
