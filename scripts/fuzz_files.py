"""Damage files of every kind at random and read each with the code that reads it: no trace, no hang, no belief.

    python scripts/fuzz_files.py --count 2000
    python scripts/fuzz_files.py --count 500 --kind labels --kind shard --seed 7

Every kind starts from true files of a small results folder. A finding is a trace, ten seconds or more, a control
character in the output, or a file that is believed although its name or its digest should have betrayed it. The same
seed gives the same files; ``--keep`` writes those with a finding into a folder. Exit code 1 if there is a finding.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the small results folder is that of the tests

import typer

from harness.errors import HarnessError
from scripts.file_readers import Samples
from scripts.mutations import mutate

SECONDS = 10
"""Longest time of this process for one file."""

WAIT = 60
"""Longest time in all, also waiting; a busy machine is slower."""

MEMORY = 6 << 30


class Hang(BaseException):
    """Raised in the reading code when its time is over."""


@dataclass
class Findings:
    """What fell, by kind."""

    files: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    found: dict[str, list[str]] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)
    seconds: Counter[str] = field(default_factory=Counter)


def fuzz(samples: Samples, kind: str, count: int, seed: int, findings: Findings, keep: Path | None = None) -> None:
    """Read damaged files of one kind."""
    contents, read = samples.kinds[kind]
    for original in contents:  # a true file is accepted, or this would find nothing
        read(original, original)
    for number in range(count):
        rng = random.Random(f"{seed}/{kind}/{number}")
        original = rng.choice(contents)
        content = mutate(original, rng)
        began = time.process_time()
        finding = None
        signal.alarm(WAIT)
        try:
            finding = read(content, original)
        except HarnessError:
            findings.refused[kind] += 1
        except Hang:
            finding = f"it takes more than {WAIT} s"
        except (Exception, SystemExit):
            finding = traceback.format_exc(limit=-4)
        finally:
            signal.alarm(0)
        took = time.process_time() - began
        if finding is None and took > SECONDS:
            finding = f"it takes {took:.0f} s"
        findings.files[kind] += 1
        findings.seconds[kind] += took  # type: ignore[assignment]
        findings.slowest[kind] = max(took, findings.slowest.get(kind, 0))
        if finding is not None:
            print(f"{kind} {number}: {finding}", file=sys.stderr, flush=True)
            findings.found.setdefault(kind, []).append(f"number {number}: {finding}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{kind}-{number}").write_bytes(content)


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Bound time and memory of the reading code, and build the command line once."""

    def stop(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop), typer.main.get_command
    typer.main.get_command = cache(typer.main.get_command)  # the commands are built once, and not for each file
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        signal.signal(signal.SIGALRM, before[0])
        typer.main.get_command = before[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="files of each kind")
    parser.add_argument("--kind", action="append", help="only these kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files with a finding")
    options = parser.parse_args()
    findings = Findings()
    with tempfile.TemporaryDirectory() as folder, watched():
        samples = Samples(Path(folder))
        for kind in options.kind or samples.kinds:
            fuzz(samples, kind, options.count, options.seed, findings, options.keep)
            found = findings.found.get(kind, [])
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(
                f"{kind}: {findings.files[kind]} files, {findings.refused[kind]} refused, {len(found)} findings, "
                f"slowest {findings.slowest[kind]:.1f} s, {findings.seconds[kind]:.0f} s in all, peak {peak:.1f} GB",
                flush=True,
            )
            for text, times in Counter(one.partition(": ")[2] for one in found).most_common(12):
                print(f"  {times} times: {text}", flush=True)
    return 1 if findings.found else 0


if __name__ == "__main__":
    sys.exit(main())
