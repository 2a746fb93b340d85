"""The native build: a machine without a compiler still installs, and says so once; a killed build is forgotten."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from sysconfig import get_config_var

import pytest

for needed in ("setuptools", "pybind11"):
    pytest.importorskip(needed)
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="needs the source tree")

MAKE = 'for last; do :; done; echo made > "$last"'
"""A compiler whose last argument is the file after -o."""


def source_tree(tmp_path):
    source = tmp_path / "source"
    if not source.exists():
        (source / "harness" / "matching").mkdir(parents=True)
        (source / "plugins").mkdir()
        shutil.copytree(ROOT / "csrc", source / "csrc")
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
    return source


def begin(tmp_path, compiler, **more):
    """A build of the native module with a compiler of one's own, and where its result will lie."""
    target, pipe = tmp_path / "built", subprocess.PIPE
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(target), "--build-temp", str(tmp_path)]
    environment = {**os.environ, "CXX": str(compiler), "HARNESS_CUDA": "0", "TMPDIR": str(tmp_path), **more}
    process = subprocess.Popen(
        command,
        cwd=source_tree(tmp_path),
        env=environment,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    )
    return process, target / "harness" / "matching"


def said(process):
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return [line for line in errors.splitlines() if line.startswith("harness:")]


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("compiler", ["/nonexistent/c++", "false"])
def test_no_compiler_is_one_line_and_no_failure(tmp_path, compiler):
    process, folder = begin(tmp_path, compiler)
    assert said(process) == [
        "harness: the native module could not be built: matching will run with scipy, several times slower."
    ]
    assert not list(folder.glob("_native*"))


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA is built on Linux")
@pytest.mark.parametrize(("temporary", "threads"), [("ab", True), ("a b", False)])
def test_nvcc_gets_the_compiler_behind_a_launcher_and_no_threads_in_a_folder_with_a_space(tmp_path, temporary, threads):
    """A toolkit made up here: its nvcc says how it was called."""
    compiler = script(tmp_path / "compiler", MAKE)
    home, folder = tmp_path / "cuda", tmp_path / temporary
    for made in (home / "bin", home / "lib64", folder):
        made.mkdir(parents=True)
    script(home / "bin" / "nvcc", f'echo "$@" >> {tmp_path}/said; {MAKE}')
    (home / "lib64" / "libcudart_static.a").touch()

    more = {"HARNESS_CUDA": "1", "CUDA_HOME": str(home), "TMPDIR": str(folder)}
    process, _ = begin(tmp_path, f"env SOME=thing {compiler}", **more)
    assert said(process) == [f"harness: native module built with CUDA from {home}."]
    calls = (tmp_path / "said").read_text().splitlines()
    assert len(calls) == len(list((ROOT / "csrc").glob("*.cu")))
    for call in calls:
        assert f"-ccbin {compiler} " in call
        assert ("--threads 0" in call) is threads


def test_a_killed_build_leaves_nothing_that_blocks_the_next(tmp_path):
    slow = script(tmp_path / "slow", f"touch {tmp_path}/began; sleep 600")
    process, folder = begin(tmp_path, slow)
    for _ in range(600):
        if (tmp_path / "began").exists():
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    folder.mkdir(parents=True, exist_ok=True)
    for moving in ("", ".123.partial"):  # killed while the module moved into place
        (folder / f"_native{get_config_var('EXT_SUFFIX')}{moving}").write_text("old")

    quick = script(tmp_path / "quick", MAKE)
    process, folder = begin(tmp_path, quick)
    assert said(process) == ["harness: native module built without CUDA."]
    (built,) = folder.iterdir()
    assert built.read_text() == "made\n"


def test_a_source_distribution_has_the_kernels(tmp_path):
    command = [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)]
    subprocess.run(command, cwd=source_tree(tmp_path), capture_output=True, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {Path(name).name for name in packed.getnames() if Path(name).parent.name == "csrc"}
    assert names == {path.name for path in (ROOT / "csrc").iterdir()}
