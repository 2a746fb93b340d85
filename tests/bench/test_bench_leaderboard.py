"""Statistics and verification at LAION-Beyond's real size: `pytest tests/bench --benchmark-only`."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time

import numpy as np
import pytest

from harness.cli.main import execute
from harness.leaderboard.assemble import assemble
from harness.leaderboard.bootstrap import MEAN, BootstrapDraws
from harness.leaderboard.compare import diff
from harness.leaderboard.index import INDEX
from harness.leaderboard.statistics import interval, paired_tests, ranks
from harness.leaderboard.update import SETTLED_NS, update_leaderboard
from harness.leaderboard.view import read_sources
from harness.metrics.compute import accuracy_per_class, compute_metrics
from harness.results.artifacts import Artifacts
from harness.results.leaderboard_file import read_board
from harness.results.predictions import digest, pack
from harness.results.store import ResultStore, cell_content, cell_path, labels_path, predictions_path
from harness.site.build import build
from harness.types.labels import LabelSheet, ScoredSide
from harness.verification.verify import verify

from ..makers import make_cell, sha

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
        names=tuple(f"{folder} name {i}" for i in range(names)),
        paths=tuple(f"images/name {i % names}/{i}.jpg" for i in range(n)),
        sha256=tuple(hashlib.sha256(f"{folder} {i}".encode()).hexdigest() for i in range(n)),
        labels=tuple(i % names for i in range(n)),
    )


def answered(sheet, rng, method, seed, share):
    """A cell of a made-up method that is right on a share of the images, and the files of it and of its answers."""
    label = {name: scored.scored_labels() for name, scored in sheet.sides.items()}
    k = {name: len(scored.names) for name, scored in sheet.sides.items()}

    def answer(truth, columns):
        return np.where(rng.random(len(truth)) < share, truth, rng.integers(0, columns, len(truth)))

    predicted = {"oop": answer(label["oop"], k["oop"]), "ip": answer(label["ip"], k["ip"])}
    predicted["joint_oop"] = answer(label["oop"], k["oop"] + k["ip"])
    predicted["joint_ip"] = answer(label["ip"] + k["oop"], k["oop"] + k["ip"])
    content = pack(predicted)
    cell = make_cell(
        domain=sheet.domain,
        seed=seed,
        shots=0,
        manifest=None,
        method={"name": method},
        dataset={"fingerprint": sheet.fingerprint},
    )
    images = {name: len(y) for name, y in label.items()}
    made = {"metrics": compute_metrics(predicted, label, k), "per_class": accuracy_per_class(predicted, label, k)}
    made |= {"predictions": digest(content), "images": images}
    cell = cell.model_copy(update=made)
    return cell, {predictions_path(digest(content)): content, cell_path(cell.spec.key): cell_content(cell)}


def study(sizes, rows, seeds):
    """Rows with made-up predictions, the later the better, and the files that they rest on."""
    rng, files, cells = np.random.default_rng(0), {}, []
    for domain, (oop, images, ip, ip_images) in sizes.items():
        sides = {"oop": side(f"{domain}{oop}_OOP", oop, images), "ip": side(f"{domain}{ip}_IP", ip, ip_images)}
        sheet = LabelSheet(domain=domain, other=sha("other"), sides=sides)
        files[labels_path(sheet.fingerprint)] = sheet.text().encode()
        for number in range(rows):
            for seed in seeds:
                share = 0.3 + 0.3 * number / rows
                cell, stored = answered(sheet, rng, f"method_{number:03d}", seed, share)
                cells.append(cell)
                files |= stored
    return assemble(cells), files


def made_up(rows, seeds=SEEDS):
    """Cells of rows of one method with other parameters, on nine domains, with accuracies of 90 classes each."""
    first = make_cell()
    for number in range(rows):
        method = first.spec.method.model_copy(update={"parameters": {"lr": number}})
        for domain, seed in itertools.product(SIZES, seeds):
            spec = first.spec.model_copy(update={"method": method, "domain": domain, "seed": seed})
            value = (number * 7 + seed * 3 + len(domain)) % 97 / 97
            values = {name: value + i / 1000 for i, name in enumerate(first.metrics)}
            classes = {"oop": (value,) * 60, "ip": (1 - value,) * 30}
            yield first.model_copy(update={"spec": spec, "metrics": values, "per_class": classes})


@pytest.mark.parametrize("rows", [250, 500, 1000, 2000])
@pytest.mark.parametrize("work", ["assemble", "parse JSON"])
def test_bench_assembling_beside_parsing_the_same_cells(benchmark, rows, work):
    """Both grow in proportion to the cells."""
    cells = list(made_up(rows))
    if work == "assemble":
        made = benchmark.pedantic(assemble, (cells,), rounds=3)
        assert len(made.rows) == rows
    else:
        texts = [cell.model_dump_json() for cell in cells]
        benchmark.pedantic(lambda: [json.loads(text) for text in texts], rounds=3)
    benchmark.group = f"{rows} rows, {len(cells):,} cells"


CELLS = int(os.environ.get("HARNESS_BENCH_CELLS", "10000"))
"""Stored cells of the benchmark of updates."""


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A results folder with an up-to-date leaderboard."""
    store = ResultStore(tmp_path_factory.mktemp("grown"))
    for cell in made_up(CELLS // (len(SIZES) * len(SEEDS))):
        path = store.root / cell_path(cell.spec.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cell_content(cell))  # not by `put`, which waits for the disk
    update_leaderboard(store)
    time.sleep(SETTLED_NS / 1e9)
    update_leaderboard(store)
    return store


@pytest.mark.parametrize("work", ["nothing new", "one new cell", "list and parse the index"])
def test_bench_updating_a_large_leaderboard(benchmark, grown, work):
    benchmark.group = f"updating {CELLS:,} cells"
    fresh = itertools.count()

    def one_more():
        if work == "one new cell":
            method = {"parameters": {"lr": -1 - next(fresh)}}
            grown.put(make_cell(domain="Animals", method=method))

    def run():
        if work.startswith("list"):
            return grown.stamps(), json.loads((grown.root / INDEX).read_bytes().partition(b"\n")[2])
        return update_leaderboard(grown)

    benchmark.pedantic(run, setup=one_more, rounds=5)


@pytest.fixture(scope="module")
def board():
    """Ten rows, three seeds each."""
    made, files = study({name: (*size, IP_IMAGES) for name, size in SIZES.items()}, ROWS, SEEDS)
    return made.rows, files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A thousand rows of one setting on three domains of the miniature's size, one seed each."""
    out = tmp_path_factory.mktemp("thousand")
    made, files = study(dict.fromkeys(("Animals", "Food", "Pokemon"), (24, 20, 12, 20)), 1000, (1,))
    for name, content in {**files, "leaderboard.json": made.text().encode()}.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return out


def test_intervals_ranks_and_tests_of_ten_rows(benchmark, board):
    rows, files = board

    def statistics():
        draws = BootstrapDraws(rows, [Artifacts(files.get)] * len(rows), ["h_mean"]).of("h_mean")
        intervals = [interval(draws.of(row, MEAN)) for row in rows]
        return intervals, ranks(rows, draws), paired_tests(rows, [rows[0]], draws)

    _, rank, _ = benchmark.pedantic(statistics, rounds=1, iterations=1)
    assert sorted(rank) == list(range(1, ROWS + 1))


def test_verifying_ten_rows(benchmark, board):
    rows, files = board
    artifacts = Artifacts(files.get)
    verdicts = benchmark.pedantic(lambda: [verify(row, artifacts) for row in rows], rounds=1, iterations=1)
    assert {verdict.status for verdict in verdicts} == {"verified"}


def test_ranks_of_a_thousand_rows(benchmark, folder):
    sources = read_sources([folder])
    draws = BootstrapDraws(sources.rows, sources.artifacts, ["h_mean"]).of("h_mean")
    found = benchmark.pedantic(lambda: ranks(sources.rows, draws), rounds=1, iterations=1)
    assert min(found) == 1
    assert len(set(found)) > 100


def test_showing_a_thousand_rows(benchmark, folder, capfd):
    code = benchmark.pedantic(
        lambda: execute(["leaderboard", "show", str(folder), "--markdown"]), rounds=1, iterations=1
    )
    assert code == 0
    assert capfd.readouterr().out.count("method\\_") == 1000


def test_pairing_a_thousand_rows_with_themselves(benchmark, folder):
    one, other = read_board(folder), read_board(folder)
    assert benchmark.pedantic(lambda: diff(one, other), rounds=1, iterations=1) == {}


def test_building_the_page_of_a_thousand_rows(benchmark, folder, tmp_path):
    file = benchmark.pedantic(lambda: build([folder], tmp_path), rounds=1, iterations=1)
    assert file.read_text(encoding="utf-8").count('"reproduce":') == 1000
