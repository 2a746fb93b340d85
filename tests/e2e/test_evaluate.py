"""`harness evaluate`: output, files and caching."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import sys
from pathlib import Path

import jsonschema
import pytest

from harness.cli import console
from harness.datasets.layout import short_name
from harness.leaderboard.assemble import assemble
from harness.leaderboard.schema import json_schema
from harness.protocols import PROTOCOLS
from harness.results.leaderboard_file import read_board
from harness.types.leaderboard import Leaderboard

from ..datasets.roots import FOLDERS, edit_split, make_root
from ..makers import NAMING, ONLY_OOP, make_cell
from .conftest import start

DOMAINS = {"Animals", "Insects_Spiders", "Ville d'été"}


def rows(answer):
    return {row["method"]: row for row in answer.json["rows"]}


def test_json_output_matches_schema(whole_run):
    answer, out = whole_run
    assert answer.code == 0
    assert answer.json["schema_version"] == 1
    found = rows(answer)
    assert set(found) == {"zero_shot", "fsnl"}
    row = found["fsnl"]
    assert row["protocol"] == "clean-v1"
    assert row["backbone_record"]["precision"] == "fp32"
    assert row["shots"] == 2
    assert row["seeds"] == [1, 2]
    assert row["failures"] == []
    assert set(row["domains"]) == DOMAINS
    for stats in [*row["domains"].values(), row["mean"]]:
        few_images = {"ip_retention", "oop_macro_std", "ip_macro_std"}  # these need more images of a class
        assert NAMING - few_images <= set(stats) <= NAMING
        for metric, stat in stats.items():
            assert set(stat) == {"mean", "std", "n"}
            assert stat["n"] == 2, "one for each seed"
            assert stat["mean"] >= 0
            assert stat["mean"] <= 1 or metric == "ip_retention"
    written = (out / "leaderboard.json").read_text()
    jsonschema.validate(json.loads(written), json_schema())
    assert Leaderboard.model_validate_json(written).text() == written


def test_stderr_of_a_pipe_is_plain_lines(whole_run):
    answer, _ = whole_run
    assert "running cells" in answer.err
    assert "\x1b" not in answer.err
    assert "\r" not in answer.err


def test_name_learning_ip_accuracy_equals_zero_shot(evaluate):
    found = rows(evaluate("-p", "fsnl.lr=0.1"))
    for domain in DOMAINS:
        ours, before = (found[name]["domains"][domain]["ip_top1"] for name in ("fsnl", "zero_shot"))
        assert (ours["mean"], ours["std"]) == (before["mean"], 0.0)


def test_a_second_run_computes_nothing_and_writes_the_same_bytes(whole_run, evaluate, tmp_path):
    first, out = whole_run
    file = shutil.copytree(out, tmp_path / "results") / "leaderboard.json"
    before = file.read_bytes()
    second = evaluate()
    assert "0 cells computed" not in first.err
    assert "running cells" not in second.err
    assert second.out == first.out
    assert file.read_bytes() == before


def test_numbers_do_not_depend_on_workers_domain_order_or_cache(evaluate, tmp_path):
    one = evaluate("--cache", tmp_path / "a", "--workers", "1", out=tmp_path / "one")
    order = "Ville d'été,Animals,Insects_Spiders"
    two = evaluate("--cache", tmp_path / "b", "--workers", "2", "--domain", order, out=tmp_path / "two")
    assert one.code == two.code == 0
    assert one.out == two.out
    assert (tmp_path / "one/leaderboard.json").read_bytes() == (tmp_path / "two/leaderboard.json").read_bytes()


def test_the_leaderboard_gathers_methods_of_several_runs(evaluate, tmp_path):
    evaluate("--plugin", "fsnl", "--baseline", "none")
    evaluate("-p", "fsnl.lr=0.05", "--baseline", "none")
    board = Leaderboard.model_validate_json((tmp_path / "results" / "leaderboard.json").read_bytes())
    assert {row.method_record.parameters["lr"] for row in board.rows} == {0.01, 0.05}


def test_dry_run_lists_cells_and_runs_nothing(harness, world, tmp_path):
    where = ("--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    answer = harness("evaluate", "--all-domains", *where, "--seeds", "1", "--dry-run")
    assert answer.code == 0
    assert "6 cells: 0 known, 6 to run" in answer.out
    assert "training images" not in answer.err
    answer = harness("evaluate", "--all-domains", *where, "--seeds", "1", "--dry-run", "--shots", "99")
    assert "Animals: 6 of 6 OOP classes have fewer than 99 training images" in answer.err
    cells = harness("evaluate", "--all-domains", *where, "--seeds", "1", "--dry-run", "--json").json["cells"]
    assert {(c["method"], c["seed"], c["state"]) for c in cells} == {("zero_shot", 0, "to run"), ("fsnl", 1, "to run")}
    assert len({cell["cell"] for cell in cells}) == 6
    assert not (tmp_path / "results").exists()


def test_list_options_may_be_repeated(harness, world, tmp_path):
    where = ("--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results", "--dry-run", "--json")
    lists = ("--domain", "Animals,Animals", "--seeds", "1", "--shots", "1,2", "--plugin", "fsnl,gda")
    together = harness("evaluate", *lists, *where).json
    repeats = ("--shots", "1", "--shots", "2", "--plugin", "fsnl", "--plugin", "gda", "--plugin", "fsnl")
    assert harness("evaluate", *lists[:4], *repeats, *where).json == together
    assert len(together["cells"]) == 5


def test_the_help_names_every_protocol(harness):
    text = "".join(harness("evaluate", "--help").out.replace("│", "").split())
    for name in PROTOCOLS:
        assert name.removesuffix("-ip").removesuffix("-both") in text


def test_json_is_utf_8_in_any_locale(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    file = tmp_path / "leaderboard.json"
    file.write_text(assemble([make_cell(domain="Ville d'été")]).text(), encoding="utf-8")
    out, err = start("leaderboard", "show", file, "--json", cache=cache).communicate(timeout=60)
    assert "Ville d'été" in out, err
    assert json.loads(out)


def test_json_output_is_valid_for_any_names(monkeypatch, capsys):
    name = "bild-\udcff.jpg"  # from a folder of another system
    console.document({"file": name})
    assert json.loads(capsys.readouterr().out.encode()) == {"file": name}
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw := io.BytesIO(), encoding="latin-1"))
    console.document({"file": "猫.jpg"})
    sys.stdout.flush()
    assert json.loads(raw.getvalue()) == {"file": "猫.jpg"}


def test_the_table_fits_a_narrow_terminal(harness, world, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    where = ("--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    answer = harness("evaluate", "--plugin", "zero_shot", "--all-domains", *where)
    assert answer.code == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", answer.out)
    assert max(map(len, plain.splitlines())) <= 70
    for domain in DOMAINS:
        assert short_name(domain) in answer.out


def test_paper_protocol_uses_paper_preset_and_own_table(evaluate):
    found = rows(evaluate("--protocol", "paper-2025", "-p", "fsnl.views=1"))
    assert found["fsnl"]["protocol"] == "paper-2025"
    assert found["fsnl"]["method_record"]["parameters"]["optimizer"] == "sgd"


@pytest.mark.parametrize(("protocol", "decoding"), [("paper-2025", "plain"), ("clean-v1", "upright-white")])
def test_protocol_decoding_is_recorded(harness, world, tmp_path, protocol, decoding):
    cache = ("--cache", tmp_path / "cache")
    where = ("--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results", "--json", *cache)
    answer = harness("evaluate", "--plugin", "zero_shot", "--domain", "Animals", "--protocol", protocol, *where)
    assert [row["decoding"] for row in answer.json["rows"]] == [decoding]
    (encoder,) = json.loads(harness("features", "list", "--json", *cache).out)
    assert (", plain decoding" in encoder["description"]) == (decoding == "plain")
    (row,) = read_board(tmp_path / "results").rows
    assert {spec.key for spec in row.specs()} == {path.stem for path in (tmp_path / "results/cells").glob("*/*.json")}
    verified = harness("leaderboard", "verify", tmp_path / "results", "--data", world)
    assert verified.code == 0, verified.out


def test_a_domain_without_ip_folder_has_no_ip_metrics(evaluate, tmp_path):
    folders = {name: classes for name, classes in FOLDERS.items() if name != "Animals3_IP"}
    answer = evaluate(data=make_root(tmp_path / "data", folders))
    assert answer.code == 0
    row = rows(answer)["fsnl"]
    assert set(row["domains"]["Animals"]) == ONLY_OOP
    assert set(row["mean"]) == ONLY_OOP


def test_results_that_were_changed_or_lost_are_computed_again_with_a_note(whole_run, evaluate, tmp_path):
    first, out = whole_run[0], shutil.copytree(whole_run[1], tmp_path / "results")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    cell, *_ = (path for path in sorted(out.glob("cells/*/*.json")) if "fsnl" in path.read_text())
    cell.write_text(re.sub(r'"h_mean": [0-9.]+', '"h_mean": 0.987', cell.read_text()))
    prediction = sorted(out.glob("predictions/*/*"))[0]
    prediction.unlink()
    again = evaluate()
    assert "to be computed again: " in again.err
    assert "running cells" in again.err
    assert again.out == first.out
    assert prediction.read_bytes() == before[prediction]
    assert (out / "leaderboard.json").read_bytes() == before[out / "leaderboard.json"]
    assert "running cells" not in evaluate().err


def test_edited_captions_change_data_fingerprint(evaluate, tmp_path):
    data = make_root(tmp_path / "data")
    before = {p: p.stat().st_mtime_ns for p in sorted(data.rglob("*"))}
    first = evaluate(data=data)
    assert {p: p.stat().st_mtime_ns for p in sorted(data.rglob("*"))} == before, "nothing is written into the data"

    def edit(content):
        content["train"]["0"]["INFO"] = {"Refined_caption3": "another caption"}

    edit_split(data / "Animals6_OOP", edit)
    second = evaluate(data=data)
    assert "running cells" in second.err
    old, new = rows(first)["fsnl"]["data"], rows(second)["fsnl"]["data"]
    assert old["Animals"]["fingerprint"] != new["Animals"]["fingerprint"]
    assert old["Insects_Spiders"] == new["Insects_Spiders"]


def test_classes_without_any_training_image_are_counted_as_short(harness, tmp_path):
    data = make_root(tmp_path / "data", {"Animals6_OOP": FOLDERS["Animals6_OOP"]})

    def edit(content):
        gone = content["train"]["0"]["classname"]
        content["train"] = {key: item for key, item in content["train"].items() if item["classname"] != gone}

    edit_split(data / "Animals6_OOP", edit)
    words = ("--data", data, "--backbone", "beyond-mini", "--out", tmp_path / "results", "--shots", "1", "--dry-run")
    answer = harness("evaluate", "--all-domains", *words)
    assert "Animals: 1 of 6 OOP classes have fewer than 1 training images" in answer.err


def test_precision_is_recorded(evaluate):
    answer = evaluate("--precision", "bf16", "--plugin", "fsnl", "--domain", "Animals")
    assert answer.code == 0
    assert rows(answer)["fsnl"]["backbone_record"]["precision"] == "bf16"


def test_manifests_are_stored_and_recorded_by_hash(whole_run):
    answer, out = whole_run
    row = rows(answer)["fsnl"]
    for data in row["data"].values():
        for digest in data["manifests"].values():
            text = (out / "manifests" / f"{digest}.json").read_bytes()
            assert hashlib.sha256(text).hexdigest() == digest
            assert str(Path.home()).encode() not in text


def test_documented_script_shares_cells_with_command_line(harness, world, cache, tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for theirs, ours in (
        ('domains="Food"', f"domains='Animals', data={str(world)!r}, backbone='beyond-mini', workers=1"),
        ('["tip_adapter", "fsnl"]', '["tip_adapter", "fsnl"], parameters={"fsnl.epochs": 2}'),
        ("[1, 4]", "[1, 2]"),
        ("shots=4", "shots=2"),
    ):
        assert code.count(theirs) == 1
        code = code.replace(theirs, ours)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(cache))
    namespace = {}
    exec(compile(code, "python.md", "exec"), namespace)
    assert [(row["method"], row["shots"]) for row in namespace["results"].rows] == [
        ("zero_shot", 0),
        ("fsnl", 1),
        ("tip_adapter", 1),
        ("fsnl", 2),
        ("tip_adapter", 2),
    ]
    same = ("--data", world, "--domain", "Animals", "--backbone", "beyond-mini", "--shots", "1,2")
    answer = harness("evaluate", "--plugin", "fsnl", "-p", "epochs=2", "--seeds", "1", *same, "--dry-run")
    assert "3 cells: 3 known, 0 to run" in answer.out
