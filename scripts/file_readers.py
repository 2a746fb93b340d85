"""True files of every kind in a small results folder, and the code that reads each; for ``fuzz_files.py``."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import typer
from PIL import Image

from harness.cli.main import app, execute
from harness.datasets.folder_reader import read_splits
from harness.datasets.images import load_image
from harness.errors import DataError, HarnessError
from harness.feature_cache import shard
from harness.feature_cache.store import FeatureStore
from harness.feature_cache.views import MIN_CROP, view_name
from harness.leaderboard.assemble import assemble
from harness.parsing import parse_record
from harness.results.artifacts import open_file, references
from harness.results.store import ResultStore
from harness.types.cell import Cell
from harness.types.leaderboard import Leaderboard
from harness.user_key import mark
from scripts.listing_readers import hub_listings, mirror_listings
from tests.datasets.roots import make_root
from tests.leaderboard.results import Lab, make_lab
from tests.makers import sha, unit_rows

CONFIG = b'shots = [1, 2]\nseeds = "1-3"\nplugin = ["fsnl"]\nisolate = false\n[param]\nlr = 0.1\n[param.fsnl]\nx = 2\n'

Reader = Callable[[bytes, bytes], "str | None"]
"""Reads a damaged file in the place of a true one, given both; the finding, or None."""


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
            "marks": ([self._marks()], self.marks),
            "cell": ([path.read_bytes() for path in self.lab.out.glob("cells/*/*.json")], self.cell),
            "labels": self._addressed("labels"),
            "manifest": self._addressed("manifest"),
            "predictions": self._addressed("predictions"),
            "archive": ([self.packed], self.archive),
            "split": self._split(),
            "shard": self._shard(),
            "image": self._images(),
            "config": ([CONFIG], self.config),
            "hub listing": hub_listings(self.folder),
            "mirror listing": mirror_listings(self.folder),
        }

    def _marks(self) -> bytes:
        command("leaderboard", "verify", self.board)
        return (self.lab.out / "verified.json").read_bytes()

    def leaderboard(self, content: bytes, original: bytes) -> str | None:
        """Show, compare and verify a leaderboard."""
        self.board.write_bytes(content)
        try:
            command("leaderboard", "show", self.board)
            command("leaderboard", "compare", self.board, self.zip)
            command("leaderboard", "verify", self.board, "--no-mark")
        finally:
            self.board.write_bytes(self.text)
        return None

    def costs(self, content: bytes, original: bytes) -> str | None:
        """Show a leaderboard with these costs."""
        return self._beside("costs.json", content)

    def marks(self, content: bytes, original: bytes) -> str | None:
        """Show a leaderboard with these marks."""
        return self._beside("verified.json", content)

    def _beside(self, name: str, content: bytes) -> str | None:
        (self.lab.out / name).write_bytes(content)
        command("leaderboard", "show", self.board)
        return None

    def cell(self, content: bytes, original: bytes) -> str | None:
        """Read a store with this cell, and assemble a leaderboard."""
        store = ResultStore(self.folder / "store")
        path = store.root / "cells" / "00" / f"{'0' * 64}.json"
        with contextlib.suppress(DataError):
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
        single = Leaderboard(rows=(self.single,)).text().encode()

        def read(content: bytes, original: bytes) -> str | None:
            one = contents[original]
            path = self.lab.out / one.path
            path.write_bytes(content)
            try:
                self.board.write_bytes(single)
                verified = command("leaderboard", "verify", self.board, "--no-mark") == 0
            finally:
                self.board.write_bytes(self.text)
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
                self.board.write_bytes(single.replace(one.digest.encode(), digest.encode()))
                command("leaderboard", "show", self.board)
                command("leaderboard", "verify", self.board, "--no-mark")
                return None
            finally:
                self.board.write_bytes(self.text)
                if content != original:
                    renamed.unlink()

        return list(contents), read

    def archive(self, content: bytes, original: bytes) -> str | None:
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

        def read(content: bytes, original: bytes) -> str | None:
            path.write_bytes(content)
            read_splits(folder)
            return None

        return [path.read_bytes()], read

    def _shard(self) -> tuple[list[bytes], Reader]:
        digests, place = [sha(str(i)) for i in range(5)], ("key", view_name(0, MIN_CROP))
        name, true = shard.serialize(digests, unit_rows(5, 8).numpy(), place)
        root = self.folder / "cache" / "features"

        def read(content: bytes, original: bytes) -> str | None:
            folder = root.joinpath(*place)
            shutil.rmtree(root, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / name).write_bytes(content)
            if content != original and shard.check(folder / name, shard.RowRule()) is not None:
                return "it is believed under the hash of another"
            digest = hashlib.sha256(content).hexdigest()
            (folder / name).rename(folder / f"{digest}-{mark(*place, digest)}.safetensors")
            FeatureStore(root, place[0], "fuzz").get(0, digests)
            command("features", "list", "--cache", root.parent)
            command("features", "verify", "--cache", root.parent)
            return None

        return [true], read

    def _images(self) -> tuple[list[bytes], Reader]:
        picture = Image.effect_noise((40, 30), 80).convert("RGBA")
        picture.putalpha(100)
        path, contents = self.folder / "image", []
        for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000"):
            buffer = io.BytesIO()
            (picture.convert("RGB") if kind == "JPEG" else picture).save(buffer, kind)
            contents.append(buffer.getvalue())

        def read(content: bytes, original: bytes) -> str | None:
            path.write_bytes(content)
            load_image(path)
            return None

        return contents, read

    def config(self, content: bytes, original: bytes) -> str | None:
        """Parse the options of a file."""
        path = self.folder / "run.toml"
        path.write_bytes(content)
        evaluate = typer.main.get_command(app).commands["evaluate"]  # type: ignore[attr-defined]
        try:
            evaluate.make_context("evaluate", ["--config", str(path)])
        except typer.BadParameter as error:
            raise HarnessError(str(error)) from None
        return None
