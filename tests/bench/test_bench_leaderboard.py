"""Statistics and verification at LAION-Beyond's real size: `pytest tests/bench --benchmark-only`."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from harness.leaderboard import assemble
from harness.leaderboard.bootstrap import MEAN, Bootstrap
from harness.leaderboard.evidence import Evidence
from harness.leaderboard.predictions import digest, pack
from harness.leaderboard.statistics import interval, paired_tests, ranks
from harness.leaderboard.verify import verify
from harness.ledger import labels_path, predictions_path
from harness.metrics import judge
from harness.types.labels import LabelSheet, ScoredSide

from ..unit.makers import make_cell, sha

SIZES = {  # OOP names, test images of each, IP names
    "Animals": (92, 200, 42),
    "Architecture": (50, 50, 23),
    "Attire": (54, 50, 28),
    "FolkArt": (59, 50, 27),
    "Food": (53, 50, 27),
    "Insects_Spiders": (106, 200, 52),
    "Landmark": (59, 50, 30),
    "Plants_Fugi": (113, 200, 56),
    "Pokemon": (89, 50, 39),
}
IP_IMAGES = 150
"""Of each IP name; with the others about the release's 157,382 images."""

ROWS, SEEDS = 10, (1, 2, 3)


def side(folder: str, names: int, images: int) -> ScoredSide:
    n = names * images
    return ScoredSide(
        folder=folder,
        names=tuple(f"name {i}" for i in range(names)),
        paths=tuple(f"images/name {i % names}/{i}.jpg" for i in range(n)),
        sha256=tuple(hashlib.sha256(f"{folder} {i}".encode()).hexdigest() for i in range(n)),
        labels=tuple(i % names for i in range(n)),
    )


@pytest.fixture(scope="module")
def board():
    """Ten rows with made-up predictions, three seeds each, and the files they rest on."""
    rng, files, cells = np.random.default_rng(0), {}, []
    for domain, (oop, images, ip) in SIZES.items():
        sides = {"oop": side(f"{domain}{oop}_OOP", oop, images), "ip": side(f"{domain}{ip}_IP", ip, IP_IMAGES)}
        sheet = LabelSheet(domain=domain, other=sha("other"), sides=sides)
        files[labels_path(sheet.hash)] = sheet.text().encode()
        label = {name: scored.scored_labels() for name, scored in sides.items()}
        for number in range(ROWS):
            for seed in SEEDS:

                def answer(truth, columns, share=0.3 + 0.03 * number):
                    return np.where(rng.random(len(truth)) < share, truth, rng.integers(0, columns, len(truth)))

                predicted = {"oop": answer(label["oop"], oop), "ip": answer(label["ip"], ip)}
                predicted["joint_oop"] = answer(label["oop"], oop + ip)
                predicted["joint_ip"] = answer(label["ip"] + oop, oop + ip)
                metrics, per_class = judge(predicted, label, {"oop": oop, "ip": ip})
                content = pack(predicted)
                files[predictions_path(digest(content))] = content
                cell = make_cell(
                    domain=domain,
                    seed=seed,
                    manifest=None,
                    method={"name": f"method_{number}"},
                    dataset={"fingerprint": sheet.hash},
                )
                counts = {name: len(y) for name, y in label.items()}
                made = {"metrics": metrics, "per_class": per_class, "predictions": digest(content), "images": counts}
                cells.append(cell.model_copy(update=made))
    return assemble(cells).rows, files


def test_intervals_ranks_and_tests_of_ten_rows(benchmark, board):
    rows, files = board

    def statistics():
        draws = Bootstrap(rows, [Evidence(files.get)] * len(rows), "h_mean")
        intervals = [interval(draws.of(row, MEAN)) for row in rows]
        return intervals, ranks(rows, draws), paired_tests(rows, rows[0], draws)

    _, rank, _ = benchmark.pedantic(statistics, rounds=1, iterations=1)
    assert sorted(rank) == list(range(1, ROWS + 1))


def test_verifying_ten_rows(benchmark, board):
    rows, files = board
    evidence = Evidence(files.get)
    verdicts = benchmark.pedantic(lambda: [verify(row, evidence) for row in rows], rounds=1, iterations=1)
    assert {verdict.status for verdict in verdicts} == {"verified"}
