"""Image formats by a file's first bytes: the suffix of scraped files is often wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

# Imported here: Pillow would import them at the first such file, and skip a reader whose import fails.
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

try:
    from PIL import AvifImagePlugin  # since Pillow 11.3
except ImportError:
    AvifImagePlugin = None  # type: ignore[assignment]

Reader = Callable[[BinaryIO], ImageFile.ImageFile]


class Format(NamedTuple):
    """An image format: name, pattern of the first bytes, and Pillow's reader or None."""

    name: str
    begins: str
    reader: Reader | None = None


def _avif() -> Reader | None:
    return AvifImagePlugin.AvifImageFile if AvifImagePlugin is not None and features.check("avif") else None


_BRAND = "....ftyp(?:....)*?"
"""First bytes of an ISO container file, up to one of its brands."""

# Formats that start programs, such as EPS, are never read. Readers are named, not looked up: third-party code may
# register others under the same names.
FORMATS = (
    Format("JPEG", r"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    Format("PNG", r"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    Format("WebP", "RIFF....WEBP", WebPImagePlugin.WebPImageFile if features.check("webp") else None),
    Format("GIF", "GIF8[79]a", GifImagePlugin.GifImageFile),
    Format("BMP", "BM", BmpImagePlugin.BmpImageFile),
    Format("TIFF", r"II\*\0|MM\0\*|II\+\0|MM\0\+|MM\*\0|II\0\*", TiffImagePlugin.TiffImageFile),
    Format("AVIF", f"{_BRAND}avi[fs]", _avif()),
    Format(
        "JPEG 2000",
        r"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
        Jpeg2KImagePlugin.Jpeg2KImageFile if features.check("jpg_2000") else None,
    ),
    Format("HEIC", f"{_BRAND}(?:hei[cmsx]|hev[cmsx]|mif1|msf1)"),
    Format("JPEG XL", r"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    Format("SVG", r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg\b"),
    Format("PDF", "%PDF-"),
    Format("PostScript", "%!PS"),
    Format("Photoshop", "8BPS"),
)

ENDINGS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"),
    *(".jp2", ".j2k", ".heic", ".jxl"),
}
"""Endings of names of image files. They select the files that are read, and never decide a format."""

HEAD_BYTES = 512
"""First bytes of a file that decide its format."""

_PATTERNS = [(re.compile(found.begins.encode("latin-1"), re.DOTALL), found) for found in FORMATS]


def format_of(data: bytes) -> Format | None:
    """The format of a file by its content, or None if it is unknown."""
    head = data[:HEAD_BYTES]
    return next((found for pattern, found in _PATTERNS if pattern.match(head)), None)


def is_image_name(name: str) -> bool:
    """Whether a file is meant as an image, by the ending of its name."""
    return f".{name.rpartition('.')[2].lower()}" in ENDINGS
