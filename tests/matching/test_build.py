"""The native build: incremental, safe to interrupt, and optional where a compiler is missing."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_config_var

import pytest

for needed in ("setuptools", "pybind11"):
    pytest.importorskip(needed)
ROOT = Path(__file__).parents[2]
CSRC = ROOT / "csrc"
pytestmark = [
    pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="needs the source tree"),
    pytest.mark.skipif(find_spec("ninja") is None and shutil.which("ninja") is None, reason="needs ninja"),
]

MAKE = 'for last; do :; done; echo made > "$last"'
"""A compiler whose last argument is the file after -o."""

FAILED = "harness: the native module could not be built: matching will run with scipy, several times slower."
BUILT = "harness: native module built without CUDA."


def source_tree(tmp_path):
    source = tmp_path / "source tree"
    if not source.exists():
        (source / "harness" / "matching").mkdir(parents=True)
        (source / "plugins").mkdir()
        shutil.copytree(CSRC, source / "csrc")
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
    return source


def begin(tmp_path, compiler, **more):
    """Start a build with this compiler; returns the process and the folder of the module."""
    target, pipe = tmp_path / "built", subprocess.PIPE
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(target)]
    environment = {**os.environ, "CXX": f"'{compiler}'", "HARNESS_CUDA": "0", **more}
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


def outcome(process):
    """The lines that a finished build prints for the user."""
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return [line for line in errors.splitlines() if line.startswith("harness:")]


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("compiler", ["/nonexistent/c++", "false"])
def test_missing_compiler_prints_one_line_and_does_not_fail(tmp_path, compiler):
    process, folder = begin(tmp_path, compiler)
    assert outcome(process) == [FAILED]
    assert not list(folder.glob("_native*"))


def test_missing_ninja_prints_one_line_and_does_not_fail(tmp_path):
    (tmp_path / "ninja.py").write_text("raise ImportError")
    compiler = script(tmp_path / "compiler", MAKE)
    process, folder = begin(tmp_path, compiler, PATH=str(tmp_path / "nothing"), PYTHONPATH=str(tmp_path))
    assert outcome(process) == [FAILED]
    assert not list(folder.glob("_native*"))


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_second_build_compiles_only_what_changed(tmp_path):
    """The compiler preprocesses, which writes the same dependencies in less time."""
    calls = tmp_path / "calls"
    preprocess = (
        f'for last; do :; done; echo "$last" >> {calls}; case " $* " in *" -c "*) exec c++ -E "$@";; esac; {MAKE}'
    )
    compiler = script(tmp_path / "compiler", preprocess)

    def compiled():
        calls.write_text("")
        process, folder = begin(tmp_path, compiler)
        assert outcome(process) == [BUILT]
        assert [path.read_text() for path in folder.iterdir()] == ["made\n"]
        return {Path(line).name.partition(".cpp")[0] for line in calls.read_text().splitlines()}

    module = f"_native{get_config_var('EXT_SUFFIX')}"
    assert compiled() == {path.stem for path in CSRC.rglob("*.cpp")} | {"sources", module}
    assert compiled() == set()
    with (source_tree(tmp_path) / "csrc" / "cpu" / "ties.hpp").open("a") as header:
        header.write("// changed\n")
    assert compiled() == {"assign", "ties", "sources", module}


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA is built on Linux")
@pytest.mark.parametrize(("temporary", "threads"), [("ab", True), ("a b", False)])
def test_nvcc_gets_no_launcher_and_no_threads_in_a_folder_with_a_space(tmp_path, temporary, threads):
    """With an invented toolkit, whose nvcc records its arguments."""
    compiler = script(tmp_path / "compiler", MAKE)
    home, folder = tmp_path / "cuda", tmp_path / temporary
    for made in (home / "bin", home / "lib64", folder):
        made.mkdir(parents=True)
    script(home / "bin" / "nvcc", f'echo "$@" >> {tmp_path}/calls; {MAKE}')
    (home / "lib64" / "libcudart_static.a").touch()

    more = {"HARNESS_CUDA": "1", "CUDA_HOME": str(home), "TMPDIR": str(folder), "CXX": f"env SOME=thing {compiler}"}
    process, _ = begin(tmp_path, compiler, **more)
    assert outcome(process) == [f"harness: native module built with CUDA from {home}."]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == len(list(CSRC.rglob("*.cu")))
    for call in calls:
        assert f"-ccbin {compiler} " in call
        assert ("--threads 0" in call) is threads


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA is built on Linux")
def test_failing_nvcc_falls_back_to_cpp(tmp_path):
    home = tmp_path / "cuda"
    for made in (home / "bin", home / "lib64"):
        made.mkdir(parents=True)
    script(home / "bin" / "nvcc", "exit 1")
    (home / "lib64" / "libcudart_static.a").touch()
    compiler = script(tmp_path / "compiler", MAKE)
    process, folder = begin(tmp_path, compiler, HARNESS_CUDA="1", CUDA_HOME=str(home))
    assert outcome(process) == ["harness: the CUDA part could not be built: trying C++ alone.", BUILT]
    assert len(list(folder.iterdir())) == 1


def test_build_after_a_killed_one_starts_clean(tmp_path):
    started = tmp_path / "started"
    started.mkdir()
    write_half = 'for last; do :; done; echo half > "$last"'
    slow = script(tmp_path / "slow", f"{write_half}; touch {started}/$$; exec sleep 600")
    process, folder = begin(tmp_path, slow)
    for _ in range(600):
        if any(started.iterdir()):
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(0.3)  # for compilers that had just been started
    for compiling in started.iterdir():  # Ninja starts each compiler in a process group of its own
        os.kill(int(compiling.name), signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("", ".123.partial"):  # as left by a build killed while the module was copied
        (folder / f"_native{get_config_var('EXT_SUFFIX')}{suffix}").write_text("old")

    script(slow, MAKE)
    process, folder = begin(tmp_path, slow)
    assert outcome(process) == [BUILT]
    assert [path.read_text() for path in folder.iterdir()] == ["made\n"]
    objects = list((source_tree(tmp_path) / "build").rglob("*.o"))
    assert {path.read_text() for path in objects} == {"made\n"}
    assert len(objects) == len(list(CSRC.rglob("*.cpp"))) + 1  # and the digest of the sources


def test_source_distribution_contains_csrc(tmp_path):
    command = [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)]
    subprocess.run(command, cwd=source_tree(tmp_path), capture_output=True, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {
            name.partition("/csrc/")[2] for name in packed.getnames() if "/csrc/" in name and "." in Path(name).name
        }
    assert names == {path.relative_to(CSRC).as_posix() for path in CSRC.rglob("*.*")}
