"""Measure the peak host memory of an evaluation of 200,000 images.

    python scripts/measure_memory.py [FOLDER]          # FOLDER: where temporary data go

The files contain no pictures: random features are put into the cache, as if the images had been encoded. The
measurement covers everything else: split files, hashing, features, fit, scores, results.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from made_up_root import write_root
from safetensors.torch import save_file

from harness.backbones import backbone as backbones
from harness.backbones import openclip
from harness.backbones.find import find
from harness.datasets.image_bytes import large_file_digest
from harness.feature_cache.kinds import global_features
from harness.runner.evaluate import evaluate
from harness.runner.request import MethodChoice, Request

NAME = "made-up-512"
CONFIG = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


def main(work: Path) -> None:
    """Generate the data, evaluate, print one JSON line."""
    data, digests = write_root(work / "data")
    openclip.register_architecture(NAME, CONFIG)
    torch.manual_seed(0)
    weights = work / "weights.safetensors"
    save_file({k: v.contiguous().clone() for k, v in openclip.random_model(NAME).state_dict().items()}, weights)
    resolved = backbones.resolve(find(NAME, str(weights)), "fp32", large_file_digest)
    store = global_features(backbones.load(resolved, torch.device("cpu"))).store(work / "cache" / "features")
    generator = np.random.default_rng(0)
    for start in range(0, len(digests), 4096):
        batch = digests[start : start + 4096]
        made_up = generator.standard_normal((len(batch), 512), dtype=np.float32)
        store.put(0, batch, made_up / np.linalg.norm(made_up, axis=1, keepdims=True))
    del store
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    begin = time.perf_counter()
    outcome = evaluate(
        Request(
            methods=(MethodChoice("zero_shot"), MethodChoice("fsnl", parameters={"epochs": 2})),
            seeds=(1,),
            data=data,
            backbone=NAME,
            pretrained=str(weights),
            out=work / "results",
            cache=work / "cache",
            workers=1,
        )
    )
    assert outcome.succeeded, outcome.leaderboard.rows
    figures = {
        "images": len(digests),
        "cells": outcome.computed,
        "seconds": round(time.perf_counter() - begin, 1),
        "peak_gib_before": round(before, 2),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as folder:
        main(Path(folder))
