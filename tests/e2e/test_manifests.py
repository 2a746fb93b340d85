"""Few-shot draws on the command line: exported, rerun, imported, and rejected."""

from __future__ import annotations

import json

import pytest

QUICK = ("--plugin", "fsnl", "--baseline", "none")


@pytest.fixture
def exported(harness, world, cache, tmp_path):
    folder = tmp_path / "draws"
    answer = harness("manifest", "export", "--data", world, "--shots", "2", "--seeds", "1,2", "--out", folder)
    assert (answer.code, answer.out) == (0, f"6 draws in {folder}\n")
    return folder


def drawn(answer):
    (row,) = answer.json["rows"]
    return {domain: data["manifests"] for domain, data in row["data"].items()}


def test_exported_draws_reproduce_the_run(evaluate, exported, tmp_path):
    plain = evaluate(*QUICK)
    assert evaluate(*QUICK, "--manifests", exported, out=tmp_path / "again").json == plain.json
    stored, drawn = ({p.name: p.read_bytes() for p in f.iterdir()} for f in (tmp_path / "results/manifests", exported))
    assert stored == drawn, "so that the draws of a run may be given to another"


def test_imported_draw_is_run_verified_and_reproduced(harness, evaluate, exported, world, cache, tmp_path):
    theirs = []
    for path in exported.iterdir():
        manifest = json.loads(path.read_text())
        train = [pick for pick in manifest["picks"] if pick["part"] == "train"]
        manifest |= {"protocol": "one-shot-less", "picks": train[1:]}  # a draw that no protocol here makes
        theirs.append(tmp_path / f"{manifest['domain']} {manifest['seed']}.json")
        theirs[-1].write_text(json.dumps(manifest))
    answer = harness("manifest", "import", *theirs, "--out", tmp_path / "taken")
    assert answer.code == 0
    run = evaluate(*QUICK, "--manifests", tmp_path / "taken", "--protocol", "one-shot-less")
    assert run.code == 0
    (row,) = run.json["rows"]
    assert row["protocol"] == "one-shot-less"
    hashes = {digest for seeds in drawn(run).values() for digest in seeds.values()}
    assert hashes == {path.stem for path in (tmp_path / "taken").iterdir()}
    checked = harness("leaderboard", "verify", tmp_path / "results", "--data", world, "--cache", cache)
    assert checked.code == 0, checked.out
    assert "the rule of one-shot-less is not known here" in checked.out
    file = tmp_path / "elsewhere" / "submission.zip"  # it brings the draws along
    file.parent.mkdir()
    assert harness("leaderboard", "submit", f"{tmp_path / 'results'}#fsnl", "--out", file).code == 0
    again = harness("reproduce", file, "--data", world, "--cache", cache)
    assert again.code == 0, again.out
    assert again.out.endswith("0 differences in results, 0 in settings\n")
    assert again.err.count("reading domains: done") == 1


def test_mismatched_draws_are_user_errors(harness, evaluate, exported, tmp_path):
    answer = evaluate(*QUICK, "--manifests", exported, "--shots", "1")
    assert answer.code == 2
    assert "has no draw of clean-v1 for Animals, 1 shot, seed 1" in answer.err
    answer = evaluate(*QUICK, "--manifests", exported, "--protocol", "paper-2025")
    assert answer.code == 2
    assert "did you mean --protocol clean-v1?" in answer.err
    victim = sorted(exported.iterdir())[0]
    manifest = json.loads(victim.read_text())
    manifest["picks"][0]["label"] = 1 - manifest["picks"][0]["label"]
    (tmp_path / "by hand.json").write_text(json.dumps(manifest))
    victim.write_text(victim.read_text() + "\n")
    answer = evaluate(*QUICK, "--manifests", exported)
    assert answer.code == 2
    assert f"{victim.name} does not match its name" in answer.err
    victim.unlink()
    assert harness("manifest", "import", tmp_path / "by hand.json", "--out", exported).code == 0
    answer = evaluate(*QUICK, "--manifests", exported)
    assert answer.code == 2
    assert "under label" in answer.err


@pytest.mark.parametrize("protocol", ["clustering", "clustering-2025", "discovery"])
def test_export_rejects_protocol_without_draws(harness, world, tmp_path, protocol):
    answer = harness("manifest", "export", "--data", world, "--protocol", protocol, "--out", tmp_path / "draws")
    assert answer.code == 2
    assert f"{protocol} draws nothing" in answer.err
    assert not (tmp_path / "draws").exists()
