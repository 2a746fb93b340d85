"""Packages, and the native module; all other metadata is in pyproject.toml.

harness/ is installed as `harness`, plugins/ as `harness_plugins`, csrc/ as the extension `harness.matching._native`:
with CUDA where a toolkit is found (HARNESS_CUDA=0 leaves it out), in C++ alone otherwise. Without a compiler there is
no extension: matching runs with scipy, and captions are counted in Python. Ninja compiles in build/native and
recompiles only what changed.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

SOURCES = sorted(path.as_posix() for path in Path("csrc").rglob("*.*"))
BINDINGS = ("csrc/binding.cpp", "csrc/corpus/binding.cpp", "csrc/text/binding.cpp")
SOURCES_FILE = "build/native/sources.cpp"
FLAGS = ("-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-pthread", "-Wall", "-Wno-psabi", "-Icsrc")
GPUS = ("sm_80", "sm_90", "compute_90")  # the last is PTX
LAUNCHERS = ("ccache", "sccache", "distcc", "icecc", "env", "nice")

RULES = """
ninja_required_version = 1.5
rule compile
  command = $compiler -MMD -MF $out.d -c $in -o $out
  depfile = $out.d
  deps = gcc
rule link
  command = $linker $in $libraries -o $out
"""


def cuda_toolkit():
    """The folder of a CUDA toolkit, or None. `nvcc` on PATH can be a wrapper, so the static runtime decides."""
    if os.environ.get("HARNESS_CUDA") == "0" or not sys.platform.startswith("linux"):
        return None
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    homes += [str(parent) for parent in Path(nvcc).resolve().parents[1:3]] if nvcc else []
    homes += sorted(map(str, Path("/usr/local").glob("cuda-*")), reverse=True)
    for home in map(Path, filter(None, homes)):
        if static_runtime(home) and (home / "bin" / "nvcc").is_file():
            return home
    return None


def static_runtime(home):
    """The static CUDA runtime of a toolkit, or None."""
    folders = ("lib64", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib", "lib")
    files = [home / folder / "libcudart_static.a" for folder in folders]
    return next((file for file in files if file.is_file()), None)


def ninja_command():
    """Ninja of the package of that name, else the one on PATH."""
    try:
        import ninja
    except ImportError:
        return "ninja"
    return Path(ninja.BIN_DIR, "ninja")


def cxx_command():
    """The C++ compiler, with launchers such as `ccache` before it."""
    return shlex.split(os.environ.get("CXX", "")) or [shutil.which("c++") or shutil.which("g++") or "c++"]


def without_launchers(command):
    """The compiler itself in a command such as `env CCACHE_DISABLE=1 ccache g++`: nvcc takes no launcher."""
    return next((word for word in command if Path(word).name not in LAUNCHERS and "=" not in word), command[0])


def nvcc_command(toolkit):
    """nvcc for all of GPUS. With threads it fails in a temporary folder with a space in its name."""
    threads = [] if " " in tempfile.gettempdir() else ["--threads", "0"]
    host = ["-Xcompiler", "-fPIC,-fvisibility=hidden", "-ccbin", without_launchers(cxx_command())]
    gpus = [f"-gencode=arch=compute_{gpu[-2:]},code={gpu}" for gpu in GPUS]
    return [f"{toolkit}/bin/nvcc", "-O3", "-std=c++17", *threads, *gpus, *host, "-Icsrc"]


def sources_file():
    """A source file with the sha256 over csrc/, which cells record: the order of their sums depends on the code."""
    digest = hashlib.sha256()
    for source in SOURCES:
        content = Path(source).read_bytes()
        digest.update(f"{source} {len(content)} ".encode() + content)
    return f'#include "common.hpp"\nnamespace harness {{ const char* const sources = "{digest.hexdigest()}"; }}\n'


def build_file(module, toolkit):
    """The text of build.ninja for a module of this name. Only the bindings depend on Python, pybind11 and CUDA."""
    import pybind11

    cxx = cxx_command()
    compiler = [*cxx, *FLAGS]
    binding = [*compiler, f"-I{pybind11.get_include()}", f"-I{sysconfig.get_path('include')}"]
    libraries = []
    if toolkit:
        binding += ["-DHARNESS_WITH_CUDA", f"-I{toolkit}/include"]
        libraries = [str(static_runtime(toolkit)), "-ldl", "-lrt"]
    commands = {source: binding if source in BINDINGS else compiler for source in SOURCES if source.endswith(".cpp")}
    commands[SOURCES_FILE] = compiler
    commands |= {source: nvcc_command(toolkit) for source in SOURCES if toolkit and source.endswith(".cu")}
    shared = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    lines = [RULES, "builddir = build/native"]
    for source, command in commands.items():
        lines += [f"build {object_file(source)}: compile {source}", f"  compiler = {shell(command)}"]
    lines += [f"build build/native/{module}: link {' '.join(map(object_file, commands))}"]
    lines += [f"  linker = {shell([*cxx, *shared, '-pthread'])}", f"  libraries = {shell(libraries)}", ""]
    return "\n".join(lines)


def object_file(source):
    """Where a source is compiled to."""
    return f"build/native/{source}.o"


def shell(words):
    """Words for a command of build.ninja, quoted for the shell and for Ninja."""
    return shlex.join(words).replace("$", "$$")


def write_if_changed(path, text):
    """Write a file unless it has this text already, so that Ninja does not compile it again."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


class BuildNative(build_ext):
    """Compile csrc/ with Ninja; a failure is one line and does not end the installation."""

    def build_extension(self, ext):
        target = Path(self.get_ext_fullpath(ext.name)).absolute()
        for old in target.parent.glob(f"{target.name}*"):  # a module of older sources is worse than none
            old.unlink(missing_ok=True)
        toolkit = cuda_toolkit()
        for home in [toolkit, None] if toolkit else [None]:
            try:
                self.compile(target, home)
            except (ImportError, OSError, subprocess.CalledProcessError) as error:
                print(getattr(error, "stdout", None) or error, file=sys.stderr)
                lost = "the CUDA part" if home else "the native module"
                then = "trying C++ alone" if home else "matching will run with scipy, several times slower"
                print(f"harness: {lost} could not be built: {then}.", file=sys.stderr)
            else:
                cuda = f"with CUDA from {home}" if home else "without CUDA"
                print(f"harness: native module built {cuda}.", file=sys.stderr)
                return

    def compile(self, target, toolkit):
        """Build the module in build/native, then move a copy into place at once."""
        folder = Path("build/native")
        folder.mkdir(parents=True, exist_ok=True)
        write_if_changed(Path(SOURCES_FILE), sources_file())
        (folder / "build.ninja").write_text(build_file(target.name, toolkit), encoding="utf-8")
        command = [ninja_command(), "-f", folder / "build.ninja"]
        subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        arriving = target.with_name(f"{target.name}.{os.getpid()}.partial")
        shutil.copy(folder / target.name, arriving)
        arriving.replace(target)


plugins = find_packages("plugins")

setup(
    packages=[
        *find_packages(include=["harness", "harness.*"]),
        "harness_plugins",
        *(f"harness_plugins.{name}" for name in plugins),
    ],
    package_dir={"harness_plugins": "plugins"},
    include_package_data=False,
    package_data={
        "harness": ["py.typed", *(f"**/*.{kind}" for kind in ("json", "safetensors", "txt", "html", "css", "js"))],
    },
    ext_modules=[Extension("harness.matching._native", sources=[], depends=SOURCES, optional=True)],
    cmdclass={"build_ext": BuildNative},
)
