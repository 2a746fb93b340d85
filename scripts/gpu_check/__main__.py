"""``python scripts/gpu_check``: needs Python 3.10 and nothing else; README.md in this folder says how to call it."""

import sys
from pathlib import Path


def run() -> int:
    """Import the package from the folder above, and run it."""
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from gpu_check.command import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
