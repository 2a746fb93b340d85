"""Encoding against peers: ``pytest tests/bench/test_bench_encoding.py --benchmark-only``.

Every contender gets the same files in turn and in one process: images of the miniature, and larger ones for an input of
224 pixels. Ours also checks the sha256 of every file and that features are finite. One thread is measured in CPU
seconds, which other work on the machine hardly changes.
HARNESS_BENCH_OUT names a file for the ratios.
"""

from __future__ import annotations

import json
import os
import platform
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
from harness.backbones.openclip import pixel_transform
from harness.datasets.image_bytes import file_digest
from harness.datasets.pillow import fixed_pillow_settings
from harness.execution.one_thread import one_thread_per_operation
from harness.feature_cache.image_encoder import ImageEncoder, ImageSource
from harness.feature_cache.kinds import global_features
from harness.miniature import build as miniature
from harness.miniature import model
from harness.miniature.offer import harness_backbone

CPU = torch.device("cpu")
ROUNDS, IMAGES, LARGE = 5, 512, 64
CASES = {
    "decode and resize, 64": ("ours", "Pillow"),
    "decode and resize, 224": ("ours", "Pillow"),
    "encode, 64": ("ours", "open_clip and a DataLoader", "CLIP_benchmark"),
}
"""Case -> contenders, ours first."""

seconds: dict[tuple[str, str, int], float] = {}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Side of the encoder's input -> image files."""
    root = miniature.build(tmp_path_factory.mktemp("bench") / "beyond-mini")
    small = sorted(root.glob("*_OOP/images/*/*.jpg"))[:: 8640 // IMAGES][:IMAGES]
    folder = tmp_path_factory.mktemp("large")
    large = [folder / f"{number}.jpg" for number in range(LARGE)]
    for number, file in enumerate(large):  # photographs of 500 x 375, as in LAION-Beyond
        grain = np.random.default_rng(number).integers(0, 24, (375, 500, 3), np.uint8)
        with Image.open(small[number]) as image:
            Image.fromarray(np.asarray(image.resize((500, 375))) // 2 + grain).save(file, quality=90)
    return {64: small, 224: large}


@cache
def backbone():
    found = find(model.NAME, None, offer=harness_backbone())
    return backbones.load(backbones.resolve(found, "fp32", file_digest), CPU)


@cache
def sources(files):
    return [ImageSource(str(file), file_digest(file), file.name) for file in files]


class Files(Dataset):
    """Images as every peer loads them: opened by Pillow, transformed by open_clip."""

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, number):
        with Image.open(self.files[number]) as image:
            return backbone().preprocess(image.convert("RGB")), 0


def decode(who, side, files):
    """Read, decode and resize every file to a short side."""
    if who == "ours":
        preprocess = pixel_transform({**backbone().preprocess_config, "size": (side, side)})
        encoder = ImageEncoder(replace(global_features(backbone()), preprocess=preprocess, size=(side, side)))

        def ours():
            with fixed_pillow_settings():  # as around all batches
                return [encoder.read(source) for source in sources(tuple(files))]

        return ours

    def pillow(file):
        with Image.open(file) as image:
            rgb = image.convert("RGB")
        scale = side / min(rgb.size)
        return rgb.resize((round(rgb.width * scale), round(rgb.height * scale)), Image.Resampling.BICUBIC)

    return lambda: [pillow(file) for file in files]


def encode(who, files):
    """Encode every file, in batches of 64."""
    if who == "ours":
        return lambda: ImageEncoder(global_features(backbone())).encode(sources(tuple(files)))
    loader, featurizer = DataLoader(Files(files), batch_size=64), backbone().encode_image
    if who == "CLIP_benchmark":
        featurizer = pytest.importorskip("clip_benchmark.metrics.linear_probe").Featurizer(backbone().model)

    def run():
        with one_thread_per_operation(CPU), torch.no_grad():
            return [featurizer(images) for images, _ in loader]

    return run


@pytest.mark.parametrize("who", sorted({who for contenders in CASES.values() for who in contenders}))
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.benchmark(timer=time.process_time)
def test_bench_encoding(benchmark, files, turn, case, who):
    if who not in CASES[case]:
        pytest.skip("another case's contender")
    side = int(case.rpartition(" ")[2])
    run = encode(who, files[side]) if case.startswith("encode") else decode(who, side, files[side])
    benchmark.group, benchmark.extra_info["images"] = case, len(files[side])
    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    if benchmark.stats is not None:
        seconds[case, who, turn] = benchmark.stats.stats.min


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
        "rows": [row(*pair) for pair in pairs if (pair[0], pair[2], 0) in seconds],
    }
    Path(out).write_text(json.dumps(content, indent=1) + "\n")


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
