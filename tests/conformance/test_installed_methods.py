"""Every installed method keeps its contract, and so does the documented example."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.conformance import check_method, parametrize_with_checks
from harness.registry import load_all

METHODS = {plugin.name: plugin.value for plugin in load_all("method")[0]}

TYPICAL = (
    *("zero_shot", "cupl", "fsnl", "tip_adapter", "gda", "linear_probe", "taskres", "teen", "cosmo"),
    *("zsnl", "kmeans_naming", "transclip", "laplacian", "pseudo", "stata", "ecalp"),
)
"""One or two methods of each kind; the checks of the others are slow tests, for time."""

COSTLY = ("memory_returned", "two_domains")
"""Checks that fit several times."""


def with_slow_marks(parametrized: pytest.MarkDecorator) -> pytest.MarkDecorator:
    """The same cases, the costly checks marked as slow."""
    name, cases = parametrized.args
    marked = [
        pytest.param(*case.values, id=case.id, marks=[*case.marks, *([pytest.mark.slow] * case.id.endswith(COSTLY))])
        for case in cases
    ]
    return pytest.mark.parametrize(name, marked)


@with_slow_marks(parametrize_with_checks([METHODS[name] for name in TYPICAL]))
def test_it_keeps_its_contract(check: Callable[[], None]) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks([method for name, method in METHODS.items() if name not in TYPICAL])
def test_any_other_keeps_its_contract(check: Callable[[], None]) -> None:
    check()


def test_the_documented_example_keeps_its_contract() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "own-method.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    module = types.ModuleType("documented_example")
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, "own-method.md", "exec"), vars(module))
        results = list(check_method("class_means", module.ClassMeans))
    finally:
        del sys.modules[module.__name__]
    assert [result for result in results if result.state != "passed"] == []
    assert f"# {len(results)} checks; each failure" in text
