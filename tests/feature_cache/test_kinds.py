"""Every kind of rows goes through the cache: the same bits as computed, in its own type, under a key of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from harness.backbones import openclip, preprocessing
from harness.backbones.backbone import Backbone
from harness.datasets.image_bytes import file_digest
from harness.execution.one_thread import one_thread_per_operation
from harness.feature_cache import extractor as extractors
from harness.feature_cache.contents import clear, list_encoders, verify
from harness.feature_cache.encode import Encoder
from harness.feature_cache.extractor import Extractor
from harness.feature_cache.image_encoder import EncodedImages, ImageEncoder, ImageSource
from harness.feature_cache.kinds import KINDS, global_features, normalize_pixels, patch_tokens, pixels, preprojection
from harness.feature_cache.views import augment

from ..image_towers import image_backbone
from ..makers import few, sha

VIT = "vit"
SHAPES = {"features": (24,), "preprojection": (32,), "tokens": (16, 24), "pixels": (3, 32, 32)}
BYTES = {"features": 96, "preprojection": 128, "tokens": 768, "pixels": 3072}


def picture(width: int = 50, height: int = 30, seed: int = 0) -> Image.Image:
    """An image on which every setting shows."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def sources(tmp_path: Path) -> list[ImageSource]:
    made = []
    for i in range(20):
        path = tmp_path / f"{i}.png"
        picture(40 + i, 60 - i, i).save(path)
        made.append(ImageSource(path, file_digest(path), path.name))
    return made


def encoder(extractor: Extractor, cache: Path) -> Encoder:
    return Encoder(extractor, extractor.store(cache))


# -- rows in the cache -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_cached_rows_equal_computed_ones(tmp_path: Path, sources: list[ImageSource], kind: str) -> None:
    extractor = KINDS[kind](image_backbone(VIT), "upright-white")
    assert (extractor.kind, extractor.shape, extractor.row_bytes) == (kind, SHAPES[kind], BYTES[kind])
    first = encoder(extractor, tmp_path / "cache")
    rows, readable = first.rows(sources, 2)
    again = encoder(extractor, tmp_path / "cache")
    np.testing.assert_array_equal(again.rows(sources[::-1], 2)[0], rows[::-1])
    assert (readable, first.encoded, again.encoded) == (list(range(20)), 40, 0)
    assert rows.shape == (20, 2, *SHAPES[kind])
    assert rows.dtype == extractor.dtype

    def prepared(view: int) -> torch.Tensor:
        images = [augment(Image.open(s.file), s.sha256, view, extractor.size) for s in sources]
        return torch.tensor(np.array(list(map(extractor.preprocess, images)), order="C"))

    for view in range(2):
        with one_thread_per_operation(extractor.device):
            computed = extractor.encode(prepared(view))
        np.testing.assert_allclose(rows[:, view], computed, rtol=0, atol=2e-3 if kind == "tokens" else 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_same_bits_for_every_division_of_the_images(sources: list[ImageSource], kind: str) -> None:
    extractor = KINDS[kind](image_backbone(VIT), "upright-white")
    whole = ImageEncoder(extractor, 2).encode(sources, view=1)
    for size in (1, 7):
        parts = [ImageEncoder(extractor).encode(sources[i : i + size], view=1) for i in range(0, 20, size)]
        sent = [EncodedImages.from_bytes(part.to_bytes()) for part in parts]
        assert [digest for part in sent for digest in part.digests] == whole.digests
        assert np.concatenate([part.rows for part in sent]).tobytes() == whole.rows.tobytes()


def test_images_that_cannot_be_decoded_are_sent_with_the_reason(sources: list[ImageSource]) -> None:
    sources[3].file.write_bytes(b"not an image")
    sources[3] = replace(sources[3], sha256=file_digest(sources[3].file))
    encoded = ImageEncoder(pixels(image_backbone(VIT))).encode(sources)
    again = EncodedImages.from_bytes(encoded.to_bytes())
    assert again.failed == {sources[3].sha256: ("3.png", "3.png: the file is not an image")}
    assert again.digests == [source.sha256 for source in sources if source is not sources[3]]


def test_unreadable_images_are_left_out_of_every_kind(tmp_path: Path, sources: list[ImageSource]) -> None:
    sources[3].file.write_bytes(b"not an image")
    sources[3] = replace(sources[3], sha256=file_digest(sources[3].file))
    for make in KINDS.values():
        made = encoder(make(image_backbone(VIT), "upright-white"), tmp_path / "cache")
        rows, readable = made.rows(sources, 2)
        assert len(rows) == len(readable) == 19
        assert list(made.unreadable) == ["3.png"]


def test_tokens_are_unit_vectors_in_half_precision(tmp_path: Path, sources: list[ImageSource]) -> None:
    rows, _ = encoder(patch_tokens(image_backbone(VIT)), tmp_path).rows(sources, 1)
    assert rows.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(rows.astype(np.float32), axis=-1), 1, atol=1e-3)


def test_features_of_any_kind_come_on_the_device(tmp_path: Path, sources: list[ImageSource]) -> None:
    features, _ = encoder(preprojection(image_backbone(VIT)), tmp_path).features(sources, 3)
    assert isinstance(features, torch.Tensor)
    assert features.shape == (20, 3, 32)


def test_large_rows_are_written_in_smaller_shards(
    tmp_path: Path, sources: list[ImageSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractors, "MAX_SHARD_BYTES", 20_000)
    extractor = pixels(image_backbone(VIT))
    assert extractor.shard_images == 4
    encoder(extractor, tmp_path / "cache").ensure(sources, 0)
    files = list((tmp_path / "cache").rglob("*.safetensors"))
    assert len(files) == 5
    assert all(path.stat().st_size < 20_000 for path in files)


@few
@given(st.integers(1, 1 << 31))
def test_a_shard_is_bounded_in_images_and_bytes(width: int) -> None:
    extractor = replace(global_features(image_backbone(VIT)), shape=(width,))
    count = extractor.shard_images
    assert 1 <= count <= extractors.MAX_SHARD_IMAGES
    assert count & (count - 1) == 0
    assert count == 1 or count * extractor.row_bytes <= extractors.MAX_SHARD_BYTES
    assert count == extractors.MAX_SHARD_IMAGES or 2 * count * extractor.row_bytes > extractors.MAX_SHARD_BYTES


def test_rows_of_all_kinds_are_listed_verified_and_cleared(tmp_path: Path, sources: list[ImageSource]) -> None:
    made = {kind: make(image_backbone(VIT), "upright-white") for kind, make in KINDS.items()}
    for extractor in made.values():
        encoder(extractor, tmp_path / "cache").ensure(sources, 0)
    listed = {entry.description.split()[0]: entry for entry in list_encoders(tmp_path / "cache")}
    assert {kind: entry.key for kind, entry in listed.items()} == {kind: e.key for kind, e in made.items()}
    assert {entry.images for entry in listed.values()} == {20}
    assert verify(tmp_path / "cache") == (4, [], [])
    assert clear(tmp_path / "cache", made["tokens"].key) == [listed["tokens"]]
    assert {entry.key for entry in list_encoders(tmp_path / "cache")} == {
        extractor.key for kind, extractor in made.items() if kind != "tokens"
    }


# -- keys --------------------------------------------------------------------------------------------------------------


def test_every_kind_has_a_key_of_its_own() -> None:
    assert len({make(image_backbone(VIT), "upright-white").key for make in KINDS.values()}) == len(KINDS)
    assert len({make(image_backbone(VIT), "plain").key for make in KINDS.values()}) == len(KINDS)


def changed(**settings: Any) -> Backbone:
    backbone = image_backbone(VIT)
    return replace(backbone, preprocess_config=backbone.preprocess_config | settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": (32, 40)},
        {"resize_mode": "squash"},
        {"interpolation": "bilinear"},
        {"fill_color": 9},
        {"crop": 0.875},
    ],
)
def test_pixels_depend_on_how_images_are_resized(settings: dict[str, Any]) -> None:
    assert pixels(changed(**settings)).key != pixels(image_backbone(VIT)).key


def test_pixels_depend_neither_on_the_model_nor_on_its_normalization() -> None:
    key = pixels(image_backbone(VIT)).key
    assert pixels(changed(mean=(0.5, 0.5, 0.5), std=(0.1, 0.2, 0.3))).key == key
    record = image_backbone(VIT).record
    other = record.model_copy(update={"weights_sha256": sha("v"), "config": sha("b"), "precision": "bf16"})
    assert pixels(replace(image_backbone(VIT), record=other, unit_rows=False)).key == key
    assert pixels(image_backbone(VIT), "plain").key != key


@pytest.mark.parametrize("library", ["pillow", "torchvision", "open_clip_torch"])
def test_pixels_depend_on_the_libraries_that_resize(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setattr("harness.feature_cache.kinds.versions", lambda names: dict.fromkeys(names, "1"))
    before = pixels(image_backbone(VIT)).key
    later = lambda names: {name: "2" if name == library else "1" for name in names}  # noqa: E731
    monkeypatch.setattr("harness.feature_cache.kinds.versions", later)
    assert pixels(image_backbone(VIT)).key != before


@pytest.mark.parametrize("make", [global_features, preprojection, patch_tokens])
def test_encoded_kinds_depend_on_weights_and_normalization(make: Callable[[Backbone], Extractor]) -> None:
    record = image_backbone(VIT).record.model_copy(update={"weights_sha256": sha("v")})
    others = [replace(image_backbone(VIT), record=record), changed(mean=(0.5, 0.5, 0.5))]
    assert len({make(backbone).key for backbone in (image_backbone(VIT), *others)}) == 3


# -- pixels ------------------------------------------------------------------------------------------------------------

COLOURS = st.tuples(*[st.floats(0.05, 1)] * 3)


@few
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([(32, 32), (24, 40)]),
    st.sampled_from(["shortest", "longest", "squash"]),
    st.sampled_from(["bicubic", "bilinear"]),
    st.sampled_from([1.0, 0.875, 0.5]),
    st.integers(0, 2),
    st.integers(0, 255),
    COLOURS,
    COLOURS,
)
@example(1, 48, (24, 40), "longest", "bicubic", 1.0, 0, 0, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))  # half a pixel wide
@example(40, 24, (24, 40), "shortest", "bicubic", 1.0, 0, 0, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))  # of the model's size
@example(40, 24, (24, 40), "shortest", "bicubic", 0.5, 0, 0, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
def test_normalized_pixels_equal_the_preprocessed_image(
    width: int,
    height: int,
    size: tuple[int, int],
    resize_mode: str,
    interpolation: str,
    crop: float,
    view: int,
    fill: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> None:
    how = {"size": size, "resize_mode": resize_mode, "interpolation": interpolation, "fill_color": fill}
    settings = preprocessing.merge_settings(how, {"mean": mean, "std": std}) | {"crop": crop}
    image = augment(picture(width, height), sha("a"), view, (size[1], size[0]))
    raw = torch.from_numpy(openclip.pixel_transform(settings)(image).copy())
    assert raw.dtype == torch.uint8
    assert raw.shape == (3, *size)
    expected = openclip.transform(settings)(image)
    assert torch.equal(openclip.normalize(raw[None], settings)[0], expected)


def test_normalized_cached_pixels_give_the_cached_features(tmp_path: Path, sources: list[ImageSource]) -> None:
    backbone = image_backbone(VIT)
    features, _ = encoder(global_features(backbone), tmp_path).features(sources, 2)
    stored, _ = encoder(pixels(backbone), tmp_path).rows(sources, 2)
    for view in range(2):
        batch = normalize_pixels(backbone, torch.from_numpy(stored[:, view]))
        torch.testing.assert_close(backbone.encode_image(batch), features[:, view])


def test_normalization_does_not_change_the_pixels() -> None:
    raw = torch.arange(2 * 3 * 4, dtype=torch.uint8).reshape(2, 3, 2, 2)
    before = raw.clone()
    openclip.normalize(raw, preprocessing.DEFAULTS)
    assert torch.equal(raw, before)
