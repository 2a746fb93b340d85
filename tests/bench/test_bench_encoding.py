"""Encoding against peers: ``pytest tests/bench/test_bench_encoding.py --benchmark-only``.

Every contender gets the same files in turn: images of the miniature, and larger ones for an input of 224 pixels. Ours
also checks the sha256 of every file and that features are finite. CPU seconds, those of a DataLoader's processes among
them, change little with other work on the machine; the seconds of one and two cores are those of the clock, and need
two idle ones. HARNESS_BENCH_OUT names a file for the ratios.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import time
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from harness.backbones import backbone as backbones
from harness.backbones.find import find
from harness.backbones.openclip import pixel_transform, random_model, transform
from harness.datasets.image_bytes import file_digest
from harness.datasets.pillow import fixed_pillow_settings
from harness.execution.executors import processes
from harness.execution.jobs import Limits
from harness.execution.one_thread import one_thread_per_operation
from harness.feature_cache.image_encoder import ImageEncoder, ImageSource
from harness.feature_cache.kinds import global_features
from harness.miniature import build as miniature
from harness.miniature import model
from harness.miniature.offer import harness_backbone
from harness.progress import NullReporter
from harness.runner.encode_jobs import encode_with
from harness.runner.feature_provider import provider_of
from harness.runner.method_processes import start_server
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request

from ..datasets.roots import make_root

CPU = torch.device("cpu")
ROUNDS, IMAGES, LARGE = 5, 512, 64
BATCH = 64
LOADERS = {"open_clip and a DataLoader": 0, "open_clip and a DataLoader of 2 workers": 2, "CLIP_benchmark": 0}
"""Peer that encodes -> processes that decode for it; with none, it decodes itself."""

CASES = {
    "decode and resize, 64": ("ours", "Pillow", "open_clip's transform"),
    "decode and resize, 224": ("ours", "Pillow", "open_clip's transform"),
    "encode, 64": ("ours", *LOADERS),
    "encode with ViT-B-32, 224": ("ours", *LOADERS),
}
"""Case -> contenders, ours first."""

seconds: dict[tuple[str, str, int], float] = {}
ONE = "one thread"
WAYS = {ONE: 1, "two threads": 2, "two processes": 1}
"""Way to use two cores -> threads of this process: as --workers 1 and 2 do, and as a node of a cluster does."""
WORKS = "the main job", "ViT-B-32"

clock: dict[tuple[str, str, int], float] = {}
"""Work, way, turn -> seconds."""
rows: dict[str, int] = {}
"""Work -> images that were encoded."""


def cpu_seconds() -> float:
    """Of this process and those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The miniature's data."""
    return miniature.build(tmp_path_factory.mktemp("bench") / "beyond-mini")


@pytest.fixture(scope="module")
def files(root, tmp_path_factory):
    """Side of the encoder's input -> image files."""
    small = sorted(root.glob("*_OOP/images/*/*.jpg"))[:: 8640 // IMAGES][:IMAGES]
    folder = tmp_path_factory.mktemp("large")
    large = [folder / f"{number}.jpg" for number in range(LARGE)]
    for number, file in enumerate(large):  # photographs of 500 x 375, as in LAION-Beyond
        grain = np.random.default_rng(number).integers(0, 24, (375, 500, 3), np.uint8)
        with Image.open(small[number]) as image:
            Image.fromarray(np.asarray(image.resize((500, 375))) // 2 + grain).save(file, quality=90)
    return {64: small, 224: large}


@cache
def backbone(side=64):
    """The miniature's, or ViT-B-32 with random weights."""
    found = find(model.NAME, None, offer=harness_backbone())
    small = backbones.load(backbones.resolve(found, "fp32", file_digest), CPU)
    if side == 64:
        return small
    settings = {**small.preprocess_config, "size": (side, side)}
    large = random_model("ViT-B-32").eval().requires_grad_(False)
    return replace(small, model=large, embed_dim=512, preprocess=transform(settings), preprocess_config=settings)


@cache
def sources(files):
    return [ImageSource(str(file), file_digest(file), file.name) for file in files]


class Files(Dataset):
    """Images as every peer loads them: opened by Pillow, transformed by open_clip."""

    def __init__(self, files, transform):
        self.files, self.transform = files, transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, number):
        with Image.open(self.files[number]) as image:
            return self.transform(image.convert("RGB")), 0


def with_pillow(file, side):
    """Read, resize the short side and crop, as open_clip does with Pillow."""
    with Image.open(file) as image:
        rgb = image.convert("RGB")
    short = min(rgb.size)
    width, height = (side if length == short else int(side * length / short) for length in rgb.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return rgb.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))


def decode(who, side, files):
    """Read, decode, resize and crop every file."""
    if who == "Pillow":
        return lambda: [with_pillow(file, side) for file in files]
    preprocess = transform({**backbone().preprocess_config, "size": (side, side)})
    if who == "open_clip's transform":
        images = Files(files, preprocess)

        def peer():
            with one_thread_per_operation(CPU):  # as around our batches; else threads that wait count as work
                return [images[number] for number in range(len(files))]

        return peer
    pixels = pixel_transform({**backbone().preprocess_config, "size": (side, side)})
    encoder = ImageEncoder(replace(global_features(backbone()), preprocess=pixels, size=(side, side)))

    def ours():
        with fixed_pillow_settings():  # as around all batches
            return [encoder.read(source) for source in sources(tuple(files))]

    return ours


def encode(who, side, files):
    """Encode every file."""
    made = backbone(side)
    if who == "ours":
        return lambda: ImageEncoder(global_features(made)).encode(sources(tuple(files)))
    featurizer = made.encode_image
    if who == "CLIP_benchmark":
        featurizer = pytest.importorskip("clip_benchmark.metrics.linear_probe").Featurizer(made.model)

    def run():
        loader = DataLoader(Files(files, made.preprocess), batch_size=BATCH, num_workers=LOADERS[who])
        with one_thread_per_operation(CPU), torch.no_grad():
            return [featurizer(images) for images, _ in loader]

    return run


def test_pillow_and_ours_make_the_same_pixels(benchmark, files):
    benchmark.pedantic(lambda: None)
    for side in files:
        pairs = zip(decode("ours", side, files[side])(), decode("Pillow", side, files[side])(), strict=True)
        assert all(np.array_equal(ours.transpose(1, 2, 0), np.asarray(theirs)) for ours, theirs in pairs)


@pytest.mark.parametrize("who", sorted({who for contenders in CASES.values() for who in contenders}))
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.benchmark(timer=cpu_seconds)
def test_bench_encoding(benchmark, files, turn, case, who):
    if who not in CASES[case]:
        pytest.skip("another case's contender")
    side = int(case.rpartition(" ")[2])
    make = encode if case.startswith("encode") else decode
    benchmark.group, benchmark.extra_info["images"] = case, len(files[side])
    benchmark.pedantic(make(who, side, files[side]), rounds=1 if "ViT" in case else 3, warmup_rounds="ViT" not in case)
    if benchmark.stats is not None:
        seconds[case, who, turn] = benchmark.stats.stats.min


@pytest.fixture(scope="module")
def requests(root, tmp_path_factory):
    """Work -> its run: the main job, and some large images for ViT-B-32 with random weights."""
    folder = tmp_path_factory.mktemp("heavy")
    per_part = {"train": 8, "val": 2, "test": 8}
    data = make_root(
        folder / "data", {"Animals8_OOP": tuple("abcdefgh"), "Animals2_IP": ("i", "j")}, per_part, (500, 375)
    )
    weights = folder / "ViT-B-32.pt"
    torch.save(random_model("ViT-B-32").state_dict(), weights)
    fsnl = (MethodChoice("fsnl"),)
    return {
        "the main job": Request(fsnl, data=root, backbone=model.NAME),
        "ViT-B-32": Request(fsnl, data=data, backbone="ViT-B-32", pretrained=str(weights)),
    }


@pytest.fixture(scope="module")
def server():
    """What processes are forked from, with its libraries, as in a run: there it starts before data are read."""
    start_server()
    assert [result.value for result in processes([b""], lambda device: bytes)] == [b""]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("turn", range(3))
def test_bench_two_cores(benchmark, requests, server, tmp_path, turn, work, way):
    """All images of a run into an empty cache; the start of processes is timed, and loading the first model is not."""
    request = replace(requests[work], out=tmp_path / "out", cache=tmp_path / "cache")
    plan = make_plan(request, NullReporter())
    provider = provider_of(plan, WAYS[way])

    def run():
        begin = time.perf_counter()
        if way == "two processes":
            encode_with(processes, Limits(2), provider, plan, plan.jobs, NullReporter())
        provider.encode(plan.jobs, NullReporter())
        clock[work, way, turn] = time.perf_counter() - begin
        rows[work] = provider.encoder.encoded

    benchmark.group = f"two cores, {work}"
    benchmark.pedantic(run)


def test_ratios_are_written(benchmark):
    """Last: the medians and the ratios, in the style of the other benchmarks."""
    benchmark.pedantic(lambda: None)
    if not (out := os.environ.get("HARNESS_BENCH_OUT")):
        pytest.skip("HARNESS_BENCH_OUT is not set")
    pairs = [(case, ours, peer) for case, (ours, *peers) in CASES.items() for peer in peers]
    content = {
        "schema": 1,
        "benchmark": "encoding",
        "images": {"64": IMAGES, "224": LARGE},
        "turns": ROUNDS,
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("torch", "open_clip_torch", "pillow", "pytest-benchmark")},
        "load": round(os.getloadavg()[0], 1),
        "rows": [row(*pair) for pair in pairs if (pair[0], pair[2], 0) in seconds],
        "two_cores": [two_cores(work) for work in WORKS if (work, ONE, 0) in clock],
    }
    Path(out).write_text(json.dumps(content, indent=1) + "\n")


def two_cores(work):
    """Seconds of the clock, and how many times as fast two threads or processes are as one thread."""
    turns = sorted({turn for one, _, turn in clock if one == work})
    found = {"work": work, "rows": rows[work], "one_s": round(statistics.median(clock[work, ONE, t] for t in turns), 2)}
    for way in WAYS:
        if way != ONE:
            ratios = [clock[work, ONE, turn] / clock[work, way, turn] for turn in turns]
            found[way] = {"ratio": round(statistics.median(ratios), 2), "worst": round(min(ratios), 2)}
    return found


def row(case, ours, peer):
    """How many times as fast ours is, turn by turn."""
    turns = [turn for turn in range(ROUNDS) if (case, peer, turn) in seconds]
    ratios = [seconds[case, peer, turn] / seconds[case, ours, turn] for turn in turns]
    count = LARGE if case.endswith("224") else IMAGES
    micros = {
        f"{side}_us_per_image": round(1e6 / count * statistics.median(seconds[case, who, turn] for turn in turns), 1)
        for side, who in (("ours", ours), ("peer", peer))
    }
    ratio, worst = round(statistics.median(ratios), 3), round(min(ratios), 3)
    return {"case": case, "ours": ours, "peer": peer, **micros, "ratio": ratio, "worst": worst}
