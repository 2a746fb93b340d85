"""The native build: a machine without a compiler still installs, and says so once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("setuptools")
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="needs the source tree")


def build(tmp_path, compiler):
    source = tmp_path / "source"
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        source.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source)
    (source / "csrc").symlink_to(ROOT / "csrc")
    (source / "harness" / "matching").mkdir(parents=True)
    (source / "plugins").mkdir()
    target = tmp_path / "built"
    stale = target / "harness" / "matching" / "_native.stale.so.123.partial"
    stale.parent.mkdir(parents=True)
    stale.write_text("what a killed build might leave")
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(target), "--build-temp", str(tmp_path)]
    environment = {**os.environ, "CXX": compiler, "HARNESS_CUDA": "0"}
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False), target


@pytest.mark.parametrize("compiler", ["/nonexistent/c++", "false"])
def test_no_compiler_is_one_line_and_no_failure(tmp_path, compiler):
    done, target = build(tmp_path, compiler)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("harness:")]
    assert said == [
        "harness: the native module could not be built: matching will run with scipy, several times slower."
    ]
    assert not [path for path in target.rglob("_native*") if path.suffix == ".so"]
