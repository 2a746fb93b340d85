"""Install the package of the working tree with its CUDA kernels, unless it is installed already.

``python -m gpu_check.build [SITE]`` says which solver the installed package has; without SITE nothing is installed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gpu_check.context import ROOT

SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "harness", "plugins", "csrc")
STAMP = "csrc.sha256"

ASK = "from harness.matching import native as n; print('cuda' if n.has_cuda() else 'c++' if n.has_cpp() else 'scipy')"


def solver() -> str:
    """What the installed package matches with: ``cuda``, ``c++`` or ``scipy``; empty where it is not installed."""
    done = subprocess.run([sys.executable, "-c", ASK], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip()


def up_to_date(site: Path) -> bool:
    """Whether a folder holds the package as the working tree has it, with CUDA.

    A given wheel contains no C++ sources; its module is assumed to be of this tree when it is first used.
    """
    for name, installed in (("harness", "harness"), ("plugins", "harness_plugins")):
        for file in (ROOT / name).rglob("*.py"):
            there = site / installed / file.relative_to(ROOT / name)
            if not there.is_file() or there.read_bytes() != file.read_bytes():
                return False
    stamp = site / STAMP
    return (not stamp.is_file() or stamp.read_text() == sources_digest()) and solver() == "cuda"


def sources_digest() -> str:
    """sha256 of what the native module is built from."""
    digest = hashlib.sha256()
    for file in [ROOT / "setup.py", *sorted((ROOT / "csrc").rglob("*"))]:
        digest.update(file.name.encode() + (file.read_bytes() if file.is_file() else b""))
    return digest.hexdigest()


def install(site: Path) -> int:
    """Build and install without a network, from a copy, so that the tree stays clean; pip's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SOURCES:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("*.so", "__pycache__"))
            else:
                shutil.copy(ROOT / name, folder)
        options = ["--no-index", "--no-deps", "--no-build-isolation", "--no-compile", "--upgrade"]
        command = [sys.executable, "-m", "pip", "install", "-v", *options, "--target", str(site), folder]
        return subprocess.run(command, check=False).returncode


def main(arguments: list[str]) -> int:
    """Install where a folder is given; 1 where there are no CUDA kernels after that."""
    if arguments:
        site = Path(arguments[0])
        if up_to_date(site):
            print("the package is installed as the working tree has it")
        elif (status := install(site)) != 0:
            return status
        (site / STAMP).write_text(sources_digest())
    found = solver()
    print(f"solver: {found or 'none'}")
    return 0 if found == "cuda" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
