"""Saves the global state of the process before third-party code runs, and restores it afterwards.

So no cell's numbers depend on earlier cells or on which plugins were imported, in any process.
``harness.execution.global_settings`` lists the settings and what they do not cover.
"""

from __future__ import annotations

import importlib.abc
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from harness.execution.global_settings import NOT_READABLE, OF_LIBRARIES, OF_VARIABLES, GlobalSetting, groups, variables

ENVIRONMENT = "the environment variable"

PASSES = 4
"""Maximum number of passes that restore settings: restoring one may change others."""


@dataclass
class Snapshot:
    """The global state by name, in comparable values, and how to restore each."""

    values: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, GlobalSetting] = field(default_factory=dict)

    def add(self, settings: Mapping[str, GlobalSetting]) -> None:
        """Read settings that it does not contain yet."""
        for name, setting in settings.items():
            if name not in self.values and (value := setting.get()) is not NOT_READABLE:
                self.values[name], self.settings[name] = value, setting


def snapshot() -> Snapshot:
    """The current global state of the libraries that are loaded."""
    state = Snapshot()
    for group in groups():
        state.add(group)
    for name in os.environ:
        variable = GlobalSetting(partial(os.environ.get, name, NOT_READABLE), partial(os.environ.__setitem__, name))
        state.add({f"{ENVIRONMENT} {name}": variable})
    return state


def changes(before: Snapshot) -> list[str]:
    """The names of what changed. What appeared meanwhile (a library sets a variable at import) is left out.

    Only known settings are read again: finding them takes many times as long.
    """
    return [name for name, setting in before.settings.items() if setting.get() != before.values[name]]


def put_back(before: Snapshot) -> list[str]:
    """Restore everything that was read.

    Returns:
        The names of what had changed.
    """
    changed = left = changes(before)
    for _ in range(PASSES):
        for name in left:
            with suppress(RuntimeError, TypeError):  # a library rejects it
                before.settings[name].put(before.values[name])
        left = changes(before) if left else left
    return changed


def listed(names: Sequence[str]) -> str:
    """Names of settings for a sentence: the first three and the number of others."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


@contextmanager
def preserve_global_state() -> Iterator[list[str]]:
    """Restore the global state at the end; the yielded list then names what had changed.

    It does not name random states: every cell seeds them, and libraries draw from them when they are imported. A
    library that is first imported meanwhile is read right after its import, and restored to that.
    """
    before, changed = snapshot(), list[str]()
    watcher = _Watcher(before)
    sys.meta_path.insert(0, watcher)
    try:
        yield changed
    finally:
        sys.meta_path.remove(watcher)
        changed += [name for name in put_back(before) if not name.endswith("random state")]


@contextmanager
def seeded_global_state(seed: int) -> Iterator[None]:
    """Seed every global generator, and restore the global state at the end."""
    import numpy as np
    import torch

    with preserve_global_state():
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)  # of CUDA devices too
        yield


class _Watcher(importlib.abc.MetaPathFinder):
    """Reads the settings of a library right after its import, before its importer can change them."""

    def __init__(self, state: Snapshot) -> None:
        self._state = state

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that others find, changed to read the module's settings after its import; None for other modules."""
        if fullname not in OF_LIBRARIES and not fullname.startswith(OF_VARIABLES):
            return None
        after = sys.meta_path[sys.meta_path.index(self) + 1 :]  # one of an outer ``preserve_global_state`` among them
        others = (finder.find_spec(fullname, path, target) for finder in after)
        spec = next((spec for spec in others if spec is not None), None)
        if spec is not None and spec.loader is not None:
            self._watch(fullname, spec.loader)
        return spec

    def _watch(self, name: str, loader: Any) -> None:
        run = loader.exec_module

        def run_and_read(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)  # the class has it
            run(module)
            self._state.add(OF_LIBRARIES[name]() if name in OF_LIBRARIES else variables(name))

        loader.exec_module = run_and_read
