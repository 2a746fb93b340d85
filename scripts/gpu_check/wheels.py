"""The packages that a bare machine with torch lacks: which, how to carry them, and their installation there.

``python -m gpu_check.wheels [DIR SITE]`` installs the wheels of a folder, and says which packages are still missing.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CARRIED = {
    "annotated-types": "0.8.0",
    "beartype": "0.23.1",
    "ftfy": "6.3.1",
    "jsonschema": "4.26.0",
    "jsonschema-specifications": "2025.9.1",
    "lapx": "0.11.1",
    "open-clip-torch": "3.3.0",
    "platformdirs": "4.14.8",
    "pydantic": "2.14.4",
    "pydantic-core": "2.50.5",
    "referencing": "0.37.0",
    "rpds-py": "2026.9.1",
    "typing-inspection": "0.4.5",
    "wcwidth": "0.9.4",
}
"""MissingArtifact on a machine that has torch, its usual companions and pytest: 11 MB of wheels. pydantic names the one
pydantic-core that it takes."""

EXPECTED = (
    *("torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "pillow", "matplotlib", "safetensors"),
    *("huggingface_hub", "regex", "tqdm", "pluggy", "typer", "rich", "filelock", "psutil", "threadpoolctl"),
    *("typing_extensions", "attrs", "pytest", "pytest-benchmark", "py-cpuinfo", "hypothesis", "jaxtyping"),
    *("setuptools", "pybind11", "ninja", "pip"),
)
"""Expected to be there; what is missing of these is carried in the same way."""

PYTHON = "3.12"
"""Version of the machine's Python where it is not known."""

PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")


def pinned() -> list[str]:
    """The packages to carry, as pip takes them."""
    return [f"{name}=={number}" for name, number in CARRIED.items()]


def missing() -> list[str]:
    """Packages that this Python lacks, as pip takes them."""
    return [
        f"{name}=={CARRIED[name]}" if name in CARRIED else name
        for name in (*CARRIED, *EXPECTED)
        if not any(map(_installed, (name, f"{name}2")))  # py-cpuinfo has become py-cpuinfo2
    ]


def download_line(packages: list[str], python: str = PYTHON) -> str:
    """The command that fetches wheels for a Linux machine (x86-64) with that Python, run where there is a network."""
    platforms = " ".join(f"--platform {platform}_x86_64" for platform in PLATFORMS)
    return (
        f"python -m pip download --no-deps --only-binary=:all: --python-version {python} --implementation cp "
        f"{platforms} -d wheels {' '.join(packages)}"
    )


def install(wheels: Path, site: Path) -> int:
    """Install every wheel of a folder into another folder, without a network; pip's exit status."""
    files = sorted(map(str, wheels.glob("*.whl")))
    if not files:
        print(f"there is no wheel in {wheels}")
        return 1
    options = ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade", "--target", str(site)]
    return subprocess.run([sys.executable, "-m", "pip", "install", "-q", *options, *files], check=False).returncode


def main(arguments: list[str]) -> int:
    """Install the wheels of a folder if one is given; 1 if something failed or is missing."""
    failed = install(*map(Path, arguments)) if arguments else 0
    lacking = missing()  # this Python sees the folder of the installation through PYTHONPATH
    if lacking:
        print(f"missing: {', '.join(lacking)}")
        print(download_line(lacking, f"{sys.version_info[0]}.{sys.version_info[1]}"))
    else:
        print("nothing is missing")
    return 1 if failed or lacking else 0


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
