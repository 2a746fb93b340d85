"""Read an image file as RGB, whatever it is, and hash its bytes."""

from __future__ import annotations

import errno
import hashlib
import io
import threading
import warnings
from pathlib import Path

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from harness.errors import DataError, StorageError

MAX_PIXELS = 178_956_970
"""Images with more pixels are refused: the limit at which Pillow, too, speaks of a decompression bomb."""

AGAIN = "run the same command again"
"""What to do about what passes."""

# Scraped files often hold another format than their ending says. EPS and the like, which start programs, are left out.
# Imported here: Pillow would do it at the first such file, and do without a reader that it cannot import just then.
_READERS = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    GifImagePlugin.GifImageFile,
    BmpImagePlugin.BmpImageFile,
    TiffImagePlugin.TiffImageFile,
)
_FORMATS = tuple(reader.format for reader in _READERS)

_CODEC_BYTES = 16
"""A pixel's share of what a codec takes at the most: a progressive JPEG its coefficients, a WebP its canvases."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}

_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Warning filters belong to the process: without the lock, threads would restore each other's.
_HEADER = threading.Lock()


def load_image(path: Path, name: str | None = None) -> Image.Image:
    """The image of a file: mode RGB, EXIF rotation applied, transparency on white, first frame of an animation.

    Args:
        path: the file.
        name: what an error calls the file; the path as given if None.

    Raises:
        DataError: the file is missing, unreadable, empty, truncated, too large or no image.
        StorageError: the machine lacks memory or open files for it now, which says nothing about the file.
    """
    name = str(path) if name is None else name
    return decode_image(read_bytes(path, name), name)


def decode_image(data: bytes, name: str) -> Image.Image:
    """``load_image`` for the bytes of a file; ``name`` is what an error calls it."""
    if not data:
        raise DataError(f"{name}: the file is empty")
    pixels = 1 << 24  # as if it were large, until its header is read
    try:
        with _open(data) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise Image.DecompressionBombError
            turn = _TURNS.get(image.info.pop("_turn"))
            rgb = _as_rgb(image)
            return rgb if turn is None else rgb.transpose(turn)
    except Image.DecompressionBombError:
        raise DataError(f"{name}: the image has more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise DataError(f"{name}: the file is not an image") from None
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        if reason := _lacking(error, pixels):
            raise StorageError(f"{name}: the image cannot be decoded now ({reason})", AGAIN) from error
        raise DataError(f"{name}: the image cannot be decoded ({_reason(error)})") from error


def digest(path: Path, name: str | None = None) -> str:
    """The sha256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        DataError, StorageError: as ``read_bytes``.
    """
    return hashlib.sha256(read_bytes(path, str(path) if name is None else name)).hexdigest()


def read_bytes(path: Path, name: str) -> bytes:
    """The bytes of a file; ``name`` is what an error calls it.

    Raises:
        DataError: the file is missing or unreadable.
        StorageError: the machine lacks memory or open files for it now, which says nothing about the file.
    """
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{name}: the file does not exist") from None
    except (OSError, ValueError, MemoryError) as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in _EXHAUSTED:
            raise StorageError(f"{name}: the file cannot be read now ({_reason(error)})", AGAIN) from error
        raise DataError(f"{name}: the file cannot be read ({_reason(error)})") from error


def _open(data: bytes) -> Image.Image:
    """Parse the header, without Pillow's warnings; the EXIF orientation goes to ``info["_turn"]``."""
    with _HEADER, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        try:
            image.info["_turn"] = image.getexif().get(_ORIENTATION)
        except MemoryError:
            raise
        except Exception:  # unreadable EXIF says nothing about the pixels
            image.info["_turn"] = None
    return image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, "white")
        canvas.alpha_composite(image.convert("RGBA"))
        return canvas.convert("RGB")
    if image.mode.startswith("I"):
        # 16-bit grey. Pillow's own conversion clips to white all that is brighter than 255.
        wide = image.convert("I")
        if image.mode != "I" or wide.getextrema()[1] > 255:  # type: ignore[operator]
            wide = wide.point(lambda value: value * (1 / 257))
        return wide.convert("L").convert("RGB")
    return image.convert("RGB")


def _lacking(error: Exception, pixels: int) -> str | None:
    """What the machine lacked when an image could not be decoded, or None if that tells about its bytes."""
    if isinstance(error, ImportError) or getattr(error, "errno", None) is not None:  # a decoder's own has no number
        return _reason(error)
    try:
        bytes(_CODEC_BYTES * pixels)  # codecs call it damage, too, when they get no memory; this touches none
    except MemoryError as found:
        return _reason(found)
    return _reason(error) if isinstance(error, MemoryError) else None


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().rstrip(".")
