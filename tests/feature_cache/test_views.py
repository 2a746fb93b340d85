"""Augmented views: the same picture for ever, inside the image, within the bounds."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import hflip, resized_crop

from harness.feature_cache.views import MIN_CROP, RATIO, _crop_box, augment, view_name

from ..makers import few, sha


def picture(width: int = 60, height: int = 40) -> Image.Image:
    """Every pixel has a colour of its own."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x, y, (x + y) // 2], axis=2).astype(np.uint8))


SIZE = (32, 24)


def test_view_zero_is_the_image_itself() -> None:
    image = picture()
    assert augment(image, sha("a"), 0, SIZE) is image


@pytest.mark.parametrize("view", [1, 2, 15])
def test_a_view_depends_only_on_sha256_and_number(view: int) -> None:
    random.seed(view)
    first = augment(picture(), sha("a"), view, SIZE)
    random.seed(99)
    again = augment(picture(), sha("a"), view, SIZE)
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != augment(picture(), sha("b"), view, SIZE).tobytes()
    assert first.tobytes() != augment(picture(), sha("a"), view + 1, SIZE).tobytes()


def test_a_view_of_a_fixed_image_is_stable() -> None:
    # Cached features of views rest on this.
    boxes = [_crop_box(60, 40, random.Random(f"{sha('a')}/{view}")) for view in (1, 2, 3)]
    assert boxes == [(10, 0, 59, 40), (38, 16, 54, 36), (20, 7, 47, 38)]


@pytest.mark.parametrize("view", range(1, 9))
def test_a_view_is_torchvisions_resized_crop_of_its_box(view: int) -> None:
    random_ = random.Random(f"{sha('a')}/{view}")
    left, top, right, bottom = _crop_box(60, 40, random_)
    box = (top, left, bottom - top, right - left)
    expected = resized_crop(picture(), *box, list(reversed(SIZE)), InterpolationMode.BICUBIC)
    expected = hflip(expected) if random_.random() < 0.5 else expected
    seen = augment(picture(), sha("a"), view, SIZE)
    assert seen.size == SIZE
    assert seen.tobytes() == expected.tobytes()


def test_preprocessing_does_not_crop_views() -> None:
    transform = image_transform_v2(PreprocessCfg(size=(24, 32), mean=(0, 0, 0), std=(1, 1, 1)), is_train=False)
    seen = augment(picture(), sha("a"), 1, SIZE)
    assert np.allclose(transform(seen).permute(1, 2, 0) * 255, np.asarray(seen), atol=1e-4)


def test_half_of_the_views_are_mirrored() -> None:
    mirrored = 0
    for view in range(1, 201):
        red = np.asarray(augment(picture(), sha("a"), view, SIZE))[0, :, 0].astype(int)
        assert red[-1] != red[0]
        mirrored += bool(red[-1] < red[0])
    assert 70 < mirrored < 130


@few
@given(st.integers(1, 400), st.integers(1, 400), st.integers())
def test_the_crop_is_inside_the_image(width: int, height: int, seed: int) -> None:
    left, top, right, bottom = _crop_box(width, height, random.Random(seed))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


@few
@given(st.integers(100, 400), st.integers(100, 400), st.integers(), st.sampled_from([MIN_CROP, 0.5, 0.9]))
def test_area_and_ratio_are_within_bounds(width: int, height: int, seed: int, least: float) -> None:
    left, top, right, bottom = _crop_box(width, height, random.Random(seed), least)
    w, h = right - left, bottom - top
    # One pixel of rounding on each side.
    assert (w + 1) * (h + 1) >= least * width * height or w == h == min(width, height)
    assert (w + 1) / (h - 1) >= RATIO[0]
    assert (w - 1) / (h + 1) <= RATIO[1]


def test_a_crop_may_be_as_wide_or_as_high_as_the_image() -> None:
    boxes = [_crop_box(8, 8, random.Random(seed)) for seed in range(200)]
    sizes = {(right - left, bottom - top) for left, top, right, bottom in boxes}
    assert any(width == 8 > height for width, height in sizes)
    assert any(height == 8 > width for width, height in sizes)


def test_a_very_long_image_is_cropped_to_its_middle() -> None:
    assert _crop_box(1000, 1, random.Random(0)) == (499, 0, 500, 1)
    assert augment(picture(1, 1), sha("a"), 1, SIZE).size == SIZE


def test_view_names_contain_the_crop_except_the_test_view() -> None:
    assert view_name(3) == view_name(3, MIN_CROP) == "view-003-box-0.08"
    assert view_name(3, 0.5) == "view-003-box-0.5"
    assert view_name(0, 0.5) == view_name(0) == "view-000"
    assert augment(picture(), sha("a"), 1, SIZE, 0.5).tobytes() != augment(picture(), sha("a"), 1, SIZE).tobytes()
