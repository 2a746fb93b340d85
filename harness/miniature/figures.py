"""Measures that the miniature shows the benchmark's effect: novel names fail while their images cluster.

`python -m harness.miniature.figures` measures the shipped weights on validation images, with `--test` on test images.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from harness.backbones import openclip
from harness.miniature import corpus, model
from harness.miniature.build import PARTS, classes, instances
from harness.miniature.names import LEVELS, names
from harness.miniature.text import encode_text
from harness.miniature.training import logger
from harness.miniature.world import WORLD
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.phylogeny import Role
from harness.prompts import Template, domain_noun

SHOTS = 4
Features = NDArray[np.float32]
Labels = NDArray[np.int64]


def record(weights: Path, test: bool, workers: int = 2, log: Callable[[str], None] = print) -> None:
    """Measure a weights file, log the figures and write them to `figures.json` next to it.

    Args:
        weights: fp16 safetensors, computed with in fp32.
        test: also measure the test images, after the validation images.
        workers: processes that draw.
        log: called with each line.
    """
    model.register()
    clip = openclip.random_model(model.NAME)
    clip.load_state_dict(load_file(weights))
    result = {}
    for part in (False, True) if test else (False,):
        result = figures(clip, part, workers)
        log(f"figures on {result['scored']} images, percent\n{table(result)}")
    result = {"weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(), "world": WORLD, **result}
    rounded = json.loads(json.dumps(result), parse_float=lambda text: round(float(text), 4))
    weights.with_name("figures.json").write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


def figures(clip: nn.Module, test: bool, workers: int = 2) -> dict[str, Any]:
    """All figures, as fractions: per domain, per name level and on average.

    Args:
        clip: the model, on any device.
        test: score the test images; else the validation and the spare training images.
        workers: processes that draw.
    """
    domains = {domain: _domain(clip, domain, test, workers) for domain in DOMAINS}
    levels = {level: _mean({d: domains[d] for d in DOMAINS if LEVELS[d] == level}) for level in set(LEVELS.values())}
    scored = "test" if test else "validation and spare training"
    return {"scored": scored, "mean": _mean(domains), "levels": dict(sorted(levels.items())), "domains": domains}


def table(result: Mapping[str, Any]) -> str:
    """The figures in percent, one line for each domain, level and the mean."""
    rows = [*result["domains"].items(), *result["levels"].items(), ("mean", result["mean"])]
    columns = list(result["mean"])
    head = " " * 16 + " ".join(f"{column:>13}" for column in columns)
    return "\n".join([head, *(f"{n:16}" + " ".join(f"{100 * row[c]:13.1f}" for c in columns) for n, row in rows)])


@torch.no_grad()
def encode_images(clip: nn.Module, images: NDArray[np.uint8], batch: int = 512) -> Tensor:
    """Unit image features (n, 128) of pixels (n, 64, 64, 3), on the model's device."""
    clip.eval()
    blocks = [normalised(clip, torch.from_numpy(images[i : i + batch])) for i in range(0, len(images), batch)]
    return torch.cat([F.normalize(clip.encode_image(block), dim=-1) for block in blocks])  # type: ignore[operator]


def normalised(clip: nn.Module, pixels: Tensor) -> Tensor:
    """Pixels (n, 64, 64, 3) as the model's own preprocessing gives them: (n, 3, 64, 64), channels last in memory."""
    device = next(clip.parameters()).device
    mean, std = (torch.tensor(getattr(clip.visual, f"image_{kind}"), device=device) for kind in ("mean", "std"))
    return ((pixels.to(device).float() / 255 - mean) / std).permute(0, 3, 1, 2)


def _domain(clip: nn.Module, domain: str, test: bool, workers: int) -> dict[str, float]:
    result = {}
    for role in PARTS:
        (support, support_labels), (query, labels) = _features(clip, domain, role, test, workers)
        result[f"zero_shot_{role}"] = _zero_shot(clip, domain, role, query, labels)
        result[f"kmeans_{role}"] = _kmeans(query, labels)
        if role == "oop":
            few = labels < len(classes(domain, "ip"))
            result["kmeans_oop_20"] = _kmeans(query[few], labels[few])
            result["prototype_oop"] = _prototypes(support, support_labels, query, labels)
            probe = LogisticRegression(C=100, max_iter=2000).fit(support, support_labels)
            result["linear_oop"] = float(probe.score(query, labels))
    return result


def _features(
    clip: nn.Module, domain: str, role: Role, test: bool, workers: int
) -> tuple[tuple[Features, Labels], tuple[Features, Labels]]:
    """(features, labels) of the support, the first SHOTS training images, and of the query."""
    every = list(instances(role))
    support = [number for part, number in every if part == "train"][:SHOTS]
    query = [number for part, number in every if (part == "test") == test and number not in support]
    found = []
    for chosen in (support, query):
        drawn = [corpus.Sample(concept, number) for concept in classes(domain, role) for number in chosen]
        features = encode_images(clip, corpus.images(drawn, workers=1)).cpu().numpy()
        found.append((features, np.repeat(np.arange(len(classes(domain, role))), len(chosen))))
    return found[0], found[1]


@torch.no_grad()
def _zero_shot(clip: nn.Module, domain: str, role: Role, query: Features, labels: Labels) -> float:
    own = [names(domain)[concept.number].text for concept in classes(domain, role)]
    prompts = [Template().fill(name, domain_noun(domain)).text for name in own]
    ids = openclip.tokenizer(model.NAME)(prompts).to(next(clip.parameters()).device)
    text = F.normalize(encode_text(clip, ids), dim=-1).cpu().numpy()
    return float(((query @ text.T).argmax(axis=1) == labels).mean())


def _kmeans(features: Features, labels: Labels) -> float:
    count = int(labels.max()) + 1
    cluster = KMeans(count, n_init=10, random_state=42).fit_predict(features)
    table = np.zeros((count, count), dtype=np.int64)
    np.add.at(table, (cluster, labels), 1)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(labels))


def _prototypes(support: Features, support_labels: Labels, query: Features, labels: Labels) -> float:
    means = np.stack([support[support_labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return float(((query @ means.T).argmax(axis=1) == labels).mean())


def _mean(rows: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    columns = next(iter(rows.values()))
    return {column: float(np.mean([row[column] for row in rows.values()])) for column in columns}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m harness.miniature.figures", description=__doc__)
    parser.add_argument("--weights", type=Path, default=model.WEIGHTS)
    parser.add_argument("--test", action="store_true", help="also score the test images, and write their figures")
    given = parser.parse_args()
    record(given.weights, given.test, log=logger(given.weights.with_name("log.txt")))
