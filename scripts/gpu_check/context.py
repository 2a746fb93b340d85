"""What the steps of one check share: folders, the device, and the environment of their commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The working tree that is checked."""

SCRIPTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Context:
    """The settings of one check.

    Attributes:
        gpu: model of the GPU; None rehearses on the CPU.
        work: temporary folder, where commands run.
        out: folder of the results.
        site: folder where the package and the wheels are installed; None takes what this Python has.
        wheels: folder of carried wheels, or None.
    """

    gpu: str | None
    work: Path
    out: Path
    site: Path | None
    wheels: Path | None

    @property
    def device(self) -> str:
        """What the harness calls the device."""
        return "cuda" if self.gpu else "cpu"

    def environment(self) -> dict[str, str]:
        """Variables of every command: no network, nothing in the user's cache, the installed package first."""
        path = [str(SCRIPTS), *([str(self.site)] if self.site else []), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "PYTHONUNBUFFERED": "1",
            "HARNESS_CACHE": str(self.work / "cache"),
            "HF_HUB_OFFLINE": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "COLUMNS": "160",
        }

    def shown(self, text: str) -> str:
        """Text without the places of this machine, as the results keep it."""
        text = text.replace(sys.executable, "python")
        places = {self.work: "$WORK", self.out: "$OUT", self.site: "$SITE", self.wheels: "$WHEELS", ROOT: "."}
        names = {str(place): name for place, name in places.items() if place}
        names[os.path.relpath(ROOT, self.work)] = "."  # as pytest, which runs there, names its tests
        for place in sorted(names, key=len, reverse=True):
            text = re.sub(rf"{re.escape(place)}(?![\w.-])", names[place], text)
        return text


def find_gpu() -> str | None:
    """The model of the first GPU, such as ``NVIDIA H200``; None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return None
    names = done.stdout.strip().splitlines() if done.returncode == 0 else []
    return names[0].strip() if names else None
