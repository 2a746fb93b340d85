"""Detects a Pillow or JPEG library that draws other images than those that the weights were trained on.

`python -m harness.miniature.fingerprint FOLDER` rewrites the shipped file, for a new world.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from harness.datasets.identity import IDENTITY
from harness.errors import DataError
from harness.miniature.build import PARTS, classes, file_name, folder
from harness.miniature.names import names
from harness.miniature.world.domains import DOMAINS

FILE = Path(__file__).with_name("fingerprint.json")
TOLERANCE = 3.0
"""Grey levels by which a cell's mean colour may differ: less than the image noise."""

Verdict = Literal["exact", "within tolerance", "different"]


def verify(root: Path) -> Verdict:
    """Compare a built miniature with the shipped fingerprint.

    Returns:
        ``exact``: every sampled file has the shipped bytes. ``within tolerance``: names and captions are the same, and
        the images differ by at most ``TOLERANCE``. ``different``: results on this folder are not comparable.

    Raises:
        DataError: a file is missing or unreadable.
    """
    shipped: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    found = measure(root)
    if found == shipped:
        return "exact"
    if found["text"] != shipped["text"] or found["images"].keys() != shipped["images"].keys():
        return "different"
    gap = max(
        float(np.abs(np.subtract(image["cells"], found["images"][path]["cells"])).max())
        for path, image in shipped["images"].items()
    )
    return "within tolerance" if gap <= TOLERANCE else "different"


def measure(root: Path) -> dict[str, Any]:
    """The fingerprint of a folder: sha256 of every text file, and of 10 images per side with their mean colours."""
    try:
        text = {path: _sha256(root / path) for path in _texts()}
        images = {path: {"sha256": _sha256(root / path), "cells": _cells(root / path)} for path in _sampled()}
    except OSError as error:
        raise DataError(f"{root}: not a complete miniature: {error}", "delete the folder and build it again") from error
    return {"text": text, "images": images}


def _texts() -> list[str]:
    return [
        f"{folder(d, role)}/{name}"
        for d in DOMAINS
        for role in PARTS
        for name in ("label2name.json", "merged_mapping.json", f"split_Xin_{folder(d, role)}.json")
    ]


def _sampled() -> list[str]:
    """Every other class, another image of each."""
    return [
        f"{folder(d, role)}/images/{names(d)[concept.number].text}/{file_name(label)}"
        for d in DOMAINS
        for role in PARTS
        for label, concept in list(enumerate(classes(d, role)))[:20:2]
    ]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _cells(path: Path) -> list[int]:
    """Mean colours of a 4 x 4 grid, 48 numbers in 0..255."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
    return [round(cell) for cell in pixels.reshape(4, 16, 4, 16, 3).mean(axis=(1, 3)).ravel()]


if __name__ == "__main__":
    FILE.write_text(json.dumps(measure(Path(sys.argv[1])), separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"wrote {FILE.name} from {Path(sys.argv[1]) / IDENTITY}")
