"""Fixed Pillow settings for decoding, independent of changes by other code in the process."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from PIL import Image, ImageFile, PngImagePlugin

TEXT_BYTES = 1 << 26
"""Maximum unpacked bytes of a PNG's colour profile or text; Pillow's default, a 64th, rejects intact files."""

SETTINGS: tuple[tuple[Any, str, Any], ...] = (
    (ImageFile, "LOAD_TRUNCATED_IMAGES", False),
    (Image, "MAX_IMAGE_PIXELS", None),  # replaced by images.MAX_PIXELS
    (PngImagePlugin, "MAX_TEXT_CHUNK", TEXT_BYTES),
    (PngImagePlugin, "MAX_TEXT_MEMORY", 4 * TEXT_BYTES),
)
"""Module, setting and value."""


class _FixedSettings:
    """Settings and warning filters are global: the first thread sets them, the last one restores them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._before = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if self._threads == 0:
                self._before.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                for module, name, _ in SETTINGS:
                    self._before.callback(setattr, module, name, getattr(module, name))
            self._threads += 1
            for module, name, value in SETTINGS:
                setattr(module, name, value)

    def leave(self) -> None:
        with self._lock:
            self._threads -= 1
            if self._threads == 0:
                self._before.close()


_fixed_settings = _FixedSettings()


@contextmanager
def fixed_pillow_settings() -> Iterator[None]:
    """Decode, crop and resize with ``SETTINGS`` and without Pillow's warnings; safe for concurrent threads."""
    _fixed_settings.enter()
    try:
        yield
    finally:
        _fixed_settings.leave()
