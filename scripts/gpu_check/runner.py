"""Run one step: its commands under one time limit, and what they came to."""

from __future__ import annotations

import contextlib
import shlex
import time
from pathlib import Path
from typing import IO, Any

from gpu_check import process
from gpu_check.context import Context
from gpu_check.figures import NothingFound
from gpu_check.report import FAILED, PASSED, TIMED_OUT
from gpu_check.steps import Step

TAIL = 4000
"""Characters of the output of a step that failed, which the record keeps."""


def run_step(step: Step, context: Context, log: Path, limit: float) -> dict[str, Any]:
    """What a step came to: status, exit status, seconds, figures, and the end of its output if it failed."""
    begin = time.monotonic()
    commands = step.commands(context)
    with log.open("ab") as file:
        start = file.tell()
        code, reason = _run_commands(commands, context, file, begin + limit)
    output = _read_from(log, start)
    found: dict[str, Any] = {"status": _status(code), "exit": code, "line": reason}
    try:
        read = step.read(context, output)
        found |= {"figures": read.figures, "line": f"{reason}; {read.line}" if reason else read.line}
    except Exception as error:  # whatever a program printed instead: a record without figures is still one
        if code == 0:
            plain = str(error) if isinstance(error, NothingFound) else f"its figures cannot be read: {error!r}"
            found |= {"status": FAILED, "line": plain}
    return {
        **found,
        "line": context.shown(found["line"]),
        "seconds": round(time.monotonic() - begin, 1),
        "limit": round(limit, 1),
        "commands": [context.shown(shlex.join(command)) for command in commands],
        **({} if found["status"] == PASSED else {"tail": context.shown(output[-TAIL:])}),
    }


def _run_commands(
    commands: list[list[str]], context: Context, log: IO[bytes], deadline: float
) -> tuple[int | None, str]:
    """The exit status of the first command that fails, or 0; and why, if that is not in the log."""
    for command in commands:
        log.write(f"\n$ {context.shown(shlex.join(command))}\n".encode())
        log.flush()
        left = max(0.0, deadline - time.monotonic())
        try:
            code = process.run(command, log, left, context.environment(), context.work)
        except OSError as error:
            return 127, f"{command[0]} cannot be started: {error.strerror}"
        if code != 0:
            return code, "stopped at its limit" if code is None else f"exit status {code}"
    return 0, ""


def _status(code: int | None) -> str:
    return TIMED_OUT if code is None else FAILED if code else PASSED


def _read_from(log: Path, start: int) -> str:
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")
    return ""
