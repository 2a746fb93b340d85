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
import hashlib
import io
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the small results folder is that of the tests

import typer
from PIL import Image

from harness.cli.main import app, execute
from harness.datasets.folder_reader import read_splits
from harness.datasets.images import load_image
from harness.errors import DataError, HarnessError
from harness.features import shard
from harness.features.store import FeatureStore
from harness.leaderboard.assemble import assemble
from harness.results.artifacts import open_file, references
from harness.results.store import ResultStore
from scripts.mutations import mutate
from tests.datasets.roots import make_root
from tests.leaderboard.results import Lab, make_lab
from tests.makers import sha, unit_rows

SECONDS = 10
"""Longest time of this process for one file."""

WAIT = 60
"""Longest time in all, also waiting; a busy machine is slower."""

MEMORY = 6 << 30

MARKS = b'{"format": "laion-beyond-verified/1", "rows": {"%s": "data"}}' % sha("row").encode()
CONFIG = b'shots = [1, 2]\nseeds = "1-3"\nplugin = ["fsnl"]\nisolate = false\n[param]\nlr = 0.1\n[param.fsnl]\nx = 2\n'

Reader = Callable[[bytes], "str | None"]
"""Reads a damaged file in its place; the finding, or None."""


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


def command(*arguments: object) -> int:
    """A command line in this process; its output must be free of what a terminal obeys."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = execute([str(one) for one in arguments])
    bad = {c for c in out.getvalue() + err.getvalue() if not c.isprintable() and c not in "\n\xa0\u200c\u200d"}
    if bad:
        raise AssertionError(f"control characters in the output: {sorted(map(hex, map(ord, bad)))}")
    if code == 2:
        raise HarnessError("refused")
    return code


class Samples:
    """True files and their readers, in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.lab: Lab = make_lab(folder)
        self.board = self.lab.out / "leaderboard.json"
        self.text = self.board.read_bytes()
        self.zip = folder / "submission.zip"
        command("leaderboard", "submit", f"{self.board}#fsnl", "--out", self.zip)
        self.packed = self.zip.read_bytes()
        self.folder = folder
        self.rows = self.lab.board.rows
        self.single = self.lab.row("fsnl").model_copy()

    @cached_property
    def kinds(self) -> dict[str, tuple[list[bytes], Reader]]:
        """Kind -> true contents, and the reader."""
        return {
            "leaderboard": ([self.text], self.leaderboard),
            "costs": ([(self.lab.out / "costs.json").read_bytes()], self.costs),
            "marks": (
                [b'{"format": "laion-beyond-verified/1", "rows": {"%s": "data"}}' % sha("row").encode()],
                self.marks,
            ),
            "cell": ([path.read_bytes() for path in ResultStore(self.lab.out).files()], self.cell),
            "labels": self._addressed("labels"),
            "manifest": self._addressed("manifest"),
            "predictions": self._addressed("predictions"),
            "archive": ([self.packed], self.archive),
            "split": self._split(),
            "shard": self._shard(),
            "image": self._images(),
            "config": ([CONFIG], self.config),
        }

    def leaderboard(self, content: bytes) -> str | None:
        """Show, compare and verify a leaderboard."""
        self.board.write_bytes(content)
        try:
            command("leaderboard", "show", self.board)
            command("leaderboard", "compare", self.board, self.zip)
            command("leaderboard", "verify", self.board, "--no-mark")
        finally:
            self.board.write_bytes(self.text)
        return None

    def costs(self, content: bytes) -> str | None:
        """Show a leaderboard with these costs."""
        return self._beside("costs.json", content)

    def marks(self, content: bytes) -> str | None:
        """Show a leaderboard with these marks."""
        return self._beside("verified.json", content)

    def _beside(self, name: str, content: bytes) -> str | None:
        (self.lab.out / name).write_bytes(content)
        command("leaderboard", "show", self.board)
        return None

    def cell(self, content: bytes) -> str | None:
        """Read a store with this cell, and assemble a leaderboard."""
        store = ResultStore(self.folder / "store")
        path = store.root / "cells" / "00" / f"{'0' * 64}.json"
        with contextlib.suppress(DataError):
            from harness.parsing import parse_record
            from harness.types.cell import Cell

            cell = parse_record(Cell, content, "the cell")
            path = store.root / "cells" / cell.spec.key[:2] / f"{cell.spec.key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        try:
            assemble(list(store.cells()))
        finally:
            shutil.rmtree(store.root)
        return None

    def _addressed(self, what: str) -> tuple[list[bytes], Reader]:
        files = {one: (self.lab.out / one.path) for one in references(self.single) if one.what == what}
        contents = {path.read_bytes(): one for one, path in files.items()}

        def read(content: bytes, original: bytes) -> str | None:
            one = contents[original]
            path = self.lab.out / one.path
            path.write_bytes(content)
            try:
                verified = command("leaderboard", "verify", self.board, "--no-mark") == 0
            finally:
                path.write_bytes(original)
            if verified and content != original:
                return "it is believed under the hash of another"
            digest = hashlib.sha256(content).hexdigest()
            renamed = path.with_name(digest + path.suffix)
            if what == "predictions":
                renamed = self.lab.out / "predictions" / digest[:2] / renamed.name
                renamed.parent.mkdir(exist_ok=True)
            renamed.write_bytes(content)
            try:
                return self.leaderboard(self.text.replace(one.digest.encode(), digest.encode()))
            finally:
                if content != original:
                    renamed.unlink()

        return list(contents), read  # type: ignore[return-value]

    def archive(self, content: bytes) -> str | None:
        """Show and verify a submission."""
        path = self.folder / "damaged.zip"
        path.write_bytes(content)
        command("leaderboard", "show", path)
        verified = command("leaderboard", "verify", path) == 0
        if verified and open_file(path)[0].rows != (self.single,):
            return "another row is verified"
        return None

    def _split(self) -> tuple[list[bytes], Reader]:
        root = make_root(self.folder / "split")
        folder = root / "Animals3_OOP" if (root / "Animals3_OOP").exists() else next(root.glob("*_OOP"))
        path = next(folder.glob("split_Xin_*.json"))

        def read(content: bytes) -> str | None:
            path.write_bytes(content)
            read_splits(folder)
            return None

        return [path.read_bytes()], read

    def _shard(self) -> tuple[list[bytes], Reader]:
        digests = [sha(str(i)) for i in range(5)]
        name, original = shard.serialize(digests, unit_rows(5, 8).numpy())
        root = self.folder / "features"

        def read(content: bytes) -> str | None:
            folder = root / "key" / "view-0"
            shutil.rmtree(root, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / name).write_bytes(content)
            if content != original and shard.read_digests(folder / name) is not None:
                return "it is believed under the hash of another"
            (folder / name).rename(folder / f"{hashlib.sha256(content).hexdigest()}.safetensors")
            FeatureStore(root, "key", "fuzz").get(0, digests)
            command("features", "list", "--cache", root.parent)
            command("features", "verify", "--cache", root.parent)
            return None

        return [original], read

    def _images(self) -> tuple[list[bytes], Reader]:
        picture = Image.effect_noise((40, 30), 80).convert("RGBA")
        picture.putalpha(100)
        path, contents = self.folder / "image", []
        for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000"):
            buffer = io.BytesIO()
            (picture.convert("RGB") if kind == "JPEG" else picture).save(buffer, kind)
            contents.append(buffer.getvalue())

        def read(content: bytes) -> str | None:
            path.write_bytes(content)
            load_image(path)
            return None

        return contents, read

    def config(self, content: bytes) -> str | None:
        """Parse the options of a file."""
        path = self.folder / "run.toml"
        path.write_bytes(content)
        evaluate = typer.main.get_command(app).commands["evaluate"]  # type: ignore[attr-defined]
        try:
            evaluate.make_context("evaluate", ["--config", str(path)])
        except typer.BadParameter as error:
            raise HarnessError(str(error)) from None
        return None


def fuzz(samples: Samples, kind: str, count: int, seed: int, findings: Findings, keep: Path | None = None) -> None:
    """Read damaged files of one kind."""
    contents, read = samples.kinds[kind]
    takes_original = kind in ("labels", "manifest", "predictions")
    for original in contents:  # a true file is accepted, or this would find nothing
        read(original, original) if takes_original else read(original)  # type: ignore[call-arg]
    for number in range(count):
        rng = random.Random(f"{seed}/{kind}/{number}")
        original = rng.choice(contents)
        content = mutate(original, rng)
        began = time.process_time()
        finding = None
        signal.alarm(WAIT)
        try:
            finding = read(content, original) if takes_original else read(content)  # type: ignore[call-arg]
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
    """Bound time and memory of the reading code."""

    def stop(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        signal.signal(signal.SIGALRM, before)


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
