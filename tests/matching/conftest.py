from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from .emulator.device import Emulator, build, usable


@pytest.fixture(scope="session", name="emulator")
def _emulator(pytestconfig: pytest.Config) -> Iterator[Callable[[str], Emulator]]:
    """``emulator(name)``: the CUDA kernels on the CPU, in one of the builds of ``emulator/device.py``."""
    if not usable():
        pytest.skip("the emulator needs g++ on Linux, x86-64")
    folder = pytestconfig.cache.mkdir("emulator")
    with ExitStack() as running:
        yield cache(lambda name: running.enter_context(Emulator(build(name, folder))))
