"""Tables that are wider than the terminal."""

from __future__ import annotations

import pytest

from harness.cli import console
from harness.cli.print_tables import print_in_parts

COLUMNS = ("folder", "classes", "images per class", "captions")


@pytest.mark.parametrize(("width", "tables"), [(120, 1), (45, 2), (34, 3)])
def test_table_is_printed_in_as_few_parts_as_fit_without_losing_a_cell(
    width: int, tables: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PIPE_WIDTH", width)
    print_in_parts("mine", COLUMNS, [["Food5_OOP", "5", "12 14 20", "100.0 %"], ["Food3_IP", "3", "7 7 7", "0.0 %"]])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    assert (printed.count("Food5_OOP"), printed.count("mine")) == (tables, 1)
    assert all(text in printed for text in (*COLUMNS, "12 14 20", "100.0 %", "7 7 7", "0.0 %"))
