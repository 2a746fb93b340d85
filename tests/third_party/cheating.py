"""Methods that look for the labels of the images that they score, each in its way; they report what they found."""

import gc
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, FunctionType, ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import torch
from safetensors.numpy import load_file

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.task import Needs


@dataclass
class Cheat(Method):
    """Raises if it finds labels, so that its cell fails; otherwise scores all names alike."""

    guesses: ClassVar[bool] = False
    """It has labels, and does not know whose they are: it scores by them."""

    def fit(self, task):
        return self

    def scores(self, images, vocabulary):
        scores = torch.zeros(len(images), len(vocabulary))
        try:
            labels = self.labels(images, vocabulary)
        except (OSError, LookupError, ValueError):
            return scores
        if labels is not None and not self.guesses:
            raise RuntimeError(f"found {labels[:9]}")
        if labels is not None:
            scores[torch.arange(len(images)), torch.as_tensor(labels) % len(vocabulary)] = 1
        return scores

    def labels(self, images, vocabulary):
        """The columns of the images, or None."""
        return


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


def are_labels(value, images, vocabulary):
    """Whether a value has a whole number for each image, as many different ones as there are names."""
    whole = isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 1 and len(value) == len(images)
    return whole and value.dtype in (np.int64, torch.int64) and len(set(value.tolist())) == len(vocabulary)


def reachable(*values):
    """Everything that values refer to, but for modules, classes and what belongs to the frames that ask."""
    found, left = {}, [*values]
    while left and len(found) < 100_000:
        value = left.pop()
        if id(value) in found or isinstance(value, type | ModuleType | FrameType):
            continue
        found[id(value)] = value
        left += gc.get_referents(value) if not isinstance(value, FunctionType) else closure(value)
        left += vars(value).values() if hasattr(value, "__dict__") else ()
        left += [value.base] if isinstance(value, np.ndarray) else ()
    return list(found.values())


def closure(function):
    cells = function.__closure__ or ()
    return [cell.cell_contents for cell in cells] + list(function.__defaults__ or ())


@dataclass
class ByOrder(Cheat):
    """Reads the label file, and hopes that images come by sha256."""

    def labels(self, images, vocabulary):
        known = sheet()
        return columns(sorted(known), known, vocabulary)


@dataclass
class ByFeature(Cheat):
    """Reads the label file, and finds images by their features in the cache."""

    def labels(self, images, vocabulary):
        known, keys = sheet(), {}
        for shard in Path(os.environ["CHEAT_CACHE"]).rglob("*.safetensors"):
            content = load_file(shard)
            keys |= {
                row.tobytes(): bytes(key).hex() for row, key in zip(content["feature"], content["sha256"], strict=True)
            }
        return columns([keys[row.tobytes()] for row in images.features[:, 0].numpy()], known, vocabulary)


@dataclass
class BySplitFile(Cheat):
    """Reads the split files of the data set."""

    def labels(self, images, vocabulary):
        (file,) = Path(os.environ["CHEAT_DATA"], "Animals6_OOP").glob("split*.json")
        return [item["label"] for item in json.loads(file.read_text())["test"].values()][: len(images)] or None


@dataclass
class ByMemory(Cheat):
    """Searches frames and all objects of its process for labels."""

    def labels(self, images, vocabulary):
        frame, seen = sys._getframe(), []
        while frame is not None:
            seen += frame.f_locals.values()
            frame = frame.f_back
        for value in [*seen, *gc.get_objects()]:
            if type(value).__name__ in ("LabelSheet", "ScoredSide", "Features", "DomainData", "Judge", "NamedCell"):
                return [0] * len(images)
            if are_labels(value, images, vocabulary):
                return value.tolist()
        return None


@dataclass
class ByParent(Cheat):
    """Opens the memory of the process that judges."""

    def labels(self, images, vocabulary):
        with Path("/proc", os.environ["CHEAT_JUDGE"], "mem").open("rb"):
            return [0] * len(images)


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


@dataclass
class Looks(Cheat):
    """Gets pixels and the model, and searches what is there for labels, paths and sums of files."""

    needs = Needs(support=True, pixels=True, model=True)

    def fit(self, task):
        self.task_ = task
        return super().fit(task)

    def labels(self, images, vocabulary):
        for value in self.places(images):
            if are_labels(value, images, vocabulary):
                return value.tolist()
            if isinstance(value, str) and len(value) < 500 and IMAGE.search(value):
                return [0] * len(images)
        return None

    def places(self, images):
        """What to look at."""
        return ()


IMAGE = re.compile(r"_(OOP|IP)\d*/(images/)?.*\d{3} |\b(?:train|val|test)/\d")
"""In the path of an image."""


@dataclass
class ByPixels(Looks):
    """Follows the pixels' loader: arrays, their bases and attributes, closures."""

    def places(self, images):
        return reachable(images, images._pixels, images._pixels.array)


@dataclass
class ByModel(Looks):
    """Follows what makes copies of the model."""

    def places(self, images):
        return reachable(self.task_, self.task_._model, self.task_.model())


@dataclass
class ByModules(Looks):
    """Reads the variables of all modules of the harness and of plugins, and all that they hold."""

    def places(self, images):
        ours = [vars(found) for name, found in [*sys.modules.items()] if name.startswith(("harness", "cheat"))]
        return reachable(*(value for own in ours for value in own.values()))


@dataclass
class ByInputFiles(Looks):
    """Lists the files of other cells: one of OOP images alone tells their side."""

    needs = Needs(unlabeled=True, pixels=True)

    def labels(self, images, vocabulary):
        folder, last = Path(self.array(images).filename).parent, len(vocabulary) - 1
        files = sorted((path for path in folder.iterdir() if path.suffix == ".npy"), key=os.path.getmtime)
        known = {row.tobytes() for path in files if len(rows := np.load(path)) < len(images) for row in rows[:, 0]}
        return [0 if row.tobytes() in known else last for row in self.array(images)[:, 0]]

    def array(self, images):
        array = images._pixels.array
        while not hasattr(array, "filename"):
            array = array.base
        return array


@dataclass
class ByPublicOrder(Looks):
    """Brings the labels of all public files along, and hopes that images come by the sum of the files."""

    guesses = True

    def labels(self, images, vocabulary):
        known = json.loads(os.environ["CHEAT_PUBLIC"])
        return columns(sorted(known), known, vocabulary)


@dataclass
class ByMarks(Looks):
    """Leaves the labels of its support on the model, and looks for those that an earlier cell left."""

    def fit(self, task):
        model = task.model()
        parts = (*model.modules(), *model.parameters())
        self.left_ = [one for one in parts if hasattr(one, "secret")] + [*model._forward_hooks]
        for part in parts:
            part.secret = task.support.label
        model.register_forward_hook(lambda *_: task.support.label)
        return super().fit(task)

    def labels(self, images, vocabulary):
        return [0] * len(images) if self.left_ else None


CHEATS = {
    "by_order": ByOrder,
    "by_feature": ByFeature,
    "by_split_file": BySplitFile,
    "by_memory": ByMemory,
    "by_parent": ByParent,
    "by_pixels": ByPixels,
    "by_model": ByModel,
    "by_modules": ByModules,
    "by_input_files": ByInputFiles,
    "by_public_order": ByPublicOrder,
    "by_marks": ByMarks,
    "by_marks_too": ByMarks,
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
