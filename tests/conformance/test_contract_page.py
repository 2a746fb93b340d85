"""The method that the contract page shows in full keeps the contract."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.conformance import check_method

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contract.md"


@pytest.mark.slow
def test_the_method_on_the_contract_page_passes_every_check(tmp_path):
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    exec(compile(code, "contract.md", "exec"), names)
    results = list(check_method("bit_fit", names["BitFit"]))  # type: ignore[arg-type]
    assert [result.message for result in results if result.state != "passed"] == []
