"""Where a run on many GPUs waits: a model from costs that are measured on this machine.

``python scripts/model_cluster.py measure FILE`` measures the CPU seconds of each step and writes them as JSON.
``python scripts/model_cluster.py show FILE`` prints how long each stage takes for 157,382 and for 10 million images.

What no CPU can measure, the speed of a GPU, is not assumed: the tables say how fast a GPU has to be until it waits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.feature_cache.store import FeatureStore

GPUS = 64
CORES = 16
"""Of a node for each of its GPUs, as in usual clusters."""

SIZES = {"157,382 images": 157_382, "10,000,000 images": 10_000_000}
"""Images of the release, and of a data set of the next size; all are taken for scored ones."""

CLASSES, SEEDS = 50, 20
"""Of the made-up runs that are measured."""

DOMAINS, CELLS = 9, 40 * 9 * 5 * 3
"""Domains of LAION-Beyond; cells of forty methods, five numbers of shots and three seeds."""


@dataclass(frozen=True)
class Costs:
    """CPU seconds of one core.

    Attributes:
        hash_image: reading an image and its sha256, by the driver, once.
        prepare_image: reading, decoding and preprocessing a JPEG of 500 x 375 for an encoder of 224 x 224, by a node.
        store_image: taking a row of 512 numbers from a node and writing it to the cache, by the driver.
        cell: building, judging and storing a cell, by the driver, without what grows with the images.
        cell_image: the same for each scored image.
    """

    hash_image: float
    prepare_image: float
    store_image: float
    cell: float
    cell_image: float


@dataclass(frozen=True)
class Stages:
    """Seconds of the stages of a run, if each were alone.

    Attributes:
        hashing: by the driver with the cores of its node.
        preparing: images, by all nodes.
        storing: rows, by the driver.
        judging: cells, by the driver.
        images_per_gpu: a second, above which GPUs wait for images.
        seconds_per_cell: of a GPU for one cell, below which GPUs wait for the driver.
    """

    hashing: float
    preparing: float
    storing: float
    judging: float
    images_per_gpu: float
    seconds_per_cell: float


def model(costs: Costs, images: int, gpus: int = GPUS, cores: int = CORES, cells: int = CELLS) -> Stages:
    """The stages of a run on a cluster.

    Args:
        costs: measured.
        images: to encode and to score.
        gpus: of the cluster.
        cores: of a node for each of its GPUs.
        cells: of the run.
    """
    judging = cells * (costs.cell + costs.cell_image * images / DOMAINS)
    storing = images * costs.store_image
    prepared = gpus * cores / costs.prepare_image
    return Stages(
        hashing=images * costs.hash_image / cores,
        preparing=images / prepared,
        storing=storing,
        judging=judging,
        images_per_gpu=min(prepared, 1 / costs.store_image) / gpus,
        seconds_per_cell=gpus * judging / cells,
    )


def table(costs: Costs) -> str:
    """The stages as a Markdown table."""
    found = [model(costs, images) for images in SIZES.values()]
    lines = {
        "hashing the images, on the driver's node": [_time(one.hashing) for one in found],
        "decoding and preprocessing, on all nodes": [_time(one.preparing) for one in found],
        "storing rows, by the driver": [_time(one.storing) for one in found],
        f"judging {CELLS:,} cells, by the driver": [_time(one.judging) for one in found],
        "a GPU waits for images if it encodes more than": [f"{one.images_per_gpu:,.0f}/s" for one in found],
        "a GPU waits for the driver if a cell takes less than": [f"{one.seconds_per_cell:.1f} s" for one in found],
    }
    head = [f"| stage | {' | '.join(SIZES)} |", "|---|" + "---|" * len(SIZES)]
    return "\n".join([*head, *(f"| {name} | {' | '.join(values)} |" for name, values in lines.items())])


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def measure() -> Costs:
    """The costs on this machine, as CPU time, which other programs change little."""
    from harness.feature_cache.store import FeatureStore

    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.jpg"
        image.write_bytes(_jpeg())
        hash_image, prepare_image = _image_costs(image)
        store = FeatureStore(Path(folder) / "features", "0" * 32, "made up")
        store_image = _seconds(lambda: _store(store), 4) / 512
        few, many = (_cell_seconds(Path(folder), per_part) for per_part in (8, 160))
    per_image = (many[0] - few[0]) / (many[1] - few[1])
    return Costs(hash_image, prepare_image, store_image, few[0] - per_image * few[1], per_image)


def _seconds(call: Callable[[], object], times: int) -> float:
    """CPU seconds of a call."""
    call()
    begin = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begin) / times


def _jpeg() -> bytes:
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 255, (24, 32, 3), np.uint8)).resize((500, 375))
    noisy = np.clip(np.asarray(coarse, np.int16) + generator.normal(0, 8, (375, 500, 3)), 0, 255)
    content = BytesIO()
    Image.fromarray(noisy.astype(np.uint8)).save(content, "JPEG", quality=90)
    return content.getvalue()


def _image_costs(image: Path) -> tuple[float, float]:
    """Seconds to hash an image, and to prepare it."""
    import torch

    from harness.backbones import openclip
    from harness.backbones.preprocessing import build_preprocessing
    from harness.datasets.image_bytes import file_digest, read_bytes
    from harness.datasets.images import crop_to_middle, decode_image
    from harness.execution.one_thread import one_thread_per_operation

    transform = openclip.transform(build_preprocessing("ViT-B-16", (224, 224)).model_dump())

    def prepare() -> object:
        return transform(crop_to_middle(decode_image(read_bytes(image, "image"), "image")))

    with one_thread_per_operation(torch.device("cpu")):
        return _seconds(lambda: file_digest(image), 50), _seconds(prepare, 50)


def _store(store: FeatureStore) -> None:
    """Take a job's rows of a node, as ``harness.runner.encode_jobs`` does."""
    import numpy as np
    from safetensors.numpy import load, save

    rows = np.random.default_rng().normal(size=(512, 512)).astype(np.float32)
    content = save({"rows": rows})
    digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in rows]
    store.put(0, digests, load(content)["rows"])


def _cell_seconds(folder: Path, per_class: int) -> tuple[float, int]:
    """CPU seconds of the driver for a cell, and the number of its scored images, with features of 128 numbers."""
    images = 2 * CLASSES * per_class
    _run_seconds(folder, per_class, 1)  # imports, and features are cached
    few, many = (_run_seconds(folder, per_class, seeds) for seeds in (2, 2 + SEEDS))
    return (many - few) / SEEDS, images


def _run_seconds(folder: Path, per_class: int, seeds: int) -> float:
    import numpy as np

    import harness

    generator = np.random.default_rng(0)
    names = {side: tuple(f"{side} name {number}" for number in range(CLASSES)) for side in ("oop", "ip")}

    def part(side: str, part: str, count: int) -> harness.FeatureSet:
        labels = np.arange(CLASSES * count) % CLASSES
        return harness.FeatureSet("Made_up", side, part, names[side], generator.normal(size=(len(labels), 128)), labels)

    sets = [
        part("oop", "train", 4),
        part("oop", "val", 4),
        part("oop", "test", per_class),
        part("ip", "test", per_class),
    ]
    place = {"out": folder / f"{per_class}-{seeds}", "cache": folder / "cache"}
    options = {"shots": 1, "seeds": range(1, seeds + 1), "baseline": "none", "workers": 1}
    begin = time.process_time()
    results = harness.evaluate("tip_adapter", features=sets, backbone="beyond-mini", **options, **place)
    seconds = time.process_time() - begin
    assert results.rows[0]["failure"] is None, results.rows[0]
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["measure", "show"])
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    if given.what == "measure":
        given.file.write_text(json.dumps(asdict(measure()), indent=1) + "\n")
    print(table(Costs(**json.loads(given.file.read_text()))))


if __name__ == "__main__":
    main()
