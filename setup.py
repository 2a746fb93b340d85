"""Packages, and the native module. All other metadata stands in pyproject.toml.

harness/ is installed as `harness`, plugins/ as `harness_plugins`, csrc/ as the extension `harness.matching._native`:
with CUDA where a toolkit is found (HARNESS_CUDA=0 leaves it out), in C++ alone otherwise, and without a compiler not at
all; the package then matches with scipy. Objects live in a temporary folder and the finished module is moved into
place, so that a build that was killed leaves nothing behind that a later one could trip over.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

CPP = [
    "csrc/similarity.cpp",
    "csrc/product_doubles.cpp",
    "csrc/product_pairs.cpp",
    "csrc/assign.cpp",
    "csrc/ties.cpp",
    "csrc/match_cpu.cpp",
    "csrc/binding.cpp",
]
SOURCES = sorted(map(str, Path("csrc").glob("*")))
CUDA = [source for source in SOURCES if source.endswith(".cu")]
GPUS = [
    "arch=compute_80,code=sm_80",
    "arch=compute_90,code=sm_90",
    "arch=compute_90,code=compute_90",
]  # the last is PTX


def cuda_toolkit():
    """The folder of a CUDA toolkit, or None. `nvcc` on PATH may be a wrapper, so the static runtime is what counts."""
    if os.environ.get("HARNESS_CUDA") == "0" or not CUDA or not sys.platform.startswith("linux"):
        return None
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    homes += [str(parent) for parent in Path(nvcc).resolve().parents[1:3]] if nvcc else []
    homes += sorted(map(str, Path("/usr/local").glob("cuda-*")), reverse=True)
    for home in filter(None, homes):
        if cudart(Path(home)) and (Path(home) / "bin" / "nvcc").is_file():
            return Path(home)
    return None


def cudart(home):
    """The folder of the static CUDA runtime inside a toolkit, or None."""
    for folder in ("lib64", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib", "lib"):
        if (home / folder / "libcudart_static.a").is_file():
            return home / folder
    return None


def behind_launchers(command):
    """The compiler itself in a command such as `ccache g++` or `env CCACHE_DISABLE=1 g++`: nvcc takes no launcher."""
    launchers = ("ccache", "sccache", "distcc", "icecc", "env", "nice")
    return next((word for word in command if Path(word).name not in launchers and "=" not in word), command[0])


class BuildNative(build_ext):
    """Compile csrc/ in parallel; a failure is one line, not the end of the installation."""

    def build_extension(self, ext):
        target = Path(self.get_ext_fullpath(ext.name)).absolute()
        for old in target.parent.glob(f"{target.name}*"):  # a module of older sources is worse than none
            old.unlink(missing_ok=True)
        toolkit = cuda_toolkit()
        for home in [toolkit, None] if toolkit else [None]:
            try:
                self.compile(target, home)
            except (ImportError, OSError, subprocess.CalledProcessError) as error:
                print(getattr(error, "stderr", None) or error, file=sys.stderr)
                lost = "the CUDA part" if home else "the native module"
                then = "trying C++ alone" if home else "matching will run with scipy, several times slower"
                print(f"harness: {lost} could not be built: {then}.", file=sys.stderr)
            else:
                print(
                    f"harness: native module built {f'with CUDA from {home}' if home else 'without CUDA'}.",
                    file=sys.stderr,
                )
                return

    def compile(self, target, toolkit):
        import pybind11

        cxx = shlex.split(os.environ.get("CXX", "")) or [shutil.which("c++") or shutil.which("g++") or "c++"]
        include = [f"-I{path}" for path in ("csrc", pybind11.get_include(), sysconfig.get_path("include"))]
        flags = ["-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-pthread", *include]
        quiet = ["-Wall", "-Wno-psabi"]
        with tempfile.TemporaryDirectory(prefix="harness-build-") as folder:
            jobs = [[*cxx, *flags, *quiet, "-c", source] for source in CPP]
            libraries = []
            if toolkit:
                jobs = [[*job, "-DHARNESS_WITH_CUDA", f"-I{toolkit}/include"] for job in jobs]
                gpus = [part for gpu in GPUS for part in ("-gencode", gpu)]
                host = ["-Xcompiler", "-fPIC,-fvisibility=hidden", "-ccbin", behind_launchers(cxx)]
                # with threads, nvcc loses temporary files of its own in a folder with a space in its name
                threads = [] if " " in folder else ["--threads", "0"]
                nvcc = [f"{toolkit}/bin/nvcc", "-O3", "-std=c++17", *threads, *gpus, *host, "-Icsrc"]
                jobs += [[*nvcc, "-c", source] for source in CUDA]
                libraries = [f"{cudart(toolkit)}/libcudart_static.a", "-ldl", "-lrt"]
            objects = [f"{folder}/{index}.o" for index in range(len(jobs))]
            with ThreadPoolExecutor() as pool:
                list(pool.map(self.call, [[*job, "-o", out] for job, out in zip(jobs, objects, strict=True)]))
            shared = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
            built = Path(folder) / target.name
            self.call([*cxx, *shared, "-pthread", *objects, *libraries, "-o", str(built)])
            target.parent.mkdir(parents=True, exist_ok=True)
            arriving = target.with_name(f"{target.name}.{os.getpid()}.partial")
            shutil.copy(built, arriving)
            arriving.replace(target)

    @staticmethod
    def call(command):
        subprocess.run(command, check=True, capture_output=True, text=True)


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
