"""The standard preprocessing of ImageNet classifiers, used by the release for clustering."""

from __future__ import annotations

from harness.types.cell import Preprocessing


def imagenet_preprocessing(size: tuple[int, int]) -> Preprocessing:
    """Resize the shorter side to int(size / 0.875), centre-crop, normalize by ImageNet's mean and deviation.

    Equal to the transform ``imagenet`` of the release's ``CMS/data/augmentations`` (interpolation 3, crop 0.875).

    Args:
        size: height and width of the encoder's input.
    """
    return Preprocessing(
        size=size,
        mode="RGB",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        interpolation="bicubic",
        resize_mode="shortest",
        fill_color=0,
        crop=0.875,
    )
