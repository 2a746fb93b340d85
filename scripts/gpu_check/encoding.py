"""``python -m gpu_check.encoding DEVICE FOLDER IMAGES``: images a second through ViT-B-16 with random weights, as JSON.

Three figures: what one thread decodes and preprocesses, what the device encodes from pixels in memory by precision, and
what the harness's own encoder reaches from JPEG files by its number of decoding threads.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_model

from harness.backbones import openclip
from harness.backbones.backbone import Backbone, Precision, load, resolve
from harness.backbones.find import find
from harness.datasets.image_bytes import file_digest, large_file_digest
from harness.datasets.images import decode_image
from harness.device import configure_determinism, synchronize
from harness.execution.one_thread import one_thread_per_operation
from harness.feature_cache.encode import Encoder
from harness.feature_cache.image_encoder import ImageSource
from harness.feature_cache.kinds import global_features

PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "bf16")
SIZE = (500, 375)
"""Width and height of the made-up photographs, as images of the web commonly have."""

DISTINCT = 16
"""Different photographs; the files differ in bytes after their end, so that each is encoded."""


def random_backbone(folder: Path, device: torch.device, architecture: str = "ViT-B-16") -> Backbone:
    """A backbone with random weights, loaded from a file as any other."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "random.safetensors"
    save_model(openclip.random_model(architecture), str(weights))
    return load(resolve(find(architecture, str(weights)), "fp32", large_file_digest), device)


def write_images(folder: Path, count: int) -> list[ImageSource]:
    """JPEG files of smooth colours with noise, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [_photograph(seed) for seed in range(DISTINCT)]
    sources = []
    for number in range(count):
        file = folder / f"{number:06d}.jpg"
        file.write_bytes(pictures[number % DISTINCT] + f"{number:06d}".encode())
        sources.append(ImageSource(file, file_digest(file), file.name))
    return sources


def _photograph(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(
        SIZE, Image.Resampling.BICUBIC
    )
    noisy = np.asarray(coarse, dtype=np.int16) + random.integers(-12, 13, (SIZE[1], SIZE[0], 3))
    out = BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


def measure(backbone: Backbone, folder: Path, images: int, most_threads: int) -> dict[str, Any]:
    """Images a second; ``images`` files are encoded for each thread."""
    configure_determinism(backbone.device, "fp32")
    threads = sorted({1, min(4, most_threads), most_threads})
    sources = write_images(folder / "images", images * threads[-1])
    few = sources[: max(8, min(len(sources), images // 4))]
    pixels = torch.stack([_pixels(backbone, source) for source in few])
    batch = pixels.repeat(-(-images // len(pixels)), 1, 1, 1)[: min(images, 256)]
    precisions = PRECISIONS if backbone.device.type == "cuda" else PRECISIONS[:1]
    return {
        "bytes_an_image": round(sum(source.file.stat().st_size for source in few) / len(few)),
        "decoded_by_one_thread": _rate(len(few), lambda: [_pixels(backbone, source) for source in few]),
        "encoded_from_memory": {precision: _encoding(backbone, batch, precision) for precision in precisions},
        "encoded_from_files": {
            str(count): _from_files(backbone, folder / f"cache-{count}", sources[: images * count], count)
            for count in threads
        },
    }


def _pixels(backbone: Backbone, source: ImageSource) -> torch.Tensor:
    return backbone.preprocess(decode_image(source.file.read_bytes(), source.path))


def _encoding(backbone: Backbone, batch: torch.Tensor, precision: Precision) -> float:
    configure_determinism(backbone.device, precision)
    other = replace(backbone, record=backbone.record.model_copy(update={"precision": precision}))
    there = batch.to(backbone.device)

    def encode() -> None:
        for _ in range(rounds):
            other.encode_image(there)
        synchronize(backbone.device)

    with one_thread_per_operation(backbone.device):
        rounds = 1
        encode()  # warm
        rounds = 10 if backbone.device.type == "cuda" else 1
        rate = _rate(rounds * len(batch), encode)
    configure_determinism(backbone.device, "fp32")
    return rate


def _from_files(backbone: Backbone, cache: Path, sources: list[ImageSource], threads: int) -> float:
    extractor = global_features(backbone)
    encoder = Encoder(extractor, extractor.store(cache), workers=threads)
    rate = _rate(len(sources), lambda: encoder.ensure(sources, 0))
    if encoder.encoded != len(sources):
        raise RuntimeError(f"{encoder.encoded} of {len(sources)} images were encoded")
    return rate


def _rate(count: int, work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return round(count / (time.perf_counter() - begin), 1)


def main(arguments: list[str]) -> int:
    """Measure, and print one line of JSON."""
    device, folder, images = torch.device(arguments[0]), Path(arguments[1]), int(arguments[2])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(json.dumps(measure(random_backbone(folder, device), folder, images, cores)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
