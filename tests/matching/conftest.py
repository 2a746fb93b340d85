from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from .emulator.device import Emulator, build, usable


@pytest.fixture(scope="session", name="program")
def _program(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """``program(build, name)``: the command of an emulator, rebuilt when its sources change."""
    cached = pytestconfig.pluginmanager.has_plugin("cacheprovider")
    folder = pytestconfig.cache.mkdir("emulator") if cached else tmp_path_factory.mktemp("emulator")

    def get(build_name: str, name: str = "matching") -> list[str]:
        if not usable(build_name):
            pytest.skip(f"no {build_name} build of the emulator: it needs g++ on Linux, x86-64, with its sanitizers")
        return build(build_name, folder, name)

    return get


@pytest.fixture(scope="session", name="emulator")
def _emulator(program: Callable[..., list[str]]) -> Iterator[Callable[[str], Emulator]]:
    """``emulator(build)``: the CUDA kernels on the CPU."""
    with ExitStack() as running:
        yield cache(lambda build_name: running.enter_context(Emulator(program(build_name))))
