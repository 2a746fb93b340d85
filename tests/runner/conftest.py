"""A small run that tests of the runner share."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.progress import NullReporter
from harness.runner.plan import Plan, make_plan
from harness.runner.request import MethodChoice, Request

from ..datasets.roots import make_root


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    root = make_root(tmp_path / "root", {"Animals3_OOP": ("auk", "ibex", "moth"), "Animals1_IP": ("cat",)})
    methods = (MethodChoice("zero_shot"), MethodChoice("tip_adapter"))
    request = Request(methods, data=root, backbone="beyond-mini", out=tmp_path / "out", cache=tmp_path / "cache")
    return make_plan(request, NullReporter())
