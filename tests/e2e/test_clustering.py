"""Clustering protocols, and classes that methods discover in an unlabeled pool."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.results.predictions import digest, pack, unpack
from harness.results.store import ResultStore, predictions_path
from harness.types.leaderboard import Row

from ..makers import CLUSTERING, MIXED, POOL
from .test_evaluate import DOMAINS, rows

TABLE_1 = ("--protocol", "clustering", "--baseline", "none")


def board(tmp_path):
    return json.loads((tmp_path / "results" / "leaderboard.json").read_text())


def change_predictions(tmp_path, row, domain, change):
    """Replace the stored predictions of a row and its cell, with matching hashes."""
    content, store = board(tmp_path), ResultStore(tmp_path / "results")
    made = next(r for r in content["rows"] if r["method"] == row)
    found = made["data"][domain]["predictions"]
    cell = store.get(Row.model_validate_json(json.dumps(made)).spec(domain, 1).key)
    predicted = unpack((store.root / predictions_path(found["1"])).read_bytes())
    change(predicted)
    packed = pack(predicted)
    store.put(cell.model_copy(update={"predictions": digest(packed), "predictions_content": packed}))
    found["1"] = digest(packed)
    (tmp_path / "results" / "leaderboard.json").write_text(json.dumps(content))


@pytest.fixture
def table_1(harness, world, tmp_path):
    where = ("--all-domains", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    return harness("evaluate", *where, "--protocol", "clustering", "--seeds", "1,2", "--workers", "1", "--json")


@pytest.fixture
def discover(harness, world, tmp_path):
    """Evaluates k-means naming and zero-shot on one domain."""
    where = ("--domain", "Animals", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    return lambda *more: harness("evaluate", *where, "--plugin", "kmeans_naming", "--seeds", "1", "--json", *more)


def test_clustering_scores_both_sides_and_gap(table_1, tmp_path):
    assert table_1.code == 0, table_1.err
    (row,) = rows(table_1).values()
    assert (row["protocol"], row["method"], row["shots"]) == ("clustering", "kmeans_naming", 0)
    assert row["method_record"]["pool"] == "test-unlabeled"
    assert set(row["domains"]) == DOMAINS
    for domain, stats in row["domains"].items():
        assert set(stats) == CLUSTERING, domain
        assert stats["cluster_gap"]["mean"] == pytest.approx(
            stats["ip_cluster_acc"]["mean"] - stats["oop_cluster_acc"]["mean"]
        )
        assert all(0 <= stats[metric]["mean"] <= 1 for metric in ("ip_cluster_acc", "oop_cluster_acc"))
    assert set(row["mean"]) == CLUSTERING


def test_clustering_scores_follow_from_stored_clusters(table_1, harness, tmp_path):
    assert harness("leaderboard", "verify", tmp_path / "results").code == 0
    change_predictions(tmp_path, "kmeans_naming", "Animals", lambda p: p.update(oop_cluster=0 * p["oop_cluster"]))
    answer = harness("leaderboard", "verify", tmp_path / "results")
    assert answer.code != 0
    assert "Animals.oop_cluster_acc.mean: the file says" in answer.out


def test_clustering_row_is_reproducible(table_1, harness, world, cache, tmp_path):
    words = ("reproduce", f"{tmp_path / 'results'}#kmeans_naming", "--data", world, "--cache", cache)
    answer = harness(*words)
    assert answer.code == 0, answer.out + answer.err


def test_clustering_table_is_compared_with_published(table_1, harness, tmp_path):
    shown = harness("leaderboard", "show", tmp_path / "results", "--json").json
    assert shown[0]["metric"] == "oop_cluster_acc"
    assert 0 <= shown[0]["rows"][0]["mean"]["low"] <= shown[0]["rows"][0]["mean"]["high"] <= 1
    compared = harness("leaderboard", "compare", tmp_path / "results", "--published", "--json").json
    (one,) = [c for c in compared["comparisons"] if c["right"] == "Table 1"]
    assert one["figures"]["Animals"]["oop_cluster_acc"]["right"] == pytest.approx(0.3727)
    assert not one["comparable"]


def test_clustering_rejects_methods_with_other_needs(harness, world, tmp_path):
    where = ("--domain", "Animals", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    answer = harness("evaluate", *where, *TABLE_1, "--plugin", "fsnl,zero_shot", "--seeds", "1", "--json")
    assert answer.code == 0
    reasons = {method: {(f["kind"], f["reason"]) for f in row["failures"]} for method, row in rows(answer).items()}
    gives = "the protocol gives unlabeled images and their classes"
    assert reasons["fsnl"] == {("not applicable", f"fsnl needs captions, support; {gives}")}
    assert [kind for kind, _ in reasons["zero_shot"]] == ["not applicable"]


@pytest.mark.parametrize("pool", ["train-unlabeled", "test-unlabeled"])
def test_pool_discovery_is_recorded_and_verified(discover, harness, tmp_path, pool):
    answer = discover("-p", f"kmeans_naming.pool={pool}")
    found = rows(answer)
    assert found["kmeans_naming"]["method_record"]["pool"] == pool
    assert found["zero_shot"]["method_record"]["pool"] is None
    stats = found["kmeans_naming"]["domains"]["Animals"]
    assert set(stats) >= POOL
    assert not POOL & set(found["zero_shot"]["domains"]["Animals"])
    if pool == "test-unlabeled":  # what is named there are the scored images
        assert stats["named_acc"]["mean"] == pytest.approx(stats["oop_top1"]["mean"])
    assert harness("leaderboard", "verify", tmp_path / "results").code == 0
    table = harness("leaderboard", "show", tmp_path / "results").out
    assert "discovery" in table
    assert pool in table

    def rename(predicted):
        predicted["cluster_name"] = np.roll(predicted["cluster_name"], 1)

    change_predictions(tmp_path, "kmeans_naming", "Animals", rename)
    tampered = harness("leaderboard", "verify", tmp_path / "results")
    assert tampered.code != 0
    assert "named_acc.mean: the file says" in tampered.out


def test_clusters_of_another_number_of_images_are_not_verifiable(discover, harness, tmp_path):
    discover()
    change_predictions(tmp_path, "kmeans_naming", "Animals", lambda p: p.update(pool_cluster=p["pool_cluster"][1:]))
    answer = harness("leaderboard", "verify", tmp_path / "results")
    assert answer.code != 0
    assert "pool_cluster images, but there are" in answer.out


@pytest.fixture
def mixed(harness, world, tmp_path):
    where = ("--all-domains", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    methods = ("--plugin", "kmeans_naming,zsnl", "-p", "zsnl.epochs=1", "--workers", "1")
    return harness("evaluate", *where, "--protocol", "discovery", *methods, "--seeds", "1", "--json")


def test_discovery_scores_mixed_clusters_under_one_naming(mixed, harness, world, cache, tmp_path):
    assert mixed.code == 0, mixed.err
    found = rows(mixed)
    assert set(found) == {"kmeans_naming", "zsnl"}
    for row in found.values():
        assert not row["failures"]
        assert set(row["mean"]) == MIXED
        for domain, stats in row["domains"].items():
            images = row["data"][domain]["images"]
            right = stats["old_cluster_acc"]["mean"] * images["ip"] + stats["new_cluster_acc"]["mean"] * images["oop"]
            assert stats["all_cluster_acc"]["mean"] == pytest.approx(right / sum(images.values()))
    out = tmp_path / "results"
    assert harness("leaderboard", "verify", out, "--data", world, "--cache", cache).code == 0
    for metric in MIXED:
        (shown,) = harness("leaderboard", "show", out, "-m", metric, "--json").json
        assert all(row["mean"]["low"] <= row["mean"]["mean"] <= row["mean"]["high"] for row in shown["rows"])
    assert harness("reproduce", f"{out}#kmeans_naming", "--data", world, "--cache", cache).code == 0
    change_predictions(tmp_path, "zsnl", "Animals", lambda p: p.update(joint_ip_cluster=0 * p["joint_ip_cluster"]))
    answer = harness("leaderboard", "verify", out)
    assert answer.code != 0
    assert "Animals.old_cluster_acc.mean: the file says" in answer.out


def test_discovery_needs_both_sides(harness, make_root, tmp_path):
    root = make_root(tmp_path / "data", {"Food4_OOP": ("rose", "oak", "elm", "ash")})
    where = ("--domain", "Food", "--data", root, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    (row,) = rows(harness("evaluate", *where, "--protocol", "discovery", "--seeds", "1", "--json")).values()
    reasons = {(f["kind"], f["reason"]) for f in row["failures"]}
    assert reasons == {("not applicable", "the data have no IP images to mix with the OOP images")}


@pytest.fixture
def as_released(harness, world, tmp_path):
    where = ("--all-domains", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    return harness("evaluate", *where, "--protocol", "clustering-2025", "--seeds", "1", "--workers", "1", "--json")


def test_clustering_2025_scores_five_sixths_of_all_images(as_released, harness, world, cache, tmp_path):
    assert as_released.code == 0, as_released.err
    (row,) = rows(as_released).values()
    assert set(row["mean"]) == CLUSTERING
    prepared = row["backbone_record"]["preprocessing"]
    assert (row["decoding"], prepared["crop"], prepared["mean"][0]) == ("plain", 0.875, 0.485)
    assert row["data"]["Animals"]["images"] == {"oop": 6 * 7, "ip": 3 * 7}, "of nine images of a class seven"
    out = tmp_path / "results"
    assert harness("leaderboard", "verify", out).code == 0
    assert harness("leaderboard", "verify", out, "--data", world, "--cache", cache).code == 0
    assert harness("reproduce", f"{out}#kmeans_naming", "--data", world, "--cache", cache).code == 0
    compared = harness("leaderboard", "compare", out, "--published", "--json").json
    assert [c["right"] for c in compared["comparisons"]] == ["Table 1"]


def test_clustering_2025_has_its_own_table(table_1, as_released, harness, tmp_path):
    shown = harness("leaderboard", "show", tmp_path / "results", "-m", "oop_cluster_acc", "--json").json
    assert sorted(table["protocol"] for table in shown) == ["clustering", "clustering-2025"]
    images = {row["protocol"]: row["data"]["Animals"] for row in board(tmp_path)["rows"]}
    assert images["clustering"]["fingerprint"] != images["clustering-2025"]["fingerprint"], "other images are scored"
    assert harness("leaderboard", "verify", tmp_path / "results").code == 0


def test_clustering_2025_needs_the_list_of_all_images(harness, make_root, tmp_path):
    root = make_root(tmp_path / "data", {"Food4_OOP": ("rose", "oak", "elm", "ash")})
    (root / "Food4_OOP" / "merged_mapping.json").unlink()
    where = ("--domain", "Food", "--data", root, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    answer = harness("evaluate", *where, "--protocol", "clustering-2025", "--seeds", "1")
    assert answer.code == 2
    assert "Food4_OOP has no merged_mapping.json" in answer.err
    assert harness("evaluate", *where, "--protocol", "clustering", "--seeds", "1").code == 0


def test_clustering_2025_reports_list_without_matching_images(harness, make_root, tmp_path):
    root = make_root(tmp_path / "data", {"Food2_OOP": ("rose", "oak"), "Food2_IP": ("elm", "ash")})
    (root / "Food2_IP" / "merged_mapping.json").write_text('{"elm": ["gone.jpg", "away.jpg"]}')
    where = ("--domain", "Food", "--data", root, "--backbone", "beyond-mini", "--out", tmp_path / "results")
    answer = harness("evaluate", *where, "--protocol", "clustering-2025", "--seeds", "1")
    assert answer.code == 2
    assert "clustering-2025 finds no image of Food2_IP to score" in answer.err
