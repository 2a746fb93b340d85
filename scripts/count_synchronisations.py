"""Count the synchronisations of the CUDA kernels on the emulator: the chain of steps that a GPU has to wait for.

    python scripts/count_synchronisations.py 113 200 1000  # n = m of CLIP-like problems; 1,000 takes half a minute
    python scripts/count_synchronisations.py 900x1000 --seeds 3 --dimension 64

Means over seeds of the maximum over blocks, warps and grid. A round of the auction is one barrier of
the grid (in the fused kernel, two of the block), a step of a path search one barrier of the block (there, one ballot).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.matching import instances
from tests.matching.emulator.device import Emulator, build


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="+", help="N or NxM")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--instances", choices=sorted(instances.GENERATORS), default="clip_like")
    wanted = parser.parse_args()
    table = Table("n", "m", "kernel", "barriers", "(grid)", "warp reductions", "ballots")
    with tempfile.TemporaryDirectory() as folder, Emulator(build("plain", Path(folder))) as emulator:
        for size in wanted.sizes:
            n, m = (int(part) for part in (size.split("x") * 2)[:2])
            for kernel in ("fused", "large") if max(n, m) <= 226 else ("large",):
                counted: dict[str, list[list[int]]] = {}
                for seed in range(wanted.seeds):
                    p, t = instances.GENERATORS[wanted.instances](seed, 1, n, m, wanted.dimension)
                    for launch in emulator.match(kernel, p, t)[1]:
                        names = ("__syncthreads", "grid.sync", "__reduce_min_sync", "__ballot_sync")
                        counted.setdefault(launch.kernel, []).append([launch.synchronisations[name] for name in names])
                for name, rows in counted.items():
                    table.add_row(str(n), str(m), name, *(f"{mean:.0f}" for mean in np.mean(rows, axis=0)))
    Console().print(table)


if __name__ == "__main__":
    main()
