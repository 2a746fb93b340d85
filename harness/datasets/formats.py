"""Image formats by a file's first bytes: scraped files often hold another format than their ending says."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import NamedTuple

# Imported here: Pillow would do it at the first such file, and do without a reader that it cannot import just then.
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

Reader = Callable[[io.BytesIO], ImageFile.ImageFile]


class Format(NamedTuple):
    """A format by its name, the bytes that its files begin with, and the reader of this Pillow, None for none."""

    name: str
    begins: str
    reader: Reader | None = None


def _avif() -> Reader | None:
    return AvifImagePlugin.AvifImageFile if AvifImagePlugin is not None and features.check("avif") else None


_BRAND = "....ftyp(?:....)*?"
"""What a file of the ISO container begins with, up to one of its brands."""

# EPS and the like, which start programs, are never read. Readers are named, not looked up: foreign code may register
# others under the same names.
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

_HEAD = 512  # bytes of a file that are looked at
_PATTERNS = [(re.compile(found.begins.encode("latin-1"), re.DOTALL), found) for found in FORMATS]


def format_of(data: bytes) -> Format | None:
    """The format of a file by its content, None for one of no known format."""
    head = data[:_HEAD]
    return next((found for pattern, found in _PATTERNS if pattern.match(head)), None)
