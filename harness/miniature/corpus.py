"""The pre-training corpus of the tiny CLIP: images and captions of all concepts except the OOP ones."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.errors import StorageError
from harness.execution.executors import in_order, processes
from harness.execution.jobs import JobFailure, Limits, Worker
from harness.miniature.captions import NAMELESS, assert_unseen, caption
from harness.miniature.names import StemPool, names, oop_stems, words
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.photograph import jpeg, photograph
from harness.miniature.world.phylogeny import Concept, concepts, generator

CAPTIONS = 4
"""Captions per image."""

SHAPE = (64, 64, 3)
"""Of the pixels of an image."""

FIRST = 1000
"""Number of a concept's first pre-training image: none is in the benchmark."""


class Sample(NamedTuple):
    """One pre-training image."""

    concept: Concept
    instance: int


def samples() -> list[Sample]:
    """All pre-training images: 1-6 of an IP concept, 1-70 (log-uniform) of the others, none of an OOP one.

    IP concepts are rare on purpose: otherwise their zero-shot accuracy saturates.
    """
    chosen = []
    for domain in DOMAINS:
        for concept in concepts(domain):
            rng = generator(domain, concept.number, "count")
            if concept.role != "oop":
                count = rng.randrange(1, 7) if concept.role == "ip" else int(math.exp(rng.uniform(0, math.log(71))))
                chosen += [Sample(concept, FIRST + i) for i in range(count)]
    return chosen


def texts(chosen: Sequence[Sample], aliased: float = 0.0) -> list[list[str]]:
    """``CAPTIONS`` captions of each image.

    Args:
        chosen: the images.
        aliased: fraction of the mentions of concepts outside the benchmark whose stem is replaced by one that is used
            once only. It makes the text tower read the words around an unknown stem.

    Raises:
        DataError: a caption contains the stem of an OOP concept.
    """
    known = {name.stem for domain in DOMAINS for name in names(domain)}
    pool = StemPool(generator("credits and aliases", aliased), known | words())
    written = []
    for concept, instance in chosen:
        rng, own = generator(concept.domain, concept.number, instance, "captions", aliased), names(concept.domain)
        lines = []
        for _ in range(CAPTIONS):
            name = own[concept.number]
            if concept.role == "extra" and rng.random() < aliased:
                name = name.alias(pool.draw())
            lines.append(caption(concept, None if rng.random() < NAMELESS else name.text, rng, pool))
        written.append(lines)
    assert_unseen((line for lines in written for line in lines), oop_stems())
    return written


def images(chosen: Sequence[Sample], workers: int = 2) -> NDArray[np.uint8]:
    """The images as decoded from their JPEG files, (n, 64, 64, 3).

    Raises:
        StorageError: a process that draws some is lost.
    """
    if workers < 2:
        return _images(chosen)
    blocks = [chosen[i : i + 512] for i in range(0, len(chosen), 512)]
    found = []
    for result in in_order(processes(blocks, _make_worker, Limits(workers))):
        if isinstance(result.value, JobFailure):
            raise StorageError(f"a process that draws images {result.value.reason}", "run the command again")
        found.append(np.frombuffer(result.value, np.uint8).reshape(-1, *SHAPE))
    return np.concatenate(found)


def _make_worker(device: str) -> Worker[Sequence[Sample]]:
    return lambda chosen: _images(chosen).tobytes()


def pixels(file: bytes) -> NDArray[np.uint8]:
    """The pixels of a JPEG file, (64, 64, 3)."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def _images(chosen: Sequence[Sample]) -> NDArray[np.uint8]:
    return np.stack([pixels(jpeg(photograph(concept, instance))) for concept, instance in chosen])
