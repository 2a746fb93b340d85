"""What a step's output and files say, as plain JSON, and in a few words for the summary."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple


class Found(NamedTuple):
    """Figures of a step, and a line about them."""

    figures: Any
    line: str


class NothingFound(Exception):  # noqa: N818 - what a command without a failure may still come to
    """A command that ended well did not do what it was there for."""


COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|deselected)\b")


def tests(output: str) -> Found:
    """Counts of a pytest run; of one that was stopped, the tests until then and the last that began.

    Raises:
        NothingFound: no test passed, as where all were skipped.
    """
    lines = output.splitlines()
    ends = [line for line in lines if re.match(r"=+ .*\bin [\d.]+s", line)]
    if ends:
        counts = {name.rstrip("s") if name.startswith("error") else name: int(n) for n, name in COUNT.findall(ends[-1])}
        slow = [line.strip() for line in lines if re.match(r"\s*[\d.]+s (call|setup)\b", line)]
        found = Found({**counts, "slowest": slow}, ", ".join(f"{n} {name}" for name, n in counts.items()))
    else:
        done = [line for line in lines if re.search(r" PASSED\b", line)]
        begun = [line for line in lines if "::" in line]
        last = begun[-1] if begun else "no test began"
        counts = {"passed": len(done)}
        found = Found({**counts, "last": last}, f"{len(done)} passed, then {last}")
    if not counts.get("passed"):
        raise NothingFound(f"no test passed ({found.line or 'none ran'})")
    return found


def sanitizer(output: str) -> Found:
    """The summary of compute-sanitizer, with the tests that ran under it."""
    summaries = re.findall(r"=+ ((?:ERROR|RACECHECK) SUMMARY: .*)", output)
    if not summaries:
        raise NothingFound("compute-sanitizer gave no summary")
    ran = tests(output)
    return Found({**ran.figures, "summary": summaries}, f"{ran.line}, {summaries[-1].partition(': ')[2]}")


def last_json(output: str) -> Any:
    """The last line of an output that is a JSON object."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                continue
    raise NothingFound("the command printed no figures")


def machine(output: str) -> Found:
    """What the machine is."""
    found = last_json(output)
    torch, device = found["torch"], found["torch"]["device"]
    return Found(found, f"{device or 'no CUDA device'}, torch {torch['version']}, {found['cores']} cores")


def said(output: str) -> Found:
    """The last line of a command without figures."""
    lines = [line for line in output.splitlines() if line.strip()]
    return Found(None, lines[-1] if lines else "")


def missing(output: str) -> Found:
    """Which packages are missing."""
    lines = [line for line in output.splitlines() if line.startswith(("missing:", "nothing is missing"))]
    if not lines:
        raise NothingFound("the packages were not looked for")
    return Found({"missing": re.findall(r"[\w.=-]+", lines[-1].partition(":")[2])}, lines[-1])


def matching(file: Path) -> Found:
    """The rows of ``harness bench matching``."""
    rows = _read(file)["rows"]
    names = {f"{row['batch']}x{row['n']}": row["ours_ms"] for row in rows}
    return Found(rows, "ms: " + ", ".join(f"{name} {taken:.3g}" for name, taken in names.items()))


def autotune(file: Path) -> Found:
    """The table of ``harness bench autotune``."""
    cases = _read(file)["cases"]
    fastest = [min(case["milliseconds"], key=case["milliseconds"].get) for case in cases]
    won = ", ".join(f"{name} {fastest.count(name)}" for name in sorted(set(fastest)))
    return Found(cases, f"fastest of {len(cases)} sizes: {won}")


def benchmark(file: Path) -> Found:
    """What pytest-benchmark wrote: the extra figures of every test."""
    tests = {one["name"]: one["extra_info"] for one in _read(file)["benchmarks"]}
    steps = [
        f"{name.partition('[')[2].rstrip(']')}{key.removeprefix('ms a step')} {value}"
        for name, extra in tests.items()
        for key, value in extra.items()
        if key.startswith("ms a step")
    ]
    return Found(tests, f"ms a step: {'; '.join(steps)}")


def runs(output: str) -> Found:
    """What `compare_runs` found."""
    found = last_json(output)
    same = "the same bytes twice" if found["same_bytes"] else "OTHER BYTES the second time"
    return Found(found, f"{same}, {found['different']} of {found['predictions']} predictions differ from the CPU's")


def encoding(output: str) -> Found:
    """Images a second."""
    found = last_json(output)
    memory = ", ".join(f"{name} {rate:.0f}" for name, rate in found["encoded_from_memory"].items())
    files = ", ".join(f"{threads} threads {rate:.0f}" for threads, rate in found["encoded_from_files"].items())
    return Found(found, f"images/s from memory {memory}; from files {files}")


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise NothingFound(f"the command wrote no {file.name}") from None
