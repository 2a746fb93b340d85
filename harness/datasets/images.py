"""Read image files of any supported format as RGB."""

from __future__ import annotations

import io
import os
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from harness.datasets.formats import HEAD_BYTES, Reader, format_of
from harness.datasets.image_bytes import RETRY_HINT, read_bytes, reason_of
from harness.datasets.pillow import fixed_pillow_settings
from harness.errors import DataError, StorageError
from harness.files import detect_placeholder, open_regular_file
from harness.types.cell import Decoding

MAX_PIXELS = 178_956_970
"""Images with more pixels are refused; equal to Pillow's limit for decompression bombs."""

LARGE_PIXELS = 1 << 25
"""Images with more pixels are decoded one at a time: one takes up to two gigabytes, and threads decode many."""

MAX_RATIO = 48
"""Maximum ratio of the sides. Longer images are cropped to their middle: resizing by the short side needs memory."""

DECODING: Decoding = "upright-white"
"""The default decoding of protocols."""

_one_large_image = threading.Lock()

_BAND = 1 << 22  # pixels that are put on white at once

_CODEC_BYTES = 16
"""Upper bound of a codec's memory per pixel: coefficients of a progressive JPEG, canvases of a WebP."""

_ORIENTATION = 0x0112  # the EXIF tag
_TRANSPOSE_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_image(path: Path, name: str | None = None, decoding: Decoding = DECODING) -> Image.Image:
    """Load an image file in mode RGB; the first frame of an animation.

    Args:
        path: the file.
        name: name of the file in errors; the path as given if None.
        decoding: ``upright-white`` applies the EXIF rotation and puts transparency on white; ``plain`` is
            ``Image.open(path).convert("RGB")``, as in the released code and CLIP_benchmark. (open_clip resizes an
            ``Image.open(path)`` before conversion: a palette or transparent image then has other pixels.)

    Raises:
        DataError: the file is missing, unreadable, empty, truncated, too large or not an image.
        StorageError: the machine temporarily lacks memory or file descriptors.
    """
    name = str(path) if name is None else name
    return decode_image(read_bytes(path, name), name, decoding)


def decode_image(data: bytes, name: str, decoding: Decoding = DECODING) -> Image.Image:
    """``load_image`` for the bytes of a file; ``name`` is its name in errors."""
    reader = _find_reader(data, name)
    pixels = 1 << 24  # assume a large image until its header is read
    try:
        with fixed_pillow_settings(), reader(io.BytesIO(data)) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise Image.DecompressionBombError
            with _one_large_image if pixels > LARGE_PIXELS else nullcontext():
                return _to_rgb(image) if decoding == "plain" else _to_upright_rgb(image)
    except Image.DecompressionBombError:
        raise DataError(f"{name}: the image has more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # decoders raise almost anything on damaged bytes
        if reason := _exhausted_resource(error, pixels):
            raise StorageError(f"{name}: the image cannot be decoded now ({reason})", RETRY_HINT) from error
        raise DataError(f"{name}: the image cannot be decoded ({reason_of(error)})") from error


class ImageHeader(NamedTuple):
    """Format of an image, its width and height in pixels as they are stored, and the size of its file in bytes."""

    format: str
    width: int
    height: int
    size: int


def read_header(path: Path, name: str) -> ImageHeader:
    """The header of an image file; its pixels are not read.

    Raises:
        DataError: the file is missing, unreadable or not an image, or its header is damaged.
    """
    try:
        with open_regular_file(path) as file:
            reader = _find_reader(file.read(HEAD_BYTES), name)
            file.seek(0)
            with fixed_pillow_settings(), reader(file) as image:
                return ImageHeader(image.format or "", image.width, image.height, os.fstat(file.fileno()).st_size)
    except DataError:
        raise
    except Exception as error:  # readers raise almost anything on damaged bytes
        raise DataError(f"{name}: the image has no readable header ({reason_of(error)})") from None


def crop_to_middle(image: Image.Image) -> Image.Image:
    """Crop an image whose sides differ by more than ``MAX_RATIO`` to its middle; return any other unchanged."""
    width, height = (min(side, MAX_RATIO * min(image.size)) for side in image.size)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    with fixed_pillow_settings():
        return image.crop((left, top, left + width, top + height))


def _find_reader(data: bytes, name: str) -> Reader:
    """The reader for the format of a file, by its first bytes.

    Raises:
        DataError: the bytes are not an image, or this Pillow has no reader for the format.
    """
    if not data:
        raise DataError(f"{name}: the file is empty")
    found = format_of(data)
    if found is None:
        raise DataError(f"{name}: the file is {detect_placeholder(data) or 'not an image'}")
    if found.reader is None:
        raise DataError(f"{name}: the image is {found.name}, which cannot be decoded here; convert it to PNG")
    return found.reader


def _to_upright_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB with EXIF orientation applied and transparency on white."""
    _scale_transparent_color(image)  # before the pixels are loaded
    turn = (
        None if image.format == "TIFF" else _TRANSPOSE_BY_ORIENTATION.get(_orientation(image))
    )  # Pillow rotates a TIFF on loading
    rgb = _flatten_on_white(image)
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    if image.format == "JPEG" and image.info.keys().isdisjoint(("exif", "xmp")):
        return 1  # parsing nothing takes a tenth of decoding a small image
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:  # the pixels may be fine despite unreadable EXIF
        return 1


def _flatten_on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.has_transparency_data:
        return _put_on_white(image)
    return _to_rgb(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    """``image.convert("RGB")`` without its copy of an image that is RGB already."""
    image.load()  # the mode of a GIF is decided here
    return image if image.mode == "RGB" else image.convert("RGB")


def _put_on_white(image: Image.Image) -> Image.Image:
    """Band by band: each step of Pillow makes a copy with four bytes a pixel."""
    found = Image.new("RGB", image.size)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        canvas = Image.new("RGBA", band.size, "white")
        canvas.alpha_composite(band)
        found.paste(canvas.convert("RGB"), (0, top))
    return found


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey; Pillow's conversion clips all values above 255 to white."""
    wide = image.convert("I")
    clear = np.asarray(wide) == image.info["transparency"] if "transparency" in image.info else None
    if image.mode != "I" or wide.getextrema()[1] > 255:  # type: ignore[operator]
        wide = wide.point(lambda value: value * (1 / 257))
    grey = wide.convert("L")
    if clear is not None:
        grey.paste(255, mask=Image.fromarray(clear))
    return grey.convert("RGB")


def _scale_transparent_color(image: Image.Image) -> None:
    """Scale the transparent colour of a PNG to 8 bits, as Pillow does with its pixels."""
    key = image.info.get("transparency")
    bits = image.tile[0][3] if image.format == "PNG" and image.tile else None  # type: ignore[attr-defined]
    if isinstance(key, int) and bits in ("L;2", "L;4"):
        image.info["transparency"] = key * (255 // 3 if bits == "L;2" else 255 // 15)
    elif isinstance(key, tuple) and bits == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _exhausted_resource(error: Exception, pixels: int) -> str | None:
    """The resource whose lack made decoding fail, or None if the bytes are damaged."""
    if isinstance(error, ImportError) or getattr(error, "errno", None) is not None:  # errors of decoders have no errno
        return reason_of(error)
    try:
        bytes(_CODEC_BYTES * pixels)  # codecs report a lack of memory as damage; this allocates without touching
    except MemoryError as found:
        return reason_of(found)
    return reason_of(error) if isinstance(error, MemoryError) else None
