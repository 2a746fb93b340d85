"""How a protocol wants images made into features, apart from the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FeatureRule:
    """How a protocol wants features made; it is part of the encoder's key.

    Attributes:
        preprocessing: the backbone's own, or ``imagenet``: the shorter side resized to 8/7 of the encoder's input, the
            centre cut out, mean and deviation of ImageNet.
        unit_rows: whether features are divided by their length.
    """

    preprocessing: Literal["backbone", "imagenet"] = "backbone"
    unit_rows: bool = True
