"""Small sources for imports: the same pictures in every form."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("fire engine", "pickup_truck", "Père's cart")


def picture(seed: int, kind: str = "PNG") -> bytes:
    """The bytes of a small image; another seed gives another picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def image_folder(folder: Path, classes: Sequence[str] = CLASSES, images: int = 4, first: int = 0) -> Path:
    """Class folders with different images."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(images):
            (folder / name / f"{i}.png").write_bytes(picture(first + number * images + i))
    return folder


def archive(path: Path, files: Mapping[str, bytes]) -> Path:
    """A tar archive."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def split_of(root: Path) -> dict[str, dict[str, dict[str, object]]]:
    """The split file of the only OOP folder."""
    (path,) = root.glob("*_OOP/split_Xin_*.json")
    found: dict[str, dict[str, dict[str, object]]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def content(root: Path) -> dict[str, bytes]:
    """Relative path -> bytes of every file."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
