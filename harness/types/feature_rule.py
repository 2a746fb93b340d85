"""How a protocol computes image features, apart from the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FeatureRule:
    """How a protocol computes image features; part of the encoder's cache key.

    Attributes:
        preprocessing: ``backbone`` for the backbone's own, or ``imagenet``: shorter side resized to 8/7 of the
            encoder's input, centre crop, mean and standard deviation of ImageNet.
        unit_rows: whether features are L2-normalized.
    """

    preprocessing: Literal["backbone", "imagenet"] = "backbone"
    unit_rows: bool = True
