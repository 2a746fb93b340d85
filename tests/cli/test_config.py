"""Runs from a TOML file, and rows reproduced from their record."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from harness.cli.config import read_toml
from harness.errors import UserError
from harness.results.artifacts import open_file
from harness.results.leaderboard_file import read_board
from harness.site.reproduce_command import evaluate_command
from harness.types.leaderboard import Leaderboard

from ..datasets.roots import edit_split, make_root


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "data", per_part={"train": 2, "val": 1, "test": 2})


def config(tmp_path: Path, root: Path) -> Path:
    text = (
        f'data = "{root}"\nbackbone = "beyond-mini"\nout = "{tmp_path / "results"}"\nworkers = 1\nall-domains = true\n'
    )
    return write(tmp_path / "run.toml", f'plugin = ["fsnl", "zero_shot"]\nshots = [1, 2]\nseeds = "1-2"\n{text}')


def planned(harness: Any, *arguments: object) -> list[tuple[str, ...]]:
    code, out, err = harness("evaluate", *arguments, "--dry-run", "--verbose")
    assert code == 0, err
    lines = [line for line in out.splitlines() if line.startswith("│") and "to run" in line]
    return [tuple(cell.strip() for cell in line.strip("│ ").split("│"))[:4] for line in lines]


def test_command_line_overrides_config_file(tmp_path: Path, root: Path, harness: Any) -> None:
    file = config(tmp_path, root)
    cells = planned(harness, "--config", file)
    assert {(method, shots) for method, _, shots, _ in cells} == {("fsnl", "1"), ("fsnl", "2"), ("zero_shot", "0")}
    assert {(method, seed) for method, *_, seed in cells} == {("fsnl", "1"), ("fsnl", "2"), ("zero_shot", "0")}
    assert len(cells) == 3 * (2 * 2 + 1)
    cells = planned(harness, "--shots", "4", "--config", file, "--seeds", "7", "--plugin", "fsnl")
    assert {(method, seed) for method, _, _, seed in cells} == {("fsnl", "7"), ("zero_shot", "0")}
    cells = planned(harness, "--config", file, "--domain", "Animals")
    assert {domain for _, domain, _, _ in cells} == {"Animals"}, "--domain wins over the file's all-domains"
    file.write_text(file.read_text().replace("all-domains = true", 'domain = "Animals"'))
    assert len({domain for _, domain, _, _ in planned(harness, "--config", file, "--all-domains")}) == 3


def test_config_accepts_every_option(tmp_path: Path, root: Path, harness: Any) -> None:
    file = config(tmp_path, root)
    file.write_text(file.read_text() + "cell-timeout = 2.5\nisolate = true\ndry-run = true\njson = true\n")
    plain = harness("evaluate", "--config", file)
    file.write_text(file.read_text() + "compile = true\n")
    compiled = harness("evaluate", "--config", file)
    assert (plain[0], compiled[0]) == (0, 0), compiled[2]
    assert json.loads(plain[1]) != json.loads(compiled[1]), "what was compiled is another cell"


def test_config_parameters_are_a_table(tmp_path: Path, root: Path, harness: Any) -> None:
    file = config(tmp_path, root)
    file.write_text(file.read_text() + "[param.fsnl]\nepochs = 1\nlr = 0.5\n")
    code, _, err = harness("evaluate", "--config", file, "--domain", "Animals", "--all-domains")
    assert (code, "exclude each other" in err) == (2, True)
    file.write_text(file.read_text().replace("all-domains = true", 'domain = ["Animals"]').replace("[1, 2]", "1"))
    code, out, err = harness("evaluate", "--config", file, "--json", "--seeds", "1")
    assert code == 0, err
    (fsnl,) = [row for row in json.loads(out)["rows"] if row["method"] == "fsnl"]
    assert (fsnl["method_record"]["parameters"]["epochs"], fsnl["method_record"]["parameters"]["lr"]) == (1, 0.5)
    assert list(fsnl["domains"]) == ["Animals"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("shot = 4", "no option of evaluate named 'shot'", "did you mean shots?"),
        ("help = true", "no option of evaluate named 'help'", ""),
        ("config = 'b.toml'", "no option of evaluate named 'config'", ""),
        ("config-file = 'b.toml'", "no option of evaluate named 'config-file'", ""),
        ("dry-run = 'maybe'", "dry-run is 'maybe'", "write dry-run = true"),
        ("isolate = [true]", "isolate is [True]", "write isolate = true"),
        ("out = true", "out is true", 'write out = "value"'),
        ("shots = ", "is not valid TOML", ""),
        ("[shots]\na = 1", "shots is a table", "[param]"),
    ],
)
def test_invalid_config_is_user_error(tmp_path: Path, harness: Any, text: str, message: str, hint: str) -> None:
    code, _, err = harness("evaluate", "--config", write(tmp_path / "a.toml", text))
    assert code == 2
    assert message in " ".join(err.split())
    assert hint in err


def test_config_may_start_with_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("shots = [1, 2]", encoding="utf-8-sig")
    assert read_toml(tmp_path / "run.toml") == {"shots": [1, 2]}


def test_config_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.toml")
    with pytest.raises(UserError, match=r"run\.toml cannot be read: it is a named pipe, not a file"):
        read_toml(tmp_path / "run.toml")


def test_missing_config_is_user_error(tmp_path: Path, harness: Any) -> None:
    code, _, err = harness("evaluate", "--config", tmp_path / "a.toml")
    assert (code, "cannot be read" in err) == (2, True)


def test_row_is_reproduced_from_its_record(tmp_path: Path, root: Path, harness: Any) -> None:
    file = config(tmp_path, root)
    damaged, gone = sorted((root / "Animals3_IP" / "images" / "cat").iterdir())[-2:]  # the test part comes last
    damaged.write_bytes(b"no image")
    gone.unlink()
    words = ("--config", file, "--shots", "2", "-p", "fsnl.epochs=2", "-p", "fsnl.lr=0.02")
    code, _, err = harness("evaluate", *words)
    assert code == 0, err
    out = tmp_path / "results"
    for method in ("fsnl", "zero_shot"):
        code, printed, err = harness("reproduce", f"{out}#{method}", "--data", root, "--workers", "1", "--json")
        found = json.loads(printed)
        assert (code, found["results"], found["settings"]) == (0, [], []), err
    for row in read_board(out).rows:
        command = shlex.split(evaluate_command(row).replace("LAION_BEYOND_ROOT", str(root)))
        code, printed, err = harness(*command[1:], "--out", out, "--dry-run")
        known = 3 if row.seedless else 6
        assert (code, f"{known} known, 0 to run" in printed) == (0, True), (printed, err)
    assert "2 images are listed as unreadable; only --data can check this" in harness("leaderboard", "verify", out)[1]
    assert harness("leaderboard", "verify", out, "--data", root)[0] == 0
    found = open_file(out)[1].costs()
    rows = {row.method: row for row in read_board(out).rows}
    assert set(found) == {row.id for row in rows.values()}
    cost = found[rows["fsnl"].id]
    assert cost.cells == 3 * 2
    assert cost.wall_seconds == pytest.approx(cost.fit_seconds + cost.score_seconds)
    assert cost.fit_seconds > 0
    assert cost.trainable > found[rows["zero_shot"].id].trainable == 0
    assert 10**7 < (cost.peak_host_bytes or 0) < 10**11
    assert "seconds" not in (out / "leaderboard.json").read_text()

    board = json.loads((out / "leaderboard.json").read_text())
    row = next(r for r in board["rows"] if r["method"] == "fsnl")
    row["domains"]["Animals"]["oop_top1"]["mean"] = 0.123
    row["versions"]["torch"] = "1.0"
    row["method_record"]["code"] = "0" * 64
    (out / "leaderboard.json").write_text(json.dumps(board))
    Leaderboard.model_validate(board)
    code, printed, err = harness("reproduce", f"{out}#fsnl", "--data", root, "--workers", "1")
    assert code == 3
    assert "differs before it runs: versions.torch: 1.0 ->" in err
    assert "differs before it runs: method.code: 000000000000..." in err
    assert err.index("differs before it runs") < err.index("running cells"), "reported before anything is computed"
    assert "domains.Animals.oop_top1.mean: 0.123 ->" in printed
    assert "1 difference in results, 2 in settings" in printed


def test_reproduce_lists_other_data_and_weights_first(tmp_path: Path, root: Path, harness: Any) -> None:
    file = config(tmp_path, root)
    out = tmp_path / "results"
    code, _, err = harness("evaluate", "--config", file, "--plugin", "zero_shot", "--seeds", "1")
    assert code == 0, err
    edit_split(root / "Animals6_OOP", lambda content: content["train"]["0"].update(INFO={"Refined_caption3": "other"}))
    board = json.loads((out / "leaderboard.json").read_text())
    board["rows"][0]["backbone_record"]["weights_sha256"] = "0" * 64
    (out / "leaderboard.json").write_text(json.dumps(board))
    code, printed, err = harness("reproduce", f"{out}#zero_shot", "--data", root, "--workers", "1", "--json")
    assert code == 0, "a caption of the train part changes no zero-shot prediction"
    assert {one["where"] for one in json.loads(printed)["settings"]} == {
        "Animals: dataset.fingerprint",
        "backbone.weights_sha256",
    }
    assert err.count("differs before it runs") == 2


def test_reproduce_asks_for_missing_data(shared_lab: Any, harness: Any) -> None:
    code, _, err = harness("reproduce", f"{shared_lab.out}#fsnl")
    assert code == 2
    assert "the row was run on small" in err
    assert "--data" in err
