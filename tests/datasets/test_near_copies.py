"""Near copies: the same picture in another file is found, another picture is not."""

from __future__ import annotations

import io
import shutil
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.datasets.check import check_root
from harness.datasets.near_copies import find_near_copies, image_signature

from .roots import make_root

COPIES: dict[str, dict[str, Any]] = {
    "quality 40": {"format": "JPEG", "quality": 40},
    "webp": {"format": "WEBP", "quality": 70},
    "png": {"format": "PNG"},
    "smaller": {"format": "JPEG", "quality": 85, "scale": 0.5},
    "larger": {"format": "JPEG", "quality": 85, "scale": 1.7},
    "grey": {"format": "JPEG", "quality": 90, "mode": "L"},
}


def picture(seed: int) -> Image.Image:
    """A picture with large and small shapes, no other like it."""
    rng = np.random.default_rng(seed)
    layers = [Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)) for n in (3, 6, 12, 24)]
    stretched = [np.asarray(layer.resize((120, 90), Image.Resampling.BICUBIC), dtype=float) for layer in layers]
    return Image.fromarray(np.mean(stretched, axis=0).astype(np.uint8))


def saved(image: Image.Image, scale: float = 1.0, mode: str = "RGB", **how: Any) -> bytes:
    size = (round(image.width * scale), round(image.height * scale))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).convert(mode).save(buffer, **how)
    return buffer.getvalue()


def reread(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


@pytest.mark.parametrize("how", COPIES)
def test_all_copies_and_no_other_pictures_are_found(how: str) -> None:
    pictures = [picture(seed) for seed in range(80)]
    others = [image_signature(image) for image in pictures]
    copies = [image_signature(reread(saved(image, **COPIES[how]))) for image in pictures[:20]]
    strangers = [image_signature(picture(seed)) for seed in range(1000, 1200)]
    found = list(find_near_copies([*strangers, *copies], others))
    assert [(near.scored, near.other) for near in found] == [(200 + i, i) for i in range(20)]


def test_flat_images_of_different_colours_are_not_copies() -> None:
    flat = [image_signature(Image.new("RGB", (50, 40), (level, level, level))) for level in (0, 60, 120, 180, 240)]
    assert not list(find_near_copies(flat[:2], flat[2:]))
    assert len(list(find_near_copies(flat[:2], flat))) == 2


def test_more_images_than_are_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = [image_signature(picture(seed)) for seed in range(10)]
    monkeypatch.setattr("harness.datasets.near_copies._ROWS", 3)
    assert [(near.scored, near.other, near.bits) for near in find_near_copies(prints, prints)] == [
        (i, i, 0) for i in range(10)
    ]
    assert not list(find_near_copies(prints, []))


def test_check_reports_near_copies(tmp_path) -> None:
    folders = {"Food2_OOP": ("ham", "egg"), "Food1_IP": ("tea",), "Attire1_OOP": ("hat",)}
    root = make_root(tmp_path, folders, {"train": 2, "val": 1, "test": 2})
    for number, file in enumerate(sorted(root.glob("*/images/*/*"))):
        file.write_bytes(saved(picture(number), format="PNG"))
    ham, tea, hat = (sorted((root / place).iterdir()) for place in PLACES)
    ham[3].write_bytes(saved(Image.open(ham[0]), format="JPEG", quality=60))
    tea[4].write_bytes(saved(Image.open(ham[2]), format="JPEG", quality=80, scale=0.8))
    hat[3].write_bytes(saved(Image.open(ham[1]), format="JPEG", quality=80))  # another domain
    shutil.copy(ham[1], ham[4])  # the same bytes: listed among the copies
    report = check_root(root)
    found = {(near.test, near.other) for near in report.near_copies}
    assert found == {(at(root, ham[3]), at(root, ham[0])), (at(root, tea[4]), at(root, ham[2]))}
    assert len(report.duplicates) == 1


PLACES = ("Food2_OOP/images/ham", "Food1_IP/images/tea", "Attire1_OOP/images/hat")


def at(root: Any, file: Any) -> str:
    return file.relative_to(root).as_posix()
