"""Every installed method keeps its contract, and so does the README's example."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable
from pathlib import Path

from harness.conformance import check_method, parametrize_with_checks
from harness.registry import load_all


@parametrize_with_checks([plugin.value for plugin in load_all("method")[0]])
def test_it_keeps_its_contract(check: Callable[[], None]) -> None:
    check()


def test_the_example_of_the_readme_keeps_its_contract() -> None:
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text.partition("## Write a method")[2], re.DOTALL)
    module = types.ModuleType("readme_example")
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, "README.md", "exec"), vars(module))
        results = list(check_method("prototypes", module.Prototypes))
    finally:
        del sys.modules[module.__name__]
    assert [result for result in results if result.state != "passed"] == []
    assert f"# {len(results)} checks; each failure" in text
