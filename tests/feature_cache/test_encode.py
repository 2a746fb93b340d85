"""Encoding: each image once, corrupt images listed, less memory used when there is less, the same numbers always."""

from __future__ import annotations

import errno
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from threadpoolctl import threadpool_info
from torch import Tensor
from torchvision.transforms.functional import to_tensor

from harness.backbones import openclip, preprocessing
from harness.backbones.backbone import Backbone
from harness.datasets import image_bytes
from harness.datasets import images as decoding
from harness.datasets.image_bytes import file_digest
from harness.errors import BackboneError, DataError, HarnessError, StorageError
from harness.execution.one_thread import one_thread_per_operation
from harness.feature_cache.contents import clear
from harness.feature_cache.encode import Encoder
from harness.feature_cache.extractor import Extractor
from harness.feature_cache.image_encoder import ImageEncoder, ImageSource
from harness.feature_cache.kinds import global_features
from harness.protocols import PROTOCOLS
from harness.types.cell import BackboneRecord

from ..makers import make_spec, sha

CPU = torch.device("cpu")
RECORD = make_spec(backbone={"architecture": "fake", "pretrained": "x"}).backbone


class FakeModel:
    """Features are the mean colours, so that every image is known from its row."""

    def __init__(self, fail_above: int = 10**9, error: BaseException | None = None) -> None:
        self.batches: list[int] = []
        self.fail_above, self.error = fail_above, error or torch.cuda.OutOfMemoryError("CUDA out of memory")
        self.lock = threading.Lock()

    def encode_image(self, batch: Tensor) -> Tensor:
        with self.lock:
            self.batches.append(len(batch))
        if len(batch) > self.fail_above:
            raise self.error
        return batch.mean(dim=(2, 3))


def backbone(model: Any = None, size: Any = 64, record: BackboneRecord = RECORD, **config: Any) -> Backbone:
    """A backbone without a text side."""
    return Backbone(
        record=record,
        device=CPU,
        text=None,  # type: ignore[arg-type]
        logit_scale=1.0,
        preprocess=to_tensor,
        preprocess_config={"size": size, "mean": (0.0,) * 3, "std": (1.0,) * 3, **config},
        model=model or FakeModel(),
        embed_dim=3,
    )


Images = Callable[..., list[ImageSource]]


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """Writes n images of different colours."""

    def write(n: int, first: int = 0) -> list[ImageSource]:
        sources = []
        for i in range(first, first + n):
            path = tmp_path / f"{i}.png"
            Image.new("RGB", (20, 10), (i % 7 * 30 + 20, i % 11 * 20 + 10, i % 13 * 15 + 5)).save(path)
            sources.append(ImageSource(path, file_digest(path), path.name))
        return sources

    return write


def encoder(tmp_path: Path, model: Any = None, workers: int = 2, **more: Any) -> Encoder:
    return encoder_of(global_features(backbone(model, **more)), tmp_path / "cache", workers)


def encoder_of(extractor: Extractor, cache: Path, workers: int = 1) -> Encoder:
    return Encoder(extractor, extractor.store(cache), workers)


def expected(sources: Sequence[ImageSource]) -> np.ndarray:
    colours = np.array([Image.open(s.file).getpixel((0, 0)) for s in sources]) / 255
    return colours / np.linalg.norm(colours, axis=1, keepdims=True)


def test_features_are_unit_rows_in_the_order_of_the_sources(tmp_path: Path, images: Images) -> None:
    sources = images(100)
    features, readable = encoder(tmp_path).features(sources, views=1)
    assert features.shape == (100, 1, 3)
    assert readable == list(range(100))
    np.testing.assert_allclose(features[:, 0], expected(sources), rtol=1e-5)


def test_each_image_is_encoded_once(tmp_path: Path, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.feature_cache import image_encoder

    loaded: Counter[str] = Counter()
    decode = image_encoder.decode_image
    monkeypatch.setattr(
        image_encoder, "decode_image", lambda data, path, how: (loaded.update([path]), decode(data, path, how))[1]
    )
    sources = images(70)
    first = encoder(tmp_path)
    first.ensure(sources[:30], 0)
    first.ensure(sources + sources, 0)
    first.features(sources, views=1)
    encoder(tmp_path).features(sources, views=1)
    assert set(loaded.values()) == {1}
    assert len(loaded) == first.encoded == 70


def test_progress_counts_new_images_only(tmp_path: Path, images: Images) -> None:
    steps: list[int] = []
    made = encoder(tmp_path)
    made.ensure(images(70), 0, steps.append)
    made.ensure(images(70), 0, steps.append)
    assert sum(steps) == 70


def test_views_are_stacked_and_the_first_is_the_test_view(tmp_path: Path, images: Images) -> None:
    sources = images(5)
    made = encoder(tmp_path)
    features, _ = made.features(sources, views=3)
    assert features.shape == (5, 3, 3)
    torch.testing.assert_close(features[:, :1], made.features(sources, views=1)[0])
    assert made.encoded == 15


# -- corrupt images ------------------------------------------------------------------------------------------------


def damage(sources: list[ImageSource], *positions: int, content: bytes = b"not an image") -> None:
    """As if the files had been so from the beginning."""
    for position in positions:
        source = sources[position]
        source.file.write_bytes(content)
        sources[position] = replace(source, sha256=file_digest(source.file))


def test_views_with_another_crop_are_encoded_separately(tmp_path: Path, images: Images) -> None:
    sources = images(5)
    wide, narrow, again = (encoder(tmp_path) for _ in range(3))
    wide.features(sources, views=2)
    narrow.features(sources, views=2, crop=0.9)
    assert (wide.encoded, narrow.encoded) == (10, 5)  # the test view is the same
    again.features(sources, views=2)
    again.features(sources, views=2, crop=0.9)
    assert again.encoded == 0
    assert len(list(tmp_path.rglob("view-001*/*.safetensors"))) == 2


@pytest.mark.parametrize("views", [1, 3])
def test_a_corrupt_image_is_listed_and_left_out(tmp_path: Path, images: Images, views: int) -> None:
    sources = images(100)
    damage(sources, 0, 63, 99)
    made = encoder(tmp_path)
    features, readable = made.features(sources, views)
    assert readable == [i for i in range(100) if i not in (0, 63, 99)]
    assert features.shape == (97, views, 3)
    np.testing.assert_allclose(features[:, 0], expected([sources[i] for i in readable]), rtol=1e-5)
    assert sorted(made.unreadable) == ["0.png", "63.png", "99.png"]
    assert all(path in reason for path, reason in made.unreadable.items())


def test_damaged_copies_are_listed_under_every_name(tmp_path: Path, images: Images) -> None:
    sources = images(4)
    damage(sources, 1, 2, content=b"")
    made = encoder(tmp_path)
    assert made.features(sources, 1)[1] == [0, 3]
    assert made.unreadable == {path: f"{path}: the file is empty" for path in ("1.png", "2.png")}


def test_a_file_without_a_digest_is_listed_and_left_out(tmp_path: Path, images: Images) -> None:
    sources = images(3)
    sources[1].file.unlink()
    sources[1] = replace(sources[1], sha256="unreadable")
    made = encoder(tmp_path)
    features, readable = made.features(sources, views=2)
    assert readable == [0, 2]
    assert features.shape == (2, 2, 3)
    assert made.unreadable == {"1.png": "1.png: the file does not exist"}


def test_a_part_without_readable_images_is_an_error(tmp_path: Path, images: Images) -> None:
    sources = images(2)
    damage(sources, 0, 1)
    with pytest.raises(DataError, match="no image of the part could be decoded"):
        encoder(tmp_path).features(sources, 1)


# -- what passes ---------------------------------------------------------------------------------------------------


def gone(source: ImageSource) -> ImageSource:
    source.file.unlink()
    return source


def overwritten(source: ImageSource) -> ImageSource:
    Image.new("RGB", (20, 10), "white").save(source.file)
    return source


def cut_short(source: ImageSource) -> ImageSource:
    source.file.write_bytes(source.file.read_bytes()[:40])
    return source


def back_again(source: ImageSource) -> ImageSource:
    return replace(source, sha256="unreadable")


@pytest.mark.parametrize(
    ("happens", "sentence"),
    [
        (gone, r"^3\.png could be read before but not now: the file does not exist"),
        (overwritten, r"^3\.png changed during the run"),
        (cut_short, r"^3\.png changed during the run"),
        (back_again, r"^3\.png changed during the run"),
    ],
)
def test_a_changed_file_is_an_error_and_not_cached(
    tmp_path: Path, images: Images, happens: Callable[[ImageSource], ImageSource], sentence: str
) -> None:
    sources = images(100)
    made = encoder(tmp_path)
    sources[3] = happens(sources[3])
    with pytest.raises(StorageError, match=sentence) as error:
        made.features(sources, 1)
    assert error.value.hint == "run the same command again"
    assert made.unreadable == {}
    images(4)  # as it was
    again = replace(sources[3], sha256=file_digest(sources[3].file))
    features, _ = encoder(tmp_path).features([again], 1)
    np.testing.assert_allclose(features[:, 0], expected([again]), rtol=1e-5)


@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
@pytest.mark.parametrize("where", ["reading", "decoding"])
def test_a_temporary_lack_of_resources_is_an_error(
    tmp_path: Path, images: Images, monkeypatch: pytest.MonkeyPatch, where: str, fault: Exception
) -> None:
    def fail(*args: Any) -> Any:
        raise fault

    sources = images(3)
    made = encoder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(*((image_bytes, "read_file") if where == "reading" else (decoding, "_to_upright_rgb")), fail)
        with pytest.raises(StorageError, match=r"the (file|image) cannot be (read|decoded) now"):
            made.features(sources, 1)
    assert made.unreadable == {}
    assert made.features(sources, 1)[1] == [0, 1, 2]


def test_removed_features_are_encoded_again(tmp_path: Path, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = images(5)
    made = encoder(tmp_path)
    made.features(sources, 1)
    clear(tmp_path / "cache")
    assert made.features(sources, 1)[1] == [0, 1, 2, 3, 4]
    assert made.encoded == 10
    ensure = made.ensure
    monkeypatch.setattr(made, "ensure", lambda *given, **more: (ensure(*given, **more), clear(tmp_path / "cache")))
    with pytest.raises(StorageError, match="features were removed from the cache while they were read"):
        made.features(sources, 1)


class Wrong(FakeModel):
    """One number of the last image is none."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def encode_image(self, batch: Tensor) -> Tensor:
        encoded = super().encode_image(batch)
        encoded[-1, 0] = self.number
        return encoded


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_non_finite_features_are_an_error_and_not_cached(tmp_path: Path, images: Images, number: float) -> None:
    made = encoder(tmp_path, Wrong(number))
    with pytest.raises(BackboneError, match="the image encoder of fake x returns NaN or infinity") as error:
        made.features(images(64), 1)
    assert error.value.hint == "check --pretrained and --precision"
    assert made.encoded == 0
    assert not list(tmp_path.rglob("*.safetensors"))


# -- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [torch.cuda.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("can't allocate memory")]
)
@pytest.mark.parametrize("workers", [1, 3])
def test_when_memory_runs_out_the_batch_is_halved(
    tmp_path: Path, images: Images, error: BaseException, workers: int
) -> None:
    model = FakeModel(fail_above=10, error=error)
    sources = images(150)
    features, _ = encoder(tmp_path, model, workers).features(sources, 1)
    np.testing.assert_allclose(features[:, 0], expected(sources), rtol=1e-5)
    assert set(model.batches) <= {64, 32, 16, 8}
    assert model.batches.count(8) >= 150 / 8
    assert model.batches.count(64) <= workers


def test_a_single_image_that_does_not_fit_is_an_error(tmp_path: Path, images: Images) -> None:
    model = FakeModel(fail_above=0)
    with pytest.raises(HarnessError, match="a single image does not fit"):
        encoder(tmp_path, model).features(images(3), 1)
    assert 1 in model.batches


def test_threads_that_run_out_of_memory_together_all_try_smaller_batches(tmp_path: Path, images: Images) -> None:
    made = ImageEncoder(global_features(backbone()))
    pixels = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    made._batch = 2

    class Racing(FakeModel):
        def encode_image(self, batch: Tensor) -> Tensor:
            if len(batch) == 2:
                made._batch = 1  # another thread was quicker
                raise self.error
            return super().encode_image(batch)

    made.extractor = global_features(backbone(Racing()))
    colours = (pixels / 255).mean(dim=(2, 3))
    torch.testing.assert_close(made._encode(pixels), torch.nn.functional.normalize(colours, dim=1))


def test_other_model_errors_are_not_treated_as_out_of_memory(tmp_path: Path, images: Images) -> None:
    for error in (RuntimeError("shapes"), AssertionError("not divisible")):
        with pytest.raises(BackboneError, match=f"the image encoder of fake x fails: {error}"):
            encoder(tmp_path, FakeModel(0, error)).features(images(3), 1)


# -- the same numbers ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> Any:
    """A small vision transformer and a small convolutional network with random weights."""
    models = []
    for name, vision in {
        "unit-vit": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "unit-resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 12, "head_width": 32, "patch_size": None},
    }.items():
        text = {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
        openclip.register_architecture(name, {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text})
        torch.manual_seed(0)
        models.append(openclip.random_model(name).eval().requires_grad_(False))
    return models


def real(model: Any) -> Backbone:
    config = preprocessing.merge_settings({"size": openclip.model_image_size(model)})
    preprocess = openclip.transform(config)
    return Backbone(RECORD, CPU, None, 1.0, preprocess, config, model, embed_dim=32)  # type: ignore[arg-type]


@pytest.mark.parametrize("which", [0, 1])
def test_features_depend_neither_on_workers_nor_on_what_was_cached(
    tmp_path: Path, images: Images, tiny: Any, which: int
) -> None:
    made = global_features(real(tiny[which]))
    sources = images(140)
    damage(sources, 5)
    runs = []
    for number, (workers, before) in enumerate([(1, []), (3, []), (2, sources[70:]), (2, sources[3:4])]):
        cache = tmp_path / f"cache {number}"
        if before:
            encoder_of(made, cache, workers).ensure(before, 0)
        runs.append(encoder_of(made, cache, workers).features(sources, 1)[0])
    for other in runs[1:]:
        assert torch.equal(runs[0], other)


def oriented(path: Path, generator: np.random.Generator) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(generator.integers(0, 256, (40, 60, 3), np.uint8)).save(path, exif=exif)


def transparent(path: Path, generator: np.random.Generator) -> None:
    Image.fromarray(generator.integers(0, 256, (40, 60, 4), np.uint8)).save(path)


@pytest.mark.parametrize(("name", "write"), [("a.jpg", oriented), ("a.png", transparent)])
def test_plain_and_upright_decoding_give_the_expected_features(
    tmp_path: Path, tiny: Any, name: str, write: Callable[..., None]
) -> None:
    write(tmp_path / name, np.random.default_rng(0))
    made = real(tiny[0])
    sources = [ImageSource(tmp_path / name, file_digest(tmp_path / name), name)]
    features = {}
    for protocol in ("clean-v1", "paper-2025"):
        how = PROTOCOLS[protocol].decoding
        extractor = global_features(made, how)
        features[protocol] = encoder_of(extractor, tmp_path / "cache").features(sources, 1)[0][0, 0]
    pixels = image_transform_v2(PreprocessCfg(size=32), is_train=False)(Image.open(tmp_path / name).convert("RGB"))
    batch = pixels.expand(ImageEncoder(global_features(made))._batch, -1, -1, -1)  # of its size: others round otherwise
    with one_thread_per_operation(CPU):
        own = made.encode_image(batch)[0]
    assert torch.equal(features["paper-2025"], own)
    assert (features["clean-v1"] @ own) < 0.999


LONG = [(400_000, 1), (1, 400_000), (33_000, 2)]


@pytest.mark.parametrize("size", LONG)
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("view", [0, 1])
def test_an_image_of_any_shape_is_encoded_in_little_memory(
    tmp_path: Path, size: tuple[int, int], mode: str, view: int
) -> None:
    made = backbone(FakeModel(), size=64, resize_mode=mode)
    Image.new("L", size, 200).save(tmp_path / "a.png")
    largest = 0

    def resize(image: Image.Image, to: Any, *more: Any, **named: Any) -> Image.Image:
        nonlocal largest
        largest = max(largest, to[0] * to[1], to[0] * image.height)
        return own(image, to, *more, **named)

    own = Image.Image.resize
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "resize", resize)
        source = ImageSource(tmp_path / "a.png", file_digest(tmp_path / "a.png"), "a.png")
        pixels = ImageEncoder(global_features(made)).read(source, view)
    assert pixels.shape == (3, 64, 64)
    assert 0 < largest <= decoding.MAX_RATIO * 64 * 64


def test_out_of_memory_for_an_image_is_an_error(tmp_path: Path, images: Images) -> None:
    def fail(image: Image.Image) -> NDArray[np.uint8]:
        raise MemoryError

    made = encoder_of(replace(global_features(backbone()), preprocess=fail), tmp_path / "cache")
    with pytest.raises(StorageError, match=r"^0\.png: there is not enough memory to resize the image"):
        made.features(images(1), 1)


@pytest.mark.parametrize("setting", ["ImageFile.LOAD_TRUNCATED_IMAGES", "Image.MAX_IMAGE_PIXELS"])
def test_pillow_settings_of_other_code_do_not_change_features(
    tmp_path: Path, images: Images, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    sources = images(3)
    data = sources[1].file.read_bytes()
    sources[1].file.write_bytes(data[: len(data) - 30])
    sources[1] = replace(sources[1], sha256=file_digest(sources[1].file))
    before = encoder(tmp_path / "before").features(sources, 2)
    monkeypatch.setattr(f"PIL.{setting}", True)  # one pixel is too many
    after = encoder(tmp_path / "after").features(sources, 2)
    assert before[1] == after[1] == [0, 2]
    assert torch.equal(before[0], after[0])


def test_the_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    with one_thread_per_operation(CPU):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


# -- the key -------------------------------------------------------------------------------------------------------


def test_the_encoder_key_covers_everything_features_depend_on() -> None:
    records = [
        RECORD.model_copy(update=change)
        for change in ({"weights_sha256": sha("v")}, {"config": sha("b")}, {"precision": "bf16"})
    ]
    keys = {global_features(backbone(record=record)).key for record in (RECORD, *records)}
    keys |= {global_features(backbone(size=32)).key, global_features(backbone(mean=(0.5, 0.5, 0.5))).key}
    keys.add(global_features(replace(backbone(), unit_rows=False)).key)
    keys.add(global_features(backbone(), "plain").key)
    assert len(keys) == 8
    assert global_features(backbone()).key in keys


def test_another_library_version_changes_the_encoder_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = global_features(backbone()).key
    monkeypatch.setattr("harness.feature_cache.kinds.versions", lambda names: dict.fromkeys(names, "1"))
    keys = [global_features(backbone()).key]
    for library in ("pillow", "torch", "torchvision", "open_clip_torch"):
        later = lambda names, changed=library: {name: "2" if name == changed else "1" for name in names}  # noqa: E731
        monkeypatch.setattr("harness.feature_cache.kinds.versions", later)
        keys.append(global_features(backbone()).key)
    assert len({before, *keys}) == 6


def test_the_encoder_key_does_not_depend_on_the_weights_name() -> None:
    other = RECORD.model_copy(update={"pretrained": "a copy", "corpus": "unknown", "quick_gelu": "unchecked"})
    assert global_features(backbone(record=other)).key == global_features(backbone()).key


def test_batches_are_laid_out_as_their_dimensions(tmp_path: Path, images: Images) -> None:
    class Model(FakeModel):
        def encode_image(self, batch: Tensor) -> Tensor:
            assert batch.is_contiguous()  # with channels last, a convolution adds in another order
            return super().encode_image(batch)

    made = encoder(tmp_path, Model())
    assert len(made.features(images(5), 1)[1]) == 5


@pytest.mark.parametrize("size", [64, (64, 64), [64, 64]])
def test_the_batch_on_the_cpu_is_bounded_in_pixels(tmp_path: Path, size: Any) -> None:
    assert encoder(tmp_path, size=size).images._batch == 64
    assert encoder(tmp_path, size=224).images._batch == 8


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_one_thread_per_operation_in_torch_and_in_blas(device: str) -> None:
    def blas() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    before = torch.get_num_threads(), blas()
    with one_thread_per_operation(torch.device(device)):
        assert blas() == {1}
        assert torch.get_num_threads() == (1 if device == "cpu" else before[0])
    assert (torch.get_num_threads(), blas()) == before
