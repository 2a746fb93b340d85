"""Terminal output: the only module that prints, and the only one that imports rich.

Results go to stdout, everything else to stderr. A terminal shows the present stage of work, a log plain lines. Names
and reasons come from files of others, so control characters are never printed: they become escapes, in JSON those of
JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.cli.display import StageProgress
from harness.errors import HarnessError, printable
from harness.progress import pluralize

LOG_EVERY = 10.0
"""Seconds between progress lines in a log."""

PIPE_WIDTH = 200
"""Width of output that is not a terminal: enough for whole tables."""

EXIT_DIFFERENT = 3
"""Exit code of a comparison that finds a difference."""


class PrintableConsole(Console):
    """A console that shows the control characters of strings instead of obeying them."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does; tables are made of printable text already."""
        super().print(*(printable(one) if isinstance(one, str) else one for one in objects), **options)


def out() -> Console:
    """Console for results, wide enough for whole tables if stdout is not a terminal."""
    size = shutil.get_terminal_size()
    # Width and height are both set: with TERM=dumb, rich assumes 80 columns if the height is missing.
    width = size.columns if sys.stdout.isatty() else PIPE_WIDTH
    return PrintableConsole(width=width, height=size.lines, highlight=False, soft_wrap=False, emoji=False)


def err() -> Console:
    """Console for everything else, on stderr."""
    return PrintableConsole(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def note(text: str) -> None:
    """Print a sentence below a table; a terminal breaks its lines between words, and no word."""
    console = out()
    if console.is_terminal:
        text = textwrap.fill(text, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(text, style="dim", markup=False, soft_wrap=True)


def lines(*texts: str) -> None:
    """Print plain lines on stdout."""
    print(*map(printable, texts), sep="\n")


def message(text: str) -> None:
    """Print a plain line on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


@contextmanager
def preparing(what: str, seconds: float = 1.0) -> Iterator[None]:
    """Say on stderr what a command does before its first progress, once that lasts over some seconds."""
    timer = threading.Timer(seconds, message, [f"{what} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def document(content: Any) -> None:
    """Print one JSON document on stdout, for ``--json``."""
    json_text(json.dumps(content, indent=1, ensure_ascii=False))


def json_text(text: str) -> None:
    """Print JSON on stdout; characters that are not printable become JSON escapes of the same meaning."""
    encoding = sys.stdout.encoding
    print("".join(c if c == "\n" or (c.isprintable() and _fits(c, encoding)) else json.dumps(c)[1:-1] for c in text))


def _fits(character: str, encoding: str) -> bool:
    try:
        return character.isascii() or bool(character.encode(encoding))
    except UnicodeEncodeError:
        return False


def error_text(error: HarnessError) -> None:
    """Print an error, and its hint on a separate line."""
    console = err()
    console.print(f"error: {error.message}", style="bold red", markup=False)
    if error.hint:
        console.print(f"hint: {error.hint}", markup=False)


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 1,
    best: Collection[tuple[int, int]] = (),
) -> Group:
    """A table with a title; the first ``left`` columns are left-aligned text, the others numbers.

    The cells at ``best``, as (row, column), are bold.
    """
    made = Table(header_style="bold")
    for i, column in enumerate(columns):
        made.add_column(
            Text(printable(column)), justify="left" if i < left else "right", no_wrap=i >= left, overflow="fold"
        )
    for number, row in enumerate(rows):  # Text, so that brackets are not parsed as markup
        styles = ("bold" if (number, i) in best else "" for i in range(len(row)))
        made.add_row(*(Text(printable(cell), style) for cell, style in zip(row, styles, strict=True)))
    # Rich's own title would wrap at the width of a narrow table.
    return Group(*([Text(printable(title), "table.title")] if title else []), made)


class ScreenReporter:
    """The stages on a terminal: finished ones as lines, the present one with a bar, what runs, and the last result."""

    def __init__(self) -> None:
        self._console = err()
        self._stage: StageProgress | None = None

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        """A bar with count, time and rate, drawn again four times a second; one line remains of it."""
        self._stage = stage = StageProgress(name, total, unit)
        try:
            with Live(console=self._console, get_renderable=self._picture, refresh_per_second=4, transient=True):
                yield stage.advance
        finally:
            self._stage = None
            self._console.print(stage.line(self._console.width), markup=False, no_wrap=True, overflow="ellipsis")

    def running(self, what: Sequence[str]) -> None:
        """Lines below the bar."""
        if self._stage:
            self._stage.now = what

    def result(self, text: str) -> None:
        """A line below the bar, until the next result."""
        if self._stage:
            self._stage.last = text

    def note(self, text: str) -> None:
        """One line above the bar."""
        self._console.print(text, markup=False, style="yellow")

    def _picture(self) -> Text:
        lines = self._stage.lines(self._console.width) if self._stage else []
        return Text("\n".join(map(printable, lines)), no_wrap=True, overflow="ellipsis")


class LineReporter:
    """Plain lines for a log: when a stage begins, every ten seconds with the last result, and when it is done."""

    def __init__(self) -> None:
        self._stage: StageProgress | None = None

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        """Lines such as ``encoding images: 4,096 of 8,640 images, 1,880/s``."""
        self._stage = stage = StageProgress(name, total, unit)
        said = time.monotonic()
        self.note(name if total is None else f"{name}: {pluralize(total, unit)}")

        def advance(more: int) -> None:
            nonlocal said
            stage.advance(more)
            if time.monotonic() - said >= LOG_EVERY and (total is None or stage.done < total):
                said = time.monotonic()
                last = f"; {stage.last}" if stage.last else ""
                self.note(f"{name}: {stage.count}, {stage.rate:,.1f}/s{last}")

        yield advance
        self.note(f"{name}: done, {pluralize(stage.done, unit)} in {stage.seconds:.1f} s")

    def running(self, what: Sequence[str]) -> None:
        """Nothing: it changes faster than a log is read."""

    def result(self, text: str) -> None:
        """Shown with the next line."""
        if self._stage:
            self._stage.last = text

    def note(self, text: str) -> None:
        """One line on stderr."""
        message(text)


def reporter() -> ScreenReporter | LineReporter:
    """A display on a terminal, lines elsewhere and on a terminal that cannot redraw (``TERM=dumb``)."""
    return ScreenReporter() if sys.stderr.isatty() and not err().is_dumb_terminal else LineReporter()
