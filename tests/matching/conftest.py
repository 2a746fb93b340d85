from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from .emulator.device import Emulator, build, usable


@pytest.fixture(scope="session", name="emulators")
def _emulators(pytestconfig: pytest.Config) -> Path:
    """Where programs of ``emulator/device.py`` are built, and stay until their sources change."""
    if not usable():
        pytest.skip("the emulator needs g++ on Linux, x86-64")
    return pytestconfig.cache.mkdir("emulator")


@pytest.fixture(scope="session", name="emulator")
def _emulator(emulators: Path) -> Iterator[Callable[[str], Emulator]]:
    """``emulator(name)``: the CUDA kernels on the CPU, in one of the builds of ``emulator/device.py``."""
    with ExitStack() as running:
        yield cache(lambda name: running.enter_context(Emulator(build(name, emulators))))
