"""Methods that look for the labels of the images that they score, each in its way; they report what they found."""

import gc
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from safetensors.numpy import load_file

from harness.hookspecs import hookimpl
from harness.method import Method


@dataclass
class Cheat(Method):
    """Scores by labels, if it finds any; otherwise all names alike."""

    def fit(self, task):
        self.found_ = False
        return self

    def scores(self, images, vocabulary):
        image = images.features[:, 0]
        scores = torch.zeros(len(image), len(vocabulary))
        try:
            labels = self.labels(image, vocabulary)
        except (OSError, LookupError, ValueError):
            return scores
        if labels is not None:
            self.found_ = True
            scores[torch.arange(len(image)), torch.as_tensor(labels) % len(vocabulary)] = 1
        return scores

    def labels(self, image, vocabulary):
        """The columns of the images, or None."""
        return

    def outcome(self):
        return {"found": self.found_}


def sheet():
    """sha256 -> (side, label), of the label file in the results folder."""
    (file,) = Path(os.environ["CHEAT_RESULTS"], "labels").glob("*.json")
    sides = json.loads(file.read_text())["sides"]
    return {
        key: (side, label)
        for side, own in sides.items()
        for key, label in zip(own["sha256"], own["labels"], strict=True)
        if len(key) == 64
    }


def columns(keys, known, vocabulary):
    after = sum(vocabulary.oop)
    return [known[key][1] + (after if known[key][0] == "ip" else 0) for key in keys]


@dataclass
class ByOrder(Cheat):
    """Reads the label file, and hopes that images come by sha256."""

    def labels(self, image, vocabulary):
        known = sheet()
        return columns(sorted(known), known, vocabulary)


@dataclass
class ByFeature(Cheat):
    """Reads the label file, and finds images by their features in the cache."""

    def labels(self, image, vocabulary):
        known, keys = sheet(), {}
        for shard in Path(os.environ["CHEAT_CACHE"]).rglob("*.safetensors"):
            content = load_file(shard)
            keys |= {
                row.tobytes(): bytes(key).hex() for row, key in zip(content["feature"], content["sha256"], strict=True)
            }
        return columns([keys[row.tobytes()] for row in image.numpy()], known, vocabulary)


@dataclass
class BySplitFile(Cheat):
    """Reads the split files of the data set."""

    def labels(self, image, vocabulary):
        (file,) = Path(os.environ["CHEAT_DATA"], "Animals6_OOP").glob("split*.json")
        return [item["label"] for item in json.loads(file.read_text())["test"].values()][: len(image)] or None


@dataclass
class ByMemory(Cheat):
    """Searches frames and all objects of its process for labels."""

    def labels(self, image, vocabulary):
        frame, seen = sys._getframe(), []
        while frame is not None:
            seen += frame.f_locals.values()
            frame = frame.f_back
        for value in [*seen, *gc.get_objects()]:
            if type(value).__name__ in ("LabelSheet", "ScoredSide", "Features", "DomainData", "Judge", "NamedCell"):
                return [0] * len(image)
            whole = type(value) in (np.ndarray, torch.Tensor) and value.ndim == 1 and len(value) == len(image)
            if whole and value.dtype in (np.int64, torch.int64) and len(set(value.tolist())) == len(vocabulary):
                return value.tolist()
        return None


@dataclass
class ByParent(Cheat):
    """Opens the memory of the process that judges."""

    def labels(self, image, vocabulary):
        with Path("/proc", os.environ["CHEAT_JUDGE"], "mem").open("rb"):
            return [0] * len(image)


@dataclass
class Patches(Cheat):
    """Changes the code that scores others' cells, in its process."""

    def fit(self, task):
        import harness.runner.best_columns as best
        import harness.runner.fit as fit
        import harness.runner.run_cell as run
        from harness.backbones.text import OpenClipTextTower

        best.BestColumns.of = classmethod(lambda cls, scores: 1 / 0)
        fit.fit = run.fit = run.make_method = None
        OpenClipTextTower.encode = lambda self, prompts, overrides=None: torch.zeros(len(prompts), 64)
        return super().fit(task)


CHEATS = {
    "by_order": ByOrder,
    "by_feature": ByFeature,
    "by_split_file": BySplitFile,
    "by_memory": ByMemory,
    "by_parent": ByParent,
    "patches": Patches,
}


class Offer:
    """Holds the hook of one of the methods."""

    def __init__(self, method):
        self.method = method

    @hookimpl
    def harness_method(self):
        return self.method


offers = SimpleNamespace(**{name: Offer(method) for name, method in CHEATS.items()})
