"""Build a small LAION-Beyond root in the released format, with every awkward case real folders have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FOLDERS: dict[str, tuple[str, ...]] = {
    "Animals6_OOP": ("great_auk", "ibex", "Père David's deer", 'the "old" horse', "St. Bernard", "白鶴"),
    "Animals3_IP": ("cat", "dog", "grey  wolf"),
    "Insects_Spiders4_OOP": ("moth", "hawk moth", "gen-2 fly", "ant"),
    "Insects_Spiders2_IP": ("bee", "wasp"),
    "Ville d'été4_OOP": ("rose", "rose hip", "art", "folk art"),
    "Ville d'été2_IP": ("oak", "elm"),
}
"""Folder name to class names; the position of a class is its label. One name is contained in another more than once."""

PER_PART = {"train": 4, "val": 2, "test": 3}
"""Images of each class in each part."""


def make_root(
    root: Path,
    folders: Mapping[str, Sequence[str]] = FOLDERS,
    per_part: Mapping[str, int] = PER_PART,
    size: tuple[int, int] = (24, 16),
    seed: int = 0,
) -> Path:
    """Write the folders under ``root`` and return it. The same arguments write the same bytes.

    Images cycle through ``WRITERS``; each third image of a class has a caption without its name or none at all.
    """
    rng = np.random.default_rng(seed)
    for name, classes in folders.items():
        make_folder(root / name, classes, per_part, size, rng)
    return root


def write_texts(path: Path, folders: Mapping[str, Sequence[str]] = FOLDERS) -> Path:
    """Write sentences about all names, for ``--texts``."""
    names = {name for classes in folders.values() for name in classes}
    write_json(path, {name: [f"a {name}.", f"one {name} from above."] for name in sorted(names)})
    return path


def make_folder(
    folder: Path, classes: Sequence[str], per_part: Mapping[str, int], size: tuple[int, int], rng: np.random.Generator
) -> None:
    """Write one ``{Domain}{N}_{side}`` folder."""
    split: dict[str, dict[str, Any]] = {"train": {}, "val": {}, "test": {}}
    merged: dict[str, list[str]] = {classname: [] for classname in classes}
    writers = list(WRITERS.items())
    for label, classname in enumerate(classes):
        (folder / "images" / classname).mkdir(parents=True)
        number = 0
        for part, count in per_part.items():
            for _ in range(count):
                kind, write = writers[(number + label) % len(writers)]
                image_name = f"{number:03d} {kind}"
                write(folder / "images" / classname / image_name, _pixels(label, size, rng))
                item: dict[str, Any] = {"classname": classname, "image_name": image_name, "label": label, "s_label": 0}
                item |= {"superclass": "thing", **_info(number, classname)}
                split[part][str(len(split[part]))] = item
                merged[classname].append(image_name)
                number += 1
    write_json(folder / f"split_Xin_{folder.name}.json", split)
    write_json(folder / "label2name.json", {str(label): name for label, name in enumerate(classes)})
    write_json(folder / "name2label.json", {name: label for label, name in enumerate(classes)})
    write_json(folder / "merged_mapping.json", merged)


def write_json(path: Path, content: Any) -> None:
    """UTF-8, not escaped, as in the release."""
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def edit_split(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Change the split file of a folder: ``edit`` works on its content in place."""
    path = folder / f"split_Xin_{folder.name}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    write_json(path, content)


def _info(number: int, classname: str) -> dict[str, Any]:
    if number % 9 == 5:
        return {}
    if number % 9 == 8:
        return {"INFO": {"Refined_caption3": ""}}
    text = "something in a garden" if number % 3 == 2 else f"a small {classname} in a garden, picture {number}"
    return {"INFO": {"Refined_caption3": text}}


def _pixels(label: int, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Noise around a colour that depends on the label: two images are never the same bytes."""
    width, height = size
    colour = np.array([(label * 67) % 256, (label * 131 + 40) % 256, (label * 29 + 90) % 256])
    noise = rng.integers(-30, 30, (height, width, 3))
    return Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8))


def _jpg(path: Path, image: Image.Image) -> None:
    image.save(path, "JPEG", quality=90)


def _webp(path: Path, image: Image.Image) -> None:
    image.save(path, "WEBP")


def _png(path: Path, image: Image.Image) -> None:
    image.save(path, "PNG")


def _rotated(path: Path, image: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right when shown
    image.save(path, "JPEG", exif=exif)


def _grey16(path: Path, image: Image.Image) -> None:
    values = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(values).save(path, "PNG")


def _rgba(path: Path, image: Image.Image) -> None:
    image.putalpha(128)
    image.save(path, "PNG")


WRITERS: dict[str, Callable[[Path, Image.Image], None]] = {
    "plain.jpg": _jpg,
    "long.jpeg": _jpg,
    "png.png": _png,
    "web.webp": _webp,
    "grey.jpg": lambda path, image: _jpg(path, image.convert("L")),
    "grey16.png": _grey16,
    "cmyk.jpg": lambda path, image: _jpg(path, image.convert("CMYK")),
    "palette.png": lambda path, image: _png(path, image.quantize(16)),
    "palette clear.png": lambda path, image: image.quantize(16).save(path, "PNG", transparency=0),
    "rgba.png": _rgba,
    "turned.jpg": _rotated,
    "png inside.jpg": _png,
}
"""File ending (and what it is about) to the function that writes it."""
