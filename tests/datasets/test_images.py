from __future__ import annotations

import errno
import hashlib
import importlib
import io
import mmap
import os
import socket
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL
import pytest
from PIL import Image, features

from harness.datasets import formats, image_bytes, images
from harness.datasets.digests import DigestIndex
from harness.datasets.image_bytes import file_digest, large_file_digest
from harness.datasets.images import crop_to_middle, decode_image, load_image
from harness.errors import DataError, StorageError

from .roots import WRITERS

COLOUR = (200, 60, 30)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


JPEG = encoded(Image.effect_noise((64, 64), 80), "JPEG")


def flat(mode: str, colour) -> Image.Image:
    return Image.new(mode, (6, 4), colour)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_becomes_rgb(tmp_path, kind):
    path = tmp_path / kind
    WRITERS[kind](path, Image.new("RGB", (24, 16), COLOUR))
    image = load_image(path)
    assert image.mode == "RGB"
    assert image.size == ((16, 24) if kind == "turned.jpg" else (24, 16))
    grey = Image.new("RGB", (1, 1), COLOUR).convert("L").getpixel((0, 0))
    want = {"grey.jpg": (grey,) * 3, "grey16.png": (grey,) * 3, "palette clear.png": (255,) * 3}
    want["rgba.png"] = tuple(round((value + 255) / 2) for value in COLOUR)
    np.testing.assert_allclose(image.getpixel((5, 5)), want.get(kind, COLOUR), atol=4)


@pytest.mark.parametrize(
    ("mode", "colour", "options", "want"),
    [
        ("1", 1, {}, (255, 255, 255)),
        ("LA", (10, 0), {}, (255, 255, 255)),
        ("LA", (10, 255), {}, (10, 10, 10)),
        ("L", 10, {"transparency": 10}, (255, 255, 255)),
        ("RGB", COLOUR, {"transparency": COLOUR}, (255, 255, 255)),
        ("I;16", 257 * 100, {}, (100, 100, 100)),
        ("I;16", 200, {}, (0, 0, 0)),
    ],
)
def test_png_modes(mode, colour, options, want):
    image = decode_image(encoded(flat(mode, colour), **options), "x")
    np.testing.assert_allclose(image.getpixel((1, 1)), want, atol=1)


def test_palette_with_a_transparency_table():
    palette = flat("RGB", COLOUR).quantize(2)
    image = decode_image(encoded(palette, transparency=bytes([0, 128])), "x")
    assert image.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_as_pillow_understands_it(orientation):
    pixels = np.arange(5 * 8, dtype=np.uint8).reshape(5, 8) * 6
    upright = Image.fromarray(pixels)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that brings the image back
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(encoded(stored, exif=exif), "x")
    np.testing.assert_array_equal(np.asarray(image)[..., 0], pixels)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_rotated_once(orientation, compression):
    pixels = np.arange(5 * 8, dtype=np.uint8).reshape(5, 8) * 6
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = Image.fromarray(pixels)
    stored = stored.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "TIFF", exif=exif, compression=compression)
    np.testing.assert_array_equal(np.asarray(decode_image(data, "x"))[..., 0], pixels)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(bits: int, colour: int, row: bytes, *chunks: bytes) -> bytes:
    """A PNG of one row of two pixels; colour is 0 for grey, 2 for RGB."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, bits, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("bits", "colour", "row", "clear", "want"),
    [
        (16, 0, struct.pack(">2H", 257 * 40, 30_001), struct.pack(">H", 30_001), [(40,) * 3, (255,) * 3]),
        (16, 0, struct.pack(">2H", 257 * 40, 257 * 90), struct.pack(">H", 30_001), [(40,) * 3, (90,) * 3]),
        (4, 0, bytes([0x3C]), struct.pack(">H", 3), [(255,) * 3, (204,) * 3]),
        (2, 0, bytes([0b0110_0000]), struct.pack(">H", 1), [(255,) * 3, (170,) * 3]),
        (1, 0, bytes([0b0100_0000]), struct.pack(">H", 0), [(255,) * 3, (255,) * 3]),
        (16, 2, struct.pack(">6H", 51_000, 15_000, 7_000, 257, 514, 771), struct.pack(">3H", 51_000, 15_000, 7_000),
         [(255,) * 3, (1, 2, 3)]),
    ],
)  # fmt: skip
def test_the_transparent_colour_of_a_png_is_compared_at_its_own_depth(bits, colour, row, clear, want):
    image = decode_image(png_of(bits, colour, row, chunk(b"tRNS", clear)), "x")
    assert [image.getpixel((x, 0)) for x in range(2)] == want


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(5_000_000))),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5_000_000))),
        chunk(b"tEXt", b"Comment\0" + b"a" * (70 << 20)),
    ],
    ids=["colour profile", "compressed text", "text"],
)
def test_a_png_may_hold_a_large_profile_or_text(extra):
    image = decode_image(png_of(8, 0, bytes([10, 20]), extra), "x")
    assert image.getpixel((1, 0)) == (20, 20, 20)


@pytest.mark.parametrize(("name", "kind"), [("AVIF", "AVIF"), ("JPEG 2000", "JPEG2000"), ("WebP", "WEBP")])
def test_formats_supported_by_pillow_are_decoded(name, kind):
    if name == "AVIF" and not (tuple(map(int, PIL.__version__.split(".")[:2])) >= (11, 3) and features.check("avif")):
        pytest.skip("this Pillow has no AVIF")
    image = decode_image(encoded(Image.new("RGB", (64, 48), COLOUR), kind), "x.jpg")
    assert image.size == (64, 48)
    np.testing.assert_allclose(image.getpixel((9, 9)), COLOUR, atol=4)


def test_a_format_whose_codec_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(images, "format_of", lambda data: formats.Format("AVIF", ""))
    with pytest.raises(DataError, match="x: the image is AVIF, which cannot be decoded here"):
        decode_image(JPEG, "x")


def oriented() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.effect_noise((24, 16), 80).convert("RGB"), "JPEG", exif=exif)


def grey16() -> bytes:
    return encoded(Image.fromarray(np.full((4, 4), 30_000, np.uint16)))


@pytest.mark.parametrize(
    "data",
    [oriented(), encoded(flat("RGBA", (*COLOUR, 100))), encoded(flat("L", 9), transparency=9), grey16()],
    ids=["oriented", "rgba", "tRNS", "16 bit"],
)  # fmt: skip
def test_plain_decoding_is_pillows_own_conversion(data):
    image = decode_image(data, "x", "plain")
    own = Image.open(io.BytesIO(data)).convert("RGB")
    assert image.tobytes() == own.tobytes()
    assert image.size == own.size
    assert image.tobytes() != decode_image(data, "x").tobytes()


FOREIGN = [
    ("ImageFile.LOAD_TRUNCATED_IMAGES", True),
    ("Image.MAX_IMAGE_PIXELS", 3),
    ("PngImagePlugin.MAX_TEXT_CHUNK", 3),
    ("PngImagePlugin.MAX_TEXT_MEMORY", 3),
]


@pytest.mark.parametrize(("setting", "value"), FOREIGN)
def test_pillow_settings_of_other_code_are_ignored(monkeypatch, setting, value):
    whole = {
        "png": png_of(8, 0, bytes([10, 20]), chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(500)))),
        "jpeg": oriented(),
    }
    before = {kind: decode_image(data, kind).tobytes() for kind, data in whole.items()}
    monkeypatch.setattr(f"PIL.{setting}", value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {kind: decode_image(data, kind).tobytes() for kind, data in whole.items()} == before
        decode_image(encoded(flat("RGB", COLOUR).quantize(2), transparency=bytes([0, 9])), "x", "plain")
        assert crop_to_middle(Image.new("RGB", (500, 1))).size == (images.MAX_RATIO, 1)
        for decoding in ("upright-white", "plain"):
            with pytest.raises(DataError, match="truncated"):
                decode_image(JPEG[: len(JPEG) // 2], "x", decoding)
    module, name = setting.split(".")
    assert getattr(importlib.import_module(f"PIL.{module}"), name) == value


def test_readers_registered_by_other_code_are_ignored(monkeypatch):
    def other(*args):
        raise AssertionError("asked")

    monkeypatch.setitem(Image.OPEN, "JPEG", (other, lambda prefix: True))
    assert decode_image(JPEG, "x").size == (64, 64)


@pytest.mark.parametrize(
    ("size", "want"),
    [((480, 10), (480, 10)), ((481, 10), (480, 10)), ((400_000, 1), (48, 1)), ((2, 999), (2, 96)), ((7, 7), (7, 7))],
)
def test_very_long_images_are_cropped_to_their_middle(size, want):
    image = Image.new("RGB", size)
    image.putpixel((size[0] // 2, size[1] // 2), COLOUR)
    cut = crop_to_middle(image)
    assert cut.size == want
    assert cut.getpixel((want[0] // 2, want[1] // 2)) == COLOUR or cut.getcolors()[0][1] == COLOUR
    assert (cut is image) == (size == want)


def test_damaged_exif_is_ignored():
    data = encoded(flat("RGB", COLOUR), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert decode_image(data, "x").size == (6, 4)


def test_animations_give_their_first_frame():
    data = encoded(flat("RGB", COLOUR), "GIF", save_all=True, append_images=[flat("RGB", (0, 0, 0))])
    np.testing.assert_allclose(decode_image(data, "x").getpixel((0, 0)), COLOUR, atol=4)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nearly nothing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"nothing that is known", "the file is not an image"),
        (b"\n<!DOCTYPE html>\n<p>404", "the file is a web page: get the file again"),
        (b"<html>404</html>", "the file is a web page: get the file again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "the file is a Git LFS pointer and not the file itself: run `git lfs pull`",
        ),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "the image is PostScript, which cannot be decoded here"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "the image is HEIC, which cannot be decoded here; convert it to PNG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "the image is JPEG XL, which cannot be decoded here"),
        (
            b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
            "the image is SVG, which cannot be decoded",
        ),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "the image "),
        (JPEG[: len(JPEG) // 2], "the image cannot be decoded (image file is truncated"),
        (encoded(Image.effect_noise((64, 64), 80))[:600], "the image cannot be decoded ("),
        (png_of_size(60_000, 60_000), "the image has more than 178,956,970 pixels"),
        (png_of_size(12_000, 10_000), "the image cannot be decoded ("),  # Pillow only warns at this size
    ],
)
def test_invalid_files_are_errors(tmp_path, data, sentence):
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        load_image(path)
    assert error.value.message.startswith(f"{path}: {sentence}")
    assert "\n" not in error.value.message
    with pytest.raises(DataError, match=r"^images/a\.jpg: "):
        load_image(path, name="images/a.jpg")


def test_the_pixel_limit_is_independent_of_pillow(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 23)
    with pytest.raises(DataError, match="more than 23 pixels"):
        decode_image(encoded(flat("RGB", COLOUR)), "x")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
@pytest.mark.parametrize("load", [load_image, file_digest])
def test_special_files_are_errors_and_do_not_block(tmp_path, load, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        (tmp_path / "folder.jpg").mkdir()
        (tmp_path / "zero.jpg").symlink_to("/dev/zero")
        kinds = {"pipe": "named pipe", "socket": "socket", "folder": "folder", "zero": "device"}
        for name, kind in kinds.items():
            with pytest.raises(DataError, match=rf"the file cannot be read \(it is a {kind}, not a file\)"):
                load(tmp_path / f"{name}.jpg")


@pytest.mark.parametrize("load", [load_image, file_digest])
def test_a_file_that_is_too_large_for_an_image_is_not_read(tmp_path, load):
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(image_bytes.MAX_BYTES + 1)
    with pytest.raises(DataError, match=r"the file cannot be read \(it has more than 268,435,456 bytes\)"):
        load(tmp_path / "a.jpg")


def test_weights_are_hashed_whatever_their_size(tmp_path):
    """Those of ViT-B-32 have 605 MB; only images are refused."""
    (tmp_path / "weights").write_bytes(b"weights")
    assert large_file_digest(tmp_path / "weights") == hashlib.sha256(b"weights").hexdigest()
    with (tmp_path / "weights").open("ab") as file:
        file.truncate(image_bytes.MAX_BYTES + 1)
    with (tmp_path / "weights").open("rb") as file:
        expected = hashlib.sha256(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).hexdigest()
    (found,) = DigestIndex(tmp_path / "index").digests([tmp_path / "weights"], digest_of=large_file_digest)
    assert found == expected


@pytest.mark.parametrize("load", [load_image, file_digest, large_file_digest])
def test_missing_files_and_folders(tmp_path, load):
    for path in (tmp_path / "none.jpg", tmp_path / "none" / "x.jpg"):
        with pytest.raises(DataError, match="the file does not exist"):
            load(path)
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, None])
@pytest.mark.parametrize("load", [load_image, file_digest])
def test_lack_of_resources_is_a_storage_error(tmp_path, monkeypatch, load, number):
    def fail(path, most):
        raise MemoryError if number is None else OSError(number, os.strerror(number))

    (tmp_path / "a.jpg").write_bytes(JPEG)
    monkeypatch.setattr(image_bytes, "read_file", fail)
    reason = "there is not enough memory" if number is None else os.strerror(number)
    with pytest.raises(StorageError, match=rf"a\.jpg: the file cannot be read now \({reason}\)") as error:
        load(tmp_path / "a.jpg")
    assert error.value.hint == image_bytes.RETRY_HINT


@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.EMFILE, "too many open files"), ImportError("no")])
@pytest.mark.parametrize("where", ["reader", "pixels"])
def test_only_damaged_bytes_are_data_errors(monkeypatch, where, fault):
    def fail(*args):
        raise fault

    if where == "reader":
        monkeypatch.setattr(images, "_find_reader", lambda data, name: fail)
    else:
        monkeypatch.setattr(images, "_to_upright_rgb", fail)
    with pytest.raises(StorageError, match=r"^x: the image cannot be decoded now \("):
        decode_image(JPEG, "x")


LITTLE_MEMORY = """
import io, resource, sys
from pathlib import Path
from PIL import Image
from harness.datasets.images import decode_image
from harness.errors import StorageError

file = io.BytesIO()
more = {"progressive": True} if sys.argv[1] == "JPEG" else {}
Image.effect_noise((2000, 2000), 80).convert("RGB").save(file, sys.argv[1], **more)
decode_image(file.getvalue(), "x")
here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
said = {"decoded": 0, "now": 0}
for room in range(0, 104 << 20, 8 << 20):
    resource.setrlimit(resource.RLIMIT_AS, (here + room, resource.RLIM_INFINITY))
    try:
        decode_image(file.getvalue(), "x")
        said["decoded"] += 1
    except StorageError as error:
        said["now"] += "not enough memory" in error.message
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert said["decoded"] and said["now"] and sum(said.values()) == 13, said
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is limited and measured in another way")
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lack_of_memory_is_never_reported_as_damage(kind):
    freed = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}  # else the memory of the first image is used again
    command = [sys.executable, "-c", LITTLE_MEMORY, kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=freed)
    assert done.returncode == 0, done.stderr


def test_pillow_warnings_do_not_leak_from_threads(recwarn):
    data = encoded(flat("RGB", COLOUR), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda n: decode_image(data, str(n)), range(200)))) == 200
    assert not recwarn.list


def test_digest_is_sha256_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()
