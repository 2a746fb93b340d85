"""A vision-only encoder runs the methods that use image features alone, and says why others have no value."""

from __future__ import annotations

import json
from hashlib import sha256
from shutil import copytree

import pytest
import timm
import torch
from timm.models import save_for_hf

import harness as package

from ..datasets.roots import write_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small vision transformer with random weights, as timm writes it."""
    torch.manual_seed(0)
    arguments = {"img_size": 64, "patch_size": 16, "embed_dim": 48, "depth": 1, "num_heads": 3, "num_classes": 7}
    made = tmp_path_factory.mktemp("models") / "Tiny-ViT"
    save_for_hf(timm.create_model("vit_tiny_patch16_224", **arguments), made, safe_serialization=True)
    return made


def test_methods_of_image_features_run_and_others_do_not_apply(harness, world, tmp_path, folder):
    out, name = tmp_path / "results", f"timm:local-dir:{folder}"
    where = ("--data", world, "--out", out, "--all-domains", "--backbone", name, "--seeds", "1", "--workers", "1")
    answer = harness("evaluate", *where, "--plugin", "linear_probe,prototypes,zero_shot", "--shots", "2", "--json")
    assert answer.code == 0, answer.err
    rows = {row["method"]: row for row in answer.json["rows"]}
    reason = "timm:local-dir:Tiny-ViT has no text tower, and zero_shot needs one"
    assert {(f["kind"], f["reason"]) for f in rows["zero_shot"]["failures"]} == {("not applicable", reason)}
    for method in ("linear_probe", "prototypes"):
        assert rows[method]["backbone"] == "timm:local-dir:Tiny-ViT/model.safetensors"
        assert rows[method]["complete"]
        assert "oop_top1" in rows[method]["mean"]
        assert "ip_retention" not in rows[method]["mean"]
        assert "timm" in rows[method]["versions"]
        assert "text" not in rows[method]["method_record"]
    assert str(folder.parent) not in json.dumps(answer.json)

    clusters = harness("evaluate", *where, "--protocol", "clustering", "--json")
    assert clusters.code == 0, clusters.err
    (row,) = clusters.json["rows"]
    assert (row["method"], row["method_record"]["needs"]) == ("kmeans_naming", ["unlabeled", "clusters"])
    assert {"oop_cluster_acc", "ip_cluster_acc"} <= set(row["mean"])

    refused = harness("evaluate", *where, "--plugin", "fsnl")
    assert refused.code == 2
    assert "timm:local-dir:Tiny-ViT has no text tower, and fsnl needs one" in refused.err

    verified = harness("leaderboard", "verify", out, "--data", world)
    assert verified.code == 0, verified.err
    again = harness("reproduce", f"{out}#prototypes", "--data", world, "--pretrained", folder, "--json")
    assert again.code == 0, again.err
    assert (again.json["settings"], again.json["results"]) == ([], [])

    same = package.evaluate(
        "prototypes", domains="all", backbone=name, data=world, out=out, shots=2, seeds=1, workers=1
    )
    assert {row["oop_top1"] for row in same.rows if row["method"] == "prototypes"} == {
        s["oop_top1"]["mean"] for s in rows["prototypes"]["domains"].values()
    }


def test_clusters_do_not_depend_on_whether_they_are_named(harness, world, tmp_path):
    where = (
        "--data",
        world,
        "--out",
        tmp_path / "results",
        "--all-domains",
        "--backbone",
        "beyond-mini",
        "--seeds",
        "1",
        "--workers",
        "1",
    )
    one, other = (
        harness("evaluate", *where, "--protocol", "clustering", "-p", f"kmeans_naming.naming={naming}", "--json")
        for naming in ("none", "prompts")
    )
    assert one.json["rows"][0]["domains"] == other.json["rows"][0]["domains"]


def test_a_method_has_an_encoder_of_timm_beside_the_backbone(harness, world, tmp_path, folder):
    out, texts = tmp_path / "results", write_texts(tmp_path / "texts.json")
    where = ("--data", world, "--out", out, "--domain", "Animals", "--backbone", "beyond-mini", "--seeds", "1")
    run = ("--plugin", "nola_head", "--texts", texts, "-p", f"nola_head.encoder=local-dir:{folder}")
    answer = harness("evaluate", *where, *run, "--baseline", "none", "--workers", "1", "--json")
    assert answer.code == 0, answer.err
    (row,) = answer.json["rows"]
    weights = folder / "model.safetensors"
    assert row["complete"]
    record = row["method_record"]
    assert record["encoders"] == {"timm:local-dir:Tiny-ViT": sha256(weights.read_bytes()).hexdigest()}
    assert record["parameters"]["encoder"] == "local-dir:Tiny-ViT"
    assert record["needs"] == ["unlabeled", "vocabulary", "texts"]
    assert str(folder.parent) not in json.dumps(answer.json)
    assert {"oop_top1", "ip_top1", "joint_h_mean", "named_acc"} <= set(row["mean"])

    verified = harness("leaderboard", "verify", out, "--data", world)
    assert verified.code == 0, verified.err
    again = ("reproduce", f"{out}#nola_head", "--data", world, "--json", "--file", texts)
    lacking = harness(*again)
    assert lacking.code == 2
    said = " ".join(lacking.err.split())
    assert "nola_head was run with the encoder timm:local-dir:Tiny-ViT, whose folder is not recorded" in said
    assert f"give its weights with --file: the file of sha256 {record['encoders']['timm:local-dir:Tiny-ViT']}" in said
    moved = tmp_path / "elsewhere" / "Tiny-ViT"
    copytree(folder, moved)
    found = harness(*again, "--file", moved / "model.safetensors")
    assert found.code == 0, found.err
    assert (found.json["settings"], found.json["results"]) == ([], [])
