"""What ``import harness`` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import harness


def test_import_loads_neither_torch_nor_pandas():
    code = (
        "import sys, harness\n"
        "harness.Method, harness.Needs, harness.Task, harness.Vocabulary, harness.hookimpl\n"
        "harness.File, harness.HarnessError\n"
        "print(*sorted({'torch', 'open_clip', 'pandas', 'scipy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_public_name_is_listed_and_resolves():
    assert [name for name in dir(harness) if not name.startswith("__")] == sorted(harness.__all__)
    assert {name for name in harness.__all__ if getattr(harness, name).__module__.startswith("harness")} == set(
        harness.__all__
    ) - {"hookimpl"}
    assert harness.hookimpl.project_name == "harness"


def test_unknown_name_is_an_attribute_error():
    assert not hasattr(harness, "evalute")
