from __future__ import annotations

import errno
import hashlib
import io
import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from harness.datasets import images
from harness.datasets.images import decode_image, digest, load_image
from harness.errors import DataError, StorageError

from .roots import WRITERS

COLOUR = (200, 60, 30)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


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


def test_damaged_exif_leaves_the_pixels():
    data = encoded(flat("RGB", COLOUR), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert decode_image(data, "x").size == (6, 4)


def test_animations_give_their_first_frame():
    data = encoded(flat("RGB", COLOUR), "GIF", save_all=True, append_images=[flat("RGB", (0, 0, 0))])
    np.testing.assert_allclose(decode_image(data, "x").getpixel((0, 0)), COLOUR, atol=4)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nearly nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


JPEG = encoded(Image.effect_noise((64, 64), 80), "JPEG")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"<html>404</html>", "the file is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "the file is not an image"),
        (JPEG[: len(JPEG) // 2], "the image cannot be decoded (image file is truncated"),
        (encoded(Image.effect_noise((64, 64), 80))[:600], "the image cannot be decoded ("),
        (png_of_size(60_000, 60_000), "the image has more than 178,956,970 pixels"),
        (png_of_size(12_000, 10_000), "the image cannot be decoded ("),  # Pillow only warns at this size
    ],
)
def test_bad_files_are_one_sentence(tmp_path, data, sentence):
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        load_image(path)
    assert error.value.message.startswith(f"{path}: {sentence}")
    assert "\n" not in error.value.message
    with pytest.raises(DataError, match=r"^images/a\.jpg: "):
        load_image(path, name="images/a.jpg")


def test_a_limit_of_our_own_where_pillow_has_none(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 23)
    with pytest.raises(DataError, match="more than 23 pixels"):
        decode_image(encoded(flat("RGB", COLOUR)), "x")


@pytest.mark.parametrize("load", [load_image, digest])
def test_missing_files_and_folders(tmp_path, load):
    for path in (tmp_path / "none.jpg", tmp_path / "none" / "x.jpg"):
        with pytest.raises(DataError, match="the file does not exist"):
            load(path)
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, None])
@pytest.mark.parametrize("load", [load_image, digest])
def test_a_machine_that_lacks_something_says_nothing_about_the_file(tmp_path, monkeypatch, load, number):
    def fail(path):
        raise MemoryError if number is None else OSError(number, os.strerror(number))

    (tmp_path / "a.jpg").write_bytes(JPEG)
    monkeypatch.setattr(images.Path, "read_bytes", fail)
    reason = "there is not enough memory" if number is None else os.strerror(number)
    with pytest.raises(StorageError, match=rf"a\.jpg: the file cannot be read now \({reason}\)") as error:
        load(tmp_path / "a.jpg")
    assert error.value.hint == images.AGAIN


@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.EMFILE, "too many open files"), ImportError("no")])
@pytest.mark.parametrize("where", ["_open", "_as_rgb"])
def test_only_a_fault_of_the_bytes_is_damage(monkeypatch, where, fault):
    def fail(*args):
        raise fault

    monkeypatch.setattr(images, where, fail)
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
for room in range(0, 100 << 20, 4 << 20):
    resource.setrlimit(resource.RLIMIT_AS, (here + room, resource.RLIM_INFINITY))
    try:
        decode_image(file.getvalue(), "x")
        said["decoded"] += 1
    except StorageError as error:
        said["now"] += "not enough memory" in error.message
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert said["decoded"] and said["now"] and sum(said.values()) == 25, said
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is bounded and told in another way")
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_lack_of_memory_is_never_called_damage_whatever_the_codec_calls_it(kind):
    done = subprocess.run([sys.executable, "-c", LITTLE_MEMORY, kind], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_pillow_warnings_do_not_leak_from_threads(recwarn):
    data = encoded(flat("RGB", COLOUR), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda n: decode_image(data, str(n)), range(200)))) == 200
    assert not recwarn.list


def test_digest_is_sha256_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert digest(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()
