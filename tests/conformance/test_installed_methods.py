"""Every installed method keeps its contract."""

from __future__ import annotations

from collections.abc import Callable

from harness import registry
from harness.conformance import parametrize_with_checks


@parametrize_with_checks([entry.method for entry in registry.load().methods.values()])
def test_it_keeps_its_contract(check: Callable[[], None]) -> None:
    check()
