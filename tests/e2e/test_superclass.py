"""Superclasses instead of classes: run, verified, reproduced, and rejected without superclasses."""

from __future__ import annotations

import json

import pytest

from harness.results.leaderboard_file import read_board
from harness.results.predictions import unpack
from harness.results.store import predictions_path

from ..datasets.roots import edit_split, make_root
from ..makers import ONLY_OOP
from .test_evaluate import rows

FOLDERS = {"Food4_OOP": ("rose hip", "oak", "elm", "ash"), "Food2_IP": ("plum", "tea")}
QUICK = ("--backbone", "beyond-mini", "--seeds", "1,2", "--shots", "2")
KIND = ("shrub", "tree", "tree", "tree")


@pytest.fixture
def root(tmp_path):
    """One domain, whose sides share a superclass."""
    root = make_root(tmp_path / "data", FOLDERS)
    name(root, KIND)
    name(root, ("tree", "tree"), "Food2_IP")
    return root


def name(root, kind, folder="Food4_OOP"):
    """Give every image of a folder the superclass of its class."""

    def edit(split):
        for item in (item for part in split.values() for item in part.values()):
            item["superclass"], item["s_label"] = kind[item["label"]], [*dict.fromkeys(kind)].index(kind[item["label"]])

    edit_split(root / folder, edit)


@pytest.fixture
def run(harness, root, tmp_path):
    """Evaluates on the one domain, by the protocol of superclasses if no other is given."""

    def call(*arguments, protocol="superclass", out=tmp_path / "results"):
        where = ("--data", root, "--all-domains", "--out", out, "--workers", "1", *QUICK)
        return harness("evaluate", *where, "--protocol", protocol, *arguments, "--json")

    return call


def test_zero_shot_scores_superclasses_of_oop_images(run, tmp_path):
    answer = run()
    assert answer.code == 0, answer.err
    (row,) = rows(answer).values()
    assert (row["method"], row["protocol"], row["shots"]) == ("zero_shot", "superclass", 0)
    assert set(row["domains"]["Food"]) - {"oop_macro_std"} == ONLY_OOP
    (sheet,) = [json.loads(path.read_text()) for path in (tmp_path / "results" / "labels").iterdir()]
    assert set(sheet["sides"]) == {"oop"}
    oop = sheet["sides"]["oop"]
    assert oop["names"] == ["shrub", "tree"]
    assert all(
        KIND[FOLDERS["Food4_OOP"].index(path.split("/")[1])] == oop["names"][label]
        for path, label in zip(oop["paths"], oop["labels"], strict=True)
    )
    (digest,) = row["data"]["Food"]["predictions"].values()
    predicted = unpack((tmp_path / "results" / predictions_path(digest)).read_bytes())["oop"]
    labels = [label for _, label in sorted(zip(oop["sha256"], oop["labels"], strict=True))]
    assert row["domains"]["Food"]["oop_top1"]["mean"] == (predicted == labels).mean()


def test_superclasses_equal_to_classes_give_same_scores(run, root, tmp_path):
    name(root, FOLDERS["Food4_OOP"])
    (of_superclasses,) = rows(run()).values()
    (of_classes,) = rows(run("--plugin", "zero_shot", protocol="clean-v1", out=tmp_path / "classes")).values()
    figures = [row["domains"]["Food"]["oop_top1"]["mean"] for row in (of_superclasses, of_classes)]
    assert figures[0] == figures[1]
    assert of_superclasses["data"]["Food"]["fingerprint"] != of_classes["data"]["Food"]["fingerprint"]


def test_few_shot_methods_draw_images_of_superclasses(run, harness, root, cache, tmp_path):
    found = rows(run("--plugin", "fsnl,linear_probe,zsnl,gda", "-p", "fsnl.epochs=2", "-p", "zsnl.epochs=2"))
    assert not any(row["failures"] for row in found.values()), {m: row["failures"] for m, row in found.items()}
    for path in (tmp_path / "results" / "manifests").iterdir():
        manifest = json.loads(path.read_text())
        assert (manifest["protocol"], manifest["names"]) == ("superclass", ["shrub", "tree"])
        assert [pick["label"] for pick in manifest["picks"]] == 2 * [0, 0, 1, 1]
    exported = harness(
        "manifest",
        "export",
        "--data",
        root,
        "--shots",
        "2",
        "--seeds",
        "1,2",
        "--protocol",
        "superclass",
        "--out",
        tmp_path / "draws",
        "--cache",
        cache,
    )
    assert exported.code == 0, exported.err
    drawn, run_with = ({path.name for path in (tmp_path / place).iterdir()} for place in ("draws", "results/manifests"))
    assert drawn == run_with
    verdict = harness("leaderboard", "verify", tmp_path / "results", "--data", root, "--cache", cache)
    assert verdict.code == 0, verdict.out
    again = harness("reproduce", f"{tmp_path / 'results'}#fsnl", "--data", root, "--cache", cache)
    assert again.code == 0, again.out + again.err


def test_superclass_row_is_verified_reproduced_and_separate(run, harness, root, cache, tmp_path):
    run()
    run("--plugin", "zero_shot", protocol="clean-v1")
    results = tmp_path / "results"
    (chosen,) = [row.id for row in read_board(results).rows if row.protocol == "superclass"]
    again = harness("reproduce", f"{results}#{chosen}", "--data", root, "--cache", cache)
    assert again.code == 0, again.out + again.err
    tables = harness("leaderboard", "show", results, "-m", "oop_top1", "--json").json
    assert sorted(table["protocol"] for table in tables) == ["clean-v1", "superclass"]
    compared = harness("leaderboard", "compare", results, "--published", "--json").json["comparisons"]
    ours = [c for c in compared if c["left"] == "ours" and any("superclass" in reason for reason in c["reasons"])]
    assert ours
    assert not any(c["comparable"] for c in ours)
    name(root, ("tree", "shrub", "tree", "tree"))
    verdict = harness("leaderboard", "verify", results, "--data", root, "--cache", cache)
    assert verdict.code != 0
    assert "is labelled 'tree', in the row 'shrub'" in verdict.out


def test_missing_superclasses_are_user_error(run, root):
    def forget(split):
        for item in (item for part in split.values() for item in part.values()):
            del item["superclass"]

    edit_split(root / "Food4_OOP", forget)
    answer = run()
    assert answer.code == 2
    assert "the split file of Food4_OOP has no superclass" in answer.err
    assert run("--plugin", "zero_shot", protocol="clean-v1").code == 0


def test_contradicting_superclasses_are_listed(run, harness, root):
    edit_split(root / "Food4_OOP", lambda split: split["test"]["0"].update(s_label=1))
    assert run("--plugin", "zero_shot", protocol="clean-v1").code == 0
    answer = harness("data", "check", root)
    assert answer.code == 1
    assert "test item 0 gives superclass 'shrub' s_label 1, but an earlier item gives it s_label 0" in answer.out
