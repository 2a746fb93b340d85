"""Make the pictures of docs/images: the page, plots, a table of LaTeX, and the terminal.

    python scripts/screenshots.py                   # or some of: page table plots terminal

Everything is of real results: the page, zero-shot bars, frequencies and the table are of `leaderboards/beyond-mini`,
accuracy against shots and the terminal of a run that takes some minutes. Needs Chromium, and for the table pdflatex
with booktabs and pdftoppm; a picture whose program is not installed is left as it is, and said so.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from PIL import Image, ImageChops
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from harness.files import write_atomic  # noqa: E402
from tests.site.chromium import Browser  # noqa: E402

OUT = ROOT / "docs" / "images"
BOARD = ROOT / "leaderboards" / "beyond-mini"
HARNESS = str(Path(sys.executable).with_name("harness"))
WINDOWS = {"desktop": (1280, 900), "phone": (390, 844)}
RUN = ["evaluate", "--methods", "fsnl,tip_adapter", "--shots", "1,2,4,8,16", "--seeds", "1"]
PRINTED = "zero_shot,cocoop,clip_adapter,coop,learning_to_name,fsnl"
"""The methods of the paper's Table 2."""

DOCUMENT = r"""\documentclass[10pt]{article}
\usepackage{booktabs}
\setlength{\textwidth}{6.875in}
\setlength{\oddsidemargin}{-0.2in}
\pagestyle{empty}
\begin{document}
%s
\end{document}
"""


def harness(*words: object) -> str:
    """What a command prints."""
    return subprocess.run([HARNESS, *map(str, words)], check=True, capture_output=True, text=True).stdout


def save_png(picture: Image.Image, name: str) -> None:
    """A small PNG, of 256 colours that cover those of small markers too."""
    content = io.BytesIO()
    few = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(content, "PNG", optimize=True)
    write_atomic(OUT / name, content.getvalue())


def page(work: Path) -> None:
    """The page on a desktop and a phone, light and dark."""
    harness("leaderboard", "build", BOARD, "--out", work / "site", "--published")
    with Browser(work / "profile") as browser:
        for device, size in WINDOWS.items():
            for scheme in ("light", "dark"):
                browser.window(*size, dark=scheme == "dark")
                browser.open((work / "site" / "index.html").as_uri())
                browser.picture(work / "page.png")
                save_png(Image.open(work / "page.png"), f"page-{device}-{scheme}.png")


def measured(work: Path) -> Path:
    """The results of a run, which is made once."""
    results = work / "results"
    if not results.exists():
        harness(*RUN, "--out", results)
    return results


def plots(work: Path) -> None:
    """The three plots of leaderboards."""
    one = ["--protocol", "clean-v1", "--backbone", "beyond-mini/beyond_mini.safetensors"]
    harness("plot", "shots", measured(work), "--out", OUT / "plot-shots.svg")
    harness("plot", "zero-shot", BOARD, "--protocol", "clean-v1", "--out", OUT / "plot-zero-shot.svg")
    harness("plot", "frequency", BOARD, *one, "--methods", "fsnl", "--out", OUT / "plot-frequency.svg")


def table(work: Path) -> None:
    """Table 2, as LaTeX sets it."""
    latex = harness("leaderboard", "show", BOARD, "--methods", PRINTED, "--latex", "table2")
    last = latex[latex.rindex(r"\begin{table*}") :]  # of the model that all of them were run with
    (work / "table2.tex").write_text(DOCUMENT % last, encoding="utf-8")
    for command in (
        ["pdflatex", "-interaction=batchmode", "table2.tex"],
        ["pdftoppm", "-r", "110", "-png", "table2.pdf", "t"],
    ):
        subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
    drawn = Image.open(next(work.glob("t-*.png"))).convert("RGB")
    box = ImageChops.difference(drawn, Image.new("RGB", drawn.size, "white")).getbbox()
    assert box is not None
    save_png(drawn.crop((box[0] - 20, box[1] - 20, box[2] + 20, box[3] + 20)), "table2.png")


def terminal(work: Path) -> None:
    """What `harness evaluate` prints at the end, in terminals of 80 and 120 columns."""
    words = [*RUN[:3], "--seeds", "1", "--out", str(measured(work))]  # its cells are known
    for columns in (80, 120):
        console = Console(record=True, width=columns, file=io.StringIO())
        console.print(Text("$ harness evaluate --methods fsnl,tip_adapter --seeds 1\n"))
        console.print(Text.from_ansi(shown(words, columns)))
        svg = console.export_svg(title="harness", unique_id=f"terminal-{columns}")
        svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.S)  # of a font to download
        write_atomic(OUT / f"terminal-{columns}.svg", svg.encode())


def shown(words: list[str], columns: int) -> str:
    """What a command writes to a terminal of some columns on stdout."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    with subprocess.Popen([HARNESS, *words], stdout=theirs, stderr=subprocess.DEVNULL, env=environment) as started:
        os.close(theirs)
        content = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                content += chunk
        except OSError:  # Linux says so when the other end is closed
            pass
    assert started.returncode == 0
    return content.decode().replace("\r\n", "\n")


PICTURES = {
    page: ("chromium",),
    table: ("pdflatex", "pdftoppm"),
    plots: (),
    terminal: (),
}
"""What makes pictures, and the programs that it needs."""


def main(wanted: list[str]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for make, programs in PICTURES.items():
            if wanted and make.__name__ not in wanted:
                continue
            missing = [program for program in programs if shutil.which(program) is None]
            if missing:
                print(f"left out {make.__name__}: {', '.join(missing)} is not installed")
            else:
                make(Path(work))


if __name__ == "__main__":
    main(sys.argv[1:])
