"""Labels of an unlabeled pool affect only its scores, from the data folders to the stored predictions."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from harness.metrics.prediction_kinds import PREDICTIONS
from harness.miniature.build import build, folder
from harness.miniature.world.domains import DOMAINS

METHODS = ("cluster_vote", "kmeans_naming", "transclip", "zsnl")


@pytest.fixture(scope="module")
def miniature(tmp_path_factory) -> Path:
    """One domain of the miniature with descriptive names."""
    with pytest.MonkeyPatch.context() as only:
        only.setattr("harness.miniature.build.DOMAINS", {"Landmark": DOMAINS["Landmark"]})
        return build(tmp_path_factory.mktemp("landmark") / "root", workers=1)


def relabelled(root: Path, copy: Path, part: range) -> Path:
    """A copy in which the images of a part change places among all classes; each class keeps as many."""
    shutil.copytree(root, copy)
    images = sorted((copy / folder("Landmark", "oop") / "images").glob("*/*.jpg"))
    places = [image for image in images if int(image.stem) in part]
    contents = [place.read_bytes() for place in places]
    random.Random(0).shuffle(contents)
    for place, content in zip(places, contents, strict=True):
        place.write_bytes(content)
    return copy


def answers(harness, data: Path, out: Path, *options: object) -> dict[str, tuple[dict, dict]]:
    """What every method answered, and the metrics; groups of images within a class, which labels make, left out."""
    words = ["--plugin", ",".join(METHODS), "--domain", "Landmark", "--seeds", "1", "--backbone", "beyond-mini"]
    done = harness("evaluate", *words, *options, "--data", data, "--out", out, "--workers", "1", "--json")
    assert done.code == 0, done.err
    found = {}
    for row in done.json["rows"]:
        (digest,) = row["data"]["Landmark"]["predictions"].values()
        files = [path for path in (out / "predictions").rglob("*") if path.is_file() and path.stem == digest]
        stored = load_file(files[0]).items()
        kept = {key: values.tolist() for key, values in stored if PREDICTIONS[key].holds != "groups"}
        found[row["method"]] = (kept, row["domains"]["Landmark"])
    return found


@pytest.mark.parametrize(("pool", "part"), [("train-unlabeled", range(16)), ("test-unlabeled", range(20, 40))])
def test_permuting_the_labels_of_the_pool_changes_no_prediction(harness, miniature, tmp_path, pool, part):
    options = [word for name in METHODS for word in ("-p", f"{name}.pool={pool}")]
    straight = answers(harness, miniature, tmp_path / "straight", *options)
    turned = answers(harness, relabelled(miniature, tmp_path / "copy", part), tmp_path / "turned", *options)
    assert {*straight} == {*turned} == {*METHODS, "zero_shot"}  # every run has the zero-shot baseline
    for name in METHODS:
        assert straight[name][0] == turned[name][0]
        before, after = (each[name][1]["named_acc"]["mean"] for each in (straight, turned))
        assert after < 0.1 < before  # the labels were others: what was named right is named wrong
