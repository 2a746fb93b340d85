"""Bad input, methods and disks: each gives an error message, and the rest continues."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from harness.cli import doctor
from harness.registry import plugin_code

from ..datasets.roots import edit_split, make_root
from ..third_party.installed import install

PLUGIN = (Path(__file__).parent / "hostile.py").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def site(tmp_path_factory, monkeypatch):
    """A folder with a distribution that offers ``hostile``."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "hostile", PLUGIN)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.startswith("hostile")]:
        del sys.modules[name]


def without_place(reason):
    """A reason without the line of the method's code that it names."""
    return re.sub(r" \(hostile(_\w+)?\.py:\d+ in fit\)$", "", reason)


def evaluate_hostile(evaluate, how):
    return evaluate("--plugin", "hostile,fsnl", "-p", f"hostile.how={how}", "--baseline", "none")


def test_failed_cell_is_recorded_others_continue_and_only_it_is_retried(evaluate, tmp_path):
    reason = "hostile raised ValueError: the moon is in the wrong place"
    answer = evaluate_hostile(evaluate, "raise")
    assert answer.code == 1
    row = next(r for r in answer.json["rows"] if r["method"] == "hostile")
    assert [(f["domain"], f["seed"], f["kind"], without_place(f["reason"])) for f in row["failures"]] == [
        ("Animals", 1, "error", reason),
        ("Animals", 2, "error", reason),
    ]
    assert set(row["domains"]) == {"Insects_Spiders", "Ville d'été"}
    assert row["mean"] == {}
    assert row["complete"] is False
    assert reason in answer.err
    file = tmp_path / "results" / "leaderboard.json"
    before = file.read_bytes()
    assert "running cells: 2 cells" in evaluate_hostile(evaluate, "raise").err
    evaluate("--plugin", "fsnl", "--baseline", "none")
    assert file.read_bytes() == before, "the reason remains where the method is not run again"


REASONS = {
    "undeclared": "the task has no support: the method does not declare it",
    "other": "hostile_other.fit returned object; fit must return self",
    "nan": "hostile_nan.scores returned NaN or infinity",
    "shape": "hostile_shape.scores returned (27, 8); scores must be (27, 9)",
    "type": "hostile_type.scores returned torch.int64; scores must be a floating-point tensor",
}


def test_reason_of_a_failed_cell_says_what_the_method_did(evaluate, site):
    for how in REASONS:
        install(site, f"hostile_{how}", PLUGIN.replace('how: str = "raise"', f'how: str = "{how}"'))
    names = [f"hostile_{how}" for how in REASONS]
    answer = evaluate("--plugin", ",".join([*names, "fsnl"]), "--domain", "Animals", "--baseline", "none")
    assert answer.code == 1
    rows = {row["method"]: row for row in answer.json["rows"]}
    assert rows["fsnl"]["failures"] == []
    found = {name: {(f["kind"], without_place(f["reason"])) for f in rows[name]["failures"]} for name in names}
    assert found == {f"hostile_{how}": {("error", reason)} for how, reason in REASONS.items()}


def test_failed_row_is_replaced_when_method_is_fixed(evaluate, site, tmp_path):
    only = ("--plugin", "hostile,fsnl", "--domain", "Animals", "--baseline", "none")
    evaluate(*only, "-p", "hostile.how=raise")
    install(site, "hostile", PLUGIN + "# mended")
    plugin_code.code_digest.cache_clear()
    evaluate(*only, "-p", "hostile.how=mended")
    found = json.loads((tmp_path / "results" / "leaderboard.json").read_text())["rows"]
    (row,) = [row for row in found if row["method"] == "hostile"]
    assert row["failures"] == []


def test_fixed_vocabulary_is_not_applicable(evaluate):
    answer = evaluate_hostile(evaluate, "fixed")
    assert answer.code == 0
    row = next(r for r in answer.json["rows"] if r["method"] == "hostile")
    reasons = {(f["domain"], f["kind"], f["reason"]) for f in row["failures"]}
    assert reasons == {("Animals", "not applicable", "it knows the OOP names only")}, "it knows all names elsewhere"
    assert "ip_top1" in row["domains"]["Insects_Spiders"]
    assert row["mean"] == {}


def test_method_that_mutates_inputs_affects_no_other(evaluate, tmp_path):
    only = ("--domain", "Animals", "--baseline", "none")
    clean = evaluate("--plugin", "fsnl", *only, out=tmp_path / "clean")
    mixed = evaluate("--plugin", "hostile,fsnl", "-p", "hostile.how=write", *only)
    pick = [next(r for r in a.json["rows"] if r["method"] == "fsnl")["domains"] for a in (clean, mixed)]
    assert pick[0] == pick[1]


def test_corrupt_images_are_listed_and_neither_scored_nor_fitted_on(evaluate, tmp_path):
    data = make_root(tmp_path / "data")
    folder = data / "Animals6_OOP"
    content = json.loads((folder / "split_Xin_Animals6_OOP.json").read_text())
    gone = [f"Animals6_OOP/images/{i['classname']}/{i['image_name']}" for i in list(content["test"].values())[:3]]
    (data / gone[0]).write_bytes(b"")
    (data / gone[1]).write_bytes(b"no image at all")
    (data / gone[2]).unlink()
    empty = sorted((folder / "images/ibex").iterdir())[:4]  # all of its train images, of which two are drawn
    for path in empty:
        path.write_bytes(b"")
    answer = evaluate("--domain", "Animals", data=data)
    assert answer.code == 0
    row = next(r for r in answer.json["rows"] if r["method"] == "fsnl")
    unreadable = row["data"]["Animals"]["unreadable"]
    assert unreadable == sorted(unreadable)
    assert set(gone) < set(unreadable)
    drawn = set(unreadable) - set(gone)
    assert len(drawn) >= 2
    assert drawn <= {path.relative_to(data).as_posix() for path in empty}
    assert row["data"]["Animals"]["images"]["oop"] == 15


def test_a_root_with_decomposed_names_gives_the_same_row_also_where_an_image_is_corrupt(harness, evaluate, tmp_path):
    found = []
    for form in ("NFC", "NFD"):
        data, out = make_root(tmp_path / form / "data"), tmp_path / form / "results"
        folder = data / "Animals6_OOP/images"
        (deer,) = folder.glob("P*deer")
        sorted(deer.iterdir())[-1].write_bytes(b"no image at all")
        deer.rename(folder / unicodedata.normalize(form, deer.name))
        answer = evaluate("--domain", "Animals", data=data, out=out)
        found.append(answer.json["rows"])
        checked = harness("leaderboard", "verify", out, "--data", data)
        assert checked.code == 0, checked.out
    (unreadable,) = found[0][0]["data"]["Animals"]["unreadable"]
    assert "Père David's deer" in unreadable
    assert found[0] == found[1]


def test_bad_file_loses_one_image_at_most(harness, tmp_path):
    data = make_root(tmp_path / "data")
    images = data / "Animals6_OOP/images"
    pipe, pointer, page = sorted((images / "ibex").iterdir())[-3:]
    cut, long = sorted((images / "great_auk").iterdir())[-2:]
    pipe.unlink()
    os.mkfifo(pipe)
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    page.write_text("<!DOCTYPE html><title>404</title>")
    cut.write_bytes(cut.read_bytes()[:90])
    Image.new("L", (400_000, 1), 90).save(long, "PNG")
    where = ("--data", data, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    answer = harness("evaluate", "--plugin", "zero_shot", "--domain", "Animals", *where, "--seeds", "1")
    assert answer.code == 0, answer.err
    bad = sorted(path.relative_to(data).as_posix() for path in (pipe, pointer, page, cut))
    found = json.loads((tmp_path / "results/leaderboard.json").read_text())["rows"][0]["data"]["Animals"]
    assert found["unreadable"] == bad
    assert found["images"]["oop"] == 18 - len(bad)
    verified = harness("leaderboard", "verify", tmp_path / "results", "--data", data)
    assert verified.code == 0, verified.out
    checked = harness("data", "check", data)
    assert checked.code == 1
    for reported in (
        f"{pipe.name}: the file cannot be read (it is a named pipe, not a file)",
        f"{pointer.name}: the file is a Git LFS pointer and not the file itself: run `git lfs pull`",
        f"{page.name}: the file is a web page: get the file again",
        f"{cut.name}: the image cannot be decoded",
    ):
        assert reported in answer.err
        assert reported in checked.out
    assert f"of which only the middle is used, first images/great_auk/{long.name}" in checked.out


def test_a_fault_is_shown_with_its_path_once(harness, tmp_path):
    root = make_root(tmp_path / "data")
    label_file = root / "Animals6_OOP" / "label2name.json"
    label_file.write_text("{")
    (root / "Animals3_IP" / "images" / "cat" / "000 plain.jpg").write_bytes(b"")
    shown = [line.strip() for line in harness("data", "check", root).out.splitlines()]
    assert "Animals3_IP/images/cat/000 plain.jpg: the file is empty" in shown
    assert any(line.startswith("Animals6_OOP/label2name.json is damaged or truncated") for line in shown)


def test_unreadable_images_are_listed_with_reason(harness, tmp_path):
    data = make_root(tmp_path / "data")
    files = sorted((data / "Animals6_OOP/images/ibex").iterdir())[-3:]
    for path in files[:2]:
        path.write_bytes(b"")
    files[2].unlink()
    where = ("--data", data, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    answer = harness("evaluate", "--plugin", "zero_shot", "--domain", "Animals", *where, "--seeds", "1")
    names = [path.relative_to(data).as_posix() for path in files]
    reported = f"3 images could not be read and are not scored:\n  {names[0]}: the file is empty\n"
    assert f"{reported}  {names[1]}: the file is empty\n  {names[2]}: the file does not exist\n" in answer.err


def test_a_truncated_split_file_loses_its_domain_only(evaluate, tmp_path):
    data = make_root(tmp_path / "data")
    file = data / "Animals6_OOP/split_Xin_Animals6_OOP.json"
    file.write_bytes(file.read_bytes()[:700])
    answer = evaluate(data=data)
    assert answer.code == 1
    row = answer.json["rows"][0]
    assert [f["domain"] for f in row["failures"]] == ["Animals"]
    assert "split_Xin_Animals6_OOP.json" in row["failures"][0]["reason"]
    assert set(row["domains"]) == {"Insects_Spiders", "Ville d'été"}


def test_broken_only_domain_is_user_error(evaluate, tmp_path):
    data = make_root(tmp_path / "data")

    def leave(content):
        content["test"]["3"]["image_name"] = "../../../../secret.jpg"

    edit_split(data / "Animals6_OOP", leave)
    answer = evaluate("--domain", "Animals", data=data)
    assert answer.code == 2
    assert "test item 3" in answer.err
    assert "Traceback" not in answer.err


def test_missing_class_folder_is_user_error(evaluate, tmp_path):
    data = make_root(tmp_path / "data")
    (data / "Animals6_OOP/images/ibex").rename(data / "elsewhere")
    answer = evaluate("--domain", "Animals", data=data)
    assert answer.code == 2
    assert "names class 'ibex', which has no folder under images/" in answer.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("evaluate", "--plugin", "fsnl", "--domain", ""), "--domain names no domain"),
        (("evaluate", "--all-domains", "--plugin", "fsln"), "did you mean fsnl?"),
        (("evaluate", "--all-domains", "--shots", "many"), "--shots 'many' is not a list of numbers"),
        (("evaluate", "--all-domains", "--shots", "0"), "shots must be whole numbers from 1 on"),
        (("evaluate", "--all-domains", "--shots", "3-1"), "--shots 3-1 is not a range of 1 to 10,000 numbers"),
        (("evaluate", "--all-domains", "--seeds", "1-99999999999"), "--seeds 1-99999999999 is not a range"),
        (("evaluate", "--all-domains", "--backbone", "ViT-B16"), "did you mean ViT-B-16?"),
        (("evaluate", "--all-domains", "--seeds", "9" * 19), f"--seeds '{'9' * 19}' is not a list of numbers"),
        (("evaluate", "--all-domains", "--plugin", "all,fsln"), "did you mean fsnl?"),
        (("bench", "matching", "--seeds", "0"), "Invalid value for '--seeds'"),
        (("manifest", "export", "--protocol", "clustering", "--out", "draws"), "clustering draws nothing"),
        (("features", "clear", "abc"), "no encoder named 'abc'"),
        (("evaluate", "--all-domains", "--device", "tpu"), "no device named 'tpu'"),
        (("evaluate", "--all-domains", "--precision", "fp8"), "no precision named 'fp8'"),
        (("evaluate", "--all-domains", "--precision", "tf32", "--device", "cpu"), "tf32 is a mode of CUDA devices"),
        (("evaluate", "--all-domains", "--protocol", "clean"), "did you mean clean-v1?"),
        (("evaluate", "--all-domains", "--data", "nowhere"), "data folder nowhere does not exist"),
        (("leaderboard", "show", ""), "a path is empty"),
        (("evaluate", "--all-domains", "-p", "fsnl.rate=1"), "no parameter of fsnl named 'rate'"),
        (("evaluate", "--all-domains", "-p", "fsnl.lr=fast"), "fsnl: parameter lr='fast' is not valid"),
        (("evaluate", "--all-domains", "-p", "lr"), "--param lr has no value"),
        (("evaluate", "--all-domains", "--preprocessing", "mean=0.5,std"), "--preprocessing std has no value"),
        (("evaluate", "--all-domains", "--preprocessing", "std=0.5,std=0.4"), "--preprocessing has std twice"),
        (("evaluate", "--all-domains", "--preprocessing", "fill_color=300"), "fill_color is 300"),
        (("evaluate", "--all-domains", "--preset", "papper"), "did you mean paper?"),
        (("evaluate", "--domain", "Animal"), "did you mean Animals?"),
        (("evaluate", "--all-domains", "--workers", "0"), "Invalid value for '--workers'"),
        (("data", "miniature", "--out", "miniature", "--workers", "0"), "Invalid value for '--workers'"),
        (("evaluate", "--no-such-flag"), "No such option"),
        (("evaluat",), "No such command"),
    ],
)
def test_invalid_command_exits_with_code_2(harness, world, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "evaluate" and "--data" not in arguments and len(arguments) > 2:
        arguments = (*arguments, "--data", world)
        arguments += () if "--backbone" in arguments else ("--backbone", "beyond-mini")
    answer = harness(*arguments)
    assert answer.code == 2
    assert sentence in " ".join(answer.err.split())
    assert answer.out == ""
    assert "Traceback" not in answer.err


def test_removed_working_directory_is_user_error(harness, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    answer = harness("doctor")
    monkeypatch.chdir(tmp_path)
    assert (answer.code, answer.err.partition("\n")[0]) == (
        2,
        "error: the working directory was removed",
    )


def test_missing_network_error_suggests_local_file(harness, world, tmp_path, monkeypatch):
    from harness.backbones import openclip

    def unreachable(*args, **kwargs):
        raise OSError("[Errno -3] Temporary failure in name resolution")

    monkeypatch.setattr(openclip.open_clip, "download_pretrained", unreachable)
    answer = harness("evaluate", "--all-domains", "--data", world, "--out", tmp_path)
    assert answer.code == 2
    assert "the weights laion400m_e32 of ViT-B-16 cannot be fetched" in answer.err
    assert "--pretrained path/to/" in answer.err


def test_uncreatable_results_folder_is_user_error(evaluate, tmp_path):
    (tmp_path / "file").write_text("in the way")
    answer = evaluate(out=tmp_path / "file" / "results")
    assert answer.code == 2
    assert "results cannot be written" in answer.err
    assert "--out" in answer.err


def test_unwritable_cache_is_user_error(evaluate, tmp_path):
    (tmp_path / "file").write_text("in the way")
    answer = evaluate("--cache", tmp_path / "file" / "cache")
    assert answer.code == 2
    assert "features cannot be written" in answer.err
    assert "HARNESS_CACHE" in answer.err


def test_full_disk_is_user_error_and_finished_cells_remain(evaluate, tmp_path, monkeypatch):
    assert evaluate("--domain", "Insects_Spiders").code == 0
    before = {p: p.read_bytes() for p in sorted((tmp_path / "results").rglob("*.json"))}

    def full(path, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    answer = evaluate()
    assert answer.code == 2
    assert "no space left on device" in answer.err
    assert {p: p.read_bytes() for p in sorted((tmp_path / "results").rglob("*.json"))} == before
    assert not list((tmp_path / "results").rglob(".tmp-*"))


def test_broken_torch_is_user_error(harness, monkeypatch, tmp_path):
    """A driver's library that is missing is an OSError; a second attempt, as by each plugin, has another reason."""
    (tmp_path / "torch.py").write_text("raise OSError('libcudnn.so.9: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.syspath_prepend(tmp_path)
    answer = harness("evaluate", "--all-domains", "--data", make_root(tmp_path / "data"), "--backbone", "beyond-mini")
    assert (answer.code, answer.err.count("libcudnn.so.9")) == (2, 1)
    message, hint = answer.err.splitlines()[-2:]
    assert message.startswith("error: torch cannot be imported: libcudnn.so.9")
    assert doctor._device() == ("device", message.removeprefix("error: "), hint.removeprefix("hint: "), False)


def test_doctor_reports_invalid_cache_limit(harness, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_LIMIT", "plenty")
    answer = harness("doctor", "--json")
    reported = {line["what"]: line for line in json.loads(answer.out)}
    assert (answer.code, reported["feature cache"]["ok"]) == (1, False)
    assert "HARNESS_CACHE_LIMIT is 'plenty'" in reported["feature cache"]["state"]
