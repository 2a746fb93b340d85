"""The kinds of rows that an open_clip backbone gives of an image: features, preprojection, patch tokens and pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from harness.backbones import image_towers, openclip
from harness.backbones.backbone import Backbone
from harness.datasets.images import DECODING
from harness.device import device_name as name_of
from harness.device import to_device
from harness.feature_cache.extractor import Extractor, cache_key
from harness.feature_cache.shard import GIVEN, Dtype
from harness.registry.plugin_code import versions
from harness.types.cell import Decoding

DECODER_VERSION = "2"
"""Version of the image decoding; part of every key."""

PIXEL_LIBRARIES = ("pillow", "torchvision", "open_clip_torch")
"""Libraries that determine pixels; their versions are part of every key."""

ENCODING_LIBRARIES = (*PIXEL_LIBRARIES, "torch")
"""Libraries that determine features, apart from those that build a model."""


def global_features(backbone: Backbone, decoding: Decoding = DECODING) -> Extractor:
    """Image features ``(d,)``, with or without length 1 as the backbone says."""
    shape = (backbone.embed_dim,)
    return _from_encoder("features", backbone, decoding, backbone.encode_image, shape, "float32", backbone.unit_rows)


def preprojection(backbone: Backbone, decoding: Decoding = DECODING) -> Extractor:
    """What the last projection of the image tower is applied to, ``(w,)`` (``image_towers.projection``).

    Raises:
        BackboneError: the image tower does not end in a linear projection.
    """
    pooled = image_towers.preprojection(backbone)
    width = image_towers.projection(backbone)[0].shape[0]

    def encode(batch: Tensor) -> Tensor:
        return backbone.compute(pooled, batch).float()

    return _from_encoder("preprojection", backbone, decoding, encode, (width,), "float32", False)


def patch_tokens(backbone: Backbone, decoding: Decoding = DECODING) -> Extractor:
    """Patch tokens ``(p, d)`` after the last norm, projected as the pooled token is; unit rows in float16.

    Raises:
        BackboneError: the image tower has no patch tokens that can be projected.
    """
    tokens, count = image_towers.patch_tokens(backbone)

    def encode(batch: Tensor) -> Tensor:
        return torch.nn.functional.normalize(backbone.compute(tokens, batch).float(), dim=-1).half()

    return _from_encoder("tokens", backbone, decoding, encode, (count, backbone.embed_dim), "float16", True)


def pixels(backbone: Backbone, decoding: Decoding = DECODING) -> Extractor:
    """The resized and cropped image before its normalization, ``(3, h, w)`` uint8 (``openclip.normalize``).

    Backbones that resize alike share their pixels.
    """
    resizing = {key: value for key, value in backbone.preprocess_config.items() if key not in ("mean", "std")}
    identity = {"kind": "pixels", "resizing": resizing, **_shared_identity(decoding, PIXEL_LIBRARIES)}
    width, height = _input_size(backbone)
    how = ", ".join(str(resizing[key]) for key in ("resize_mode", "interpolation") if key in resizing)
    return Extractor(
        kind="pixels",
        key=cache_key(identity),
        description=f"pixels of {width}x{height}, {how}{_decoded(decoding)}",
        source="the image preprocessing",
        decoding=decoding,
        preprocess=openclip.pixel_transform(backbone.preprocess_config),
        size=(width, height),
        encode=lambda batch: batch,
        shape=(3, height, width),
        dtype="uint8",
        unit=False,
        device=torch.device("cpu"),
    )


KINDS: Mapping[str, Callable[[Backbone, Decoding], Extractor]] = {
    "features": global_features,
    "preprojection": preprojection,
    "tokens": patch_tokens,
    "pixels": pixels,
}


def normalize_pixels(backbone: Backbone, batch: Tensor) -> Tensor:
    """Batch ``(b, 3, h, w)`` of the backbone's preprocessing from pixels, bit for bit, on the device of the pixels."""
    return openclip.normalize(batch, backbone.preprocess_config)


def _from_encoder(
    kind: str,
    backbone: Backbone,
    decoding: Decoding,
    encode: Callable[[Tensor], Tensor],
    shape: tuple[int, ...],
    dtype: Dtype,
    unit: bool,
) -> Extractor:
    key, description = _identify(kind, backbone, decoding)
    return Extractor(
        kind=kind,
        key=key,
        description=description,
        source=f"the image encoder of {backbone.record.architecture} {backbone.record.pretrained}",
        decoding=decoding,
        preprocess=openclip.pixel_transform(backbone.preprocess_config),
        size=_input_size(backbone),
        encode=lambda pixels: encode(normalize_pixels(backbone, to_device(pixels, backbone.device))),
        shape=shape,
        dtype=dtype,
        unit=unit,
        device=backbone.device,
    )


def _identify(kind: str, backbone: Backbone, decoding: Decoding) -> tuple[str, str]:
    """The key and the description of rows that the image encoder computes."""
    record, device = backbone.record, backbone.device
    if record.images != "encoded":
        return GIVEN
    where = "cpu" if device.type == "cpu" else name_of(str(device))  # GPU models round differently
    identity = {
        "weights": record.weights_sha256,
        "config": record.config,
        "precision": record.precision,
        "preprocessing": backbone.preprocess_config,
        "unit rows": backbone.unit_rows,
        "device": where,
        **_shared_identity(decoding, (*ENCODING_LIBRARIES, *backbone.libraries)),
        **({} if kind == "features" else {"kind": kind}),
    }
    raw = "" if backbone.unit_rows or kind != "features" else ", raw features"
    model = f"{record.architecture} {record.pretrained} {record.precision} on {where}"
    return cache_key(identity), f"{kind} of {model}{_decoded(decoding)}{raw}"


def _shared_identity(decoding: Decoding, libraries: tuple[str, ...]) -> dict[str, Any]:
    return {"decoding": f"{decoding}/{DECODER_VERSION}", "versions": versions(libraries)}


def _decoded(decoding: Decoding) -> str:
    return "" if decoding == DECODING else f", {decoding} decoding"


def _input_size(backbone: Backbone) -> tuple[int, int]:
    """Width and height of what the encoder takes."""
    size = backbone.preprocess_config.get("size", 224)
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return int(width), int(height)
