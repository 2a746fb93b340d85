"""The command: what to run, within which time, and what is said at its end."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from gpu_check import wheels
from gpu_check.context import ROOT, Context, find_gpu
from gpu_check.process import GRACE
from gpu_check.report import NO_GPU, NOT_RUN, STOPPED, TIMED_OUT, Report, file_name
from gpu_check.runner import run_step
from gpu_check.steps import GROUPS, PREPARATION, STEPS, Step

LEAST = 5.0
"""Seconds below which no step is begun."""

PATIENCE = 4
"""How many times its limit a step may take where it is rehearsed: two busy cores take so long."""

BUILD = ROOT / "build" / "gpu_check"
BENCHMARKS = ROOT / "leaderboards" / "benchmarks"


class Stopped(BaseException):
    """A signal asks this process to end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check: 0 if all passed, 1 if something did not, 2 if there is no GPU or no such step."""
    options = _options(arguments)
    if options.list:
        print("\n".join(_listing()))
        return 0
    gpu = None if options.without_gpu else find_gpu()
    if gpu is None and not options.without_gpu:
        print("This machine has no NVIDIA GPU; --without-gpu rehearses the steps that work on a CPU.", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    files = [options.out / file_name(gpu), *([BENCHMARKS / file_name(gpu)] if gpu else [])]
    chosen = [s for s in STEPS if not options.only or s.name in (*options.only, *PREPARATION)]
    report = Report(files, gpu, [step.name for step in STEPS], [step.name for step in chosen])
    with tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as work:
        site = None if options.installed else options.site.resolve()
        carried = options.wheels.resolve() if options.wheels else None
        context = Context(gpu, Path(work).resolve(), options.out.resolve(), site, carried)
        state = _run(chosen, context, report, time.monotonic() + options.seconds - 2 * GRACE)
    status = report.finish(state)
    print(f"\nresults: {', '.join(map(str, files))}")
    print("\n".join(report.summary([(group, [s.name for s in STEPS if s.group == group]) for group in GROUPS])))
    return status


def _run(steps: Sequence[Step], context: Context, report: Report, deadline: float) -> str:
    """Run steps until the deadline; how it ended."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {each: signal.signal(each, stop) for each in signals}
    running = ""
    try:
        for step in steps:
            running = step.name
            report.begin(running)
            _one(step, context, report, deadline - time.monotonic())
            print(*report.summary([(step.name, [step.name])]), flush=True)
    except Stopped as signalled:
        if not report.status(running):
            report.put(running, status=STOPPED, line=f"by {signalled}")
        return f"stopped by {signalled}"
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    return "finished"


def _one(step: Step, context: Context, report: Report, left: float) -> None:
    if step.needs_gpu and context.gpu is None:
        report.put(step.name, status=NO_GPU, line="")
    elif left < LEAST:
        report.put(step.name, status=NOT_RUN, line="the time was used up")
    elif any(s.group == step.unless_hung and report.status(s.name) == TIMED_OUT for s in STEPS):
        report.put(step.name, status=NOT_RUN, line=f"{step.unless_hung} reached their limit")
    else:
        limit = min(step.limit * (1 if context.gpu else PATIENCE), left)
        report.put(step.name, **run_step(step, context, context.out / "gpu_check.log", limit))


def _listing() -> list[str]:
    lines = [f"{step.name:<14} {step.limit:>4.0f} s  {step.what}" for step in STEPS]
    return [*lines, "", "Packages that a bare machine with torch lacks:", wheels.download_line(wheels.pinned())]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu_check", description="Check and measure the harness on a GPU.")
    parser.add_argument("--list", action="store_true", help="show the steps with their limits, and the wheels to carry")
    parser.add_argument("--only", action="append", metavar="STEP", help="this step; may be repeated")
    parser.add_argument("--seconds", type=float, default=540, help="for everything (540)")
    parser.add_argument("--out", type=Path, default=BUILD / "out", help="folder of the results (build/gpu_check/out)")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="folder of carried wheels")
    parser.add_argument("--site", type=Path, default=BUILD / "site", help="where to install (build/gpu_check/site)")
    parser.add_argument("--installed", action="store_true", help="install nothing: take the package that is installed")
    parser.add_argument("--without-gpu", action="store_true", help="rehearse the steps that work on a CPU")
    options = parser.parse_args(arguments)
    unknown = set(options.only or ()) - {step.name for step in STEPS}
    if unknown:
        parser.error(f"no step named {', '.join(sorted(unknown))}; --list shows them")
    if options.wheels and options.installed:
        parser.error("--wheels installs, and --installed does not")
    return options
