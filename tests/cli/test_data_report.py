"""What ``harness data check`` prints for files that may not be read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness.cli.data_report import show_check
from harness.datasets import folder_reader
from harness.datasets.check import check_root
from harness.datasets.disk import ImageTree, UnusableName

from ..datasets.roots import make_root


def test_unreadable_folders_are_not_readable_rather_than_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def locked(tree: ImageTree, name: str, file: str) -> str:
        raise UnusableName("class folder", f"images/{name}", f"names class {name!r}, {os.strerror(errno.EACCES)}")

    root = make_root(tmp_path / "data")
    monkeypatch.setattr(folder_reader.ImageTree, "path_of", locked)
    show_check(check_root(root))
    out = capsys.readouterr().out
    assert "can be used" in out
    assert "download" not in out
    assert "hint: some files or folders are not readable: check their permissions" in out
