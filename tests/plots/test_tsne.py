"""Features in the plane: sides and classes look different, and the picture is the same every time."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.cli.main import execute
from harness.errors import DataError
from harness.plots import style
from harness.plots.tsne import embed, plot_tsne

from .test_figures import SVG, words

NAMES = {"ip": ("apple tart", "plum pie"), "oop": ("quiche $x$", "blini <b>")}


def features() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Four tight clusters on the sphere, one per concept."""
    random = np.random.default_rng(0)
    found = {}
    for i, side in enumerate(NAMES):
        label = np.repeat([0, 1], 12)
        centre = np.eye(8)[2 * i + label]
        image = centre + 0.05 * random.standard_normal((24, 8))
        found[side] = ((image / np.linalg.norm(image, axis=1, keepdims=True)).astype(np.float32), label)
    return found


def test_images_of_one_concept_lie_together() -> None:
    data = features()
    place = embed(np.concatenate([image for image, _ in data.values()]))
    group = np.repeat(range(4), 12)
    distance = np.linalg.norm(place[:, None] - place[None], axis=2) + np.diag([np.inf] * len(place))
    assert (group[distance.argmin(axis=1)] == group).all()


def test_sides_and_concepts_are_named_and_the_bytes_are_the_same(tmp_path: Path) -> None:
    twice = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for out in twice:
        style.save(plot_tsne(features(), NAMES, "Food: image features", title="A title"), out)
    assert twice[0].read_bytes() == twice[1].read_bytes()
    found = set(words(twice[0]))
    assert {*NAMES["ip"], *NAMES["oop"], "A title"} <= found
    assert "in pre-training (IP): 24 images of 2 concepts" in found
    assert "out of pre-training (OOP): 24 images of 2 concepts" in found
    shapes = {node.get("{http://www.w3.org/1999/xlink}href") for node in ElementTree.parse(twice[0]).iter(f"{SVG}use")}
    assert len(shapes) >= 2


def test_too_few_images_are_a_sentence() -> None:
    with pytest.raises(DataError, match="4 readable test images are too few"):
        embed(np.eye(4, dtype=np.float32))


def test_a_domain_of_a_data_folder_is_encoded_and_drawn(tmp_path: Path, make_root: Callable[..., Path]) -> None:
    root, out = make_root(tmp_path / "root"), tmp_path / "figure.png"
    command = ["plot", "tsne", "--domain", "Animals", "--data", str(root), "--backbone", "beyond-mini"]
    assert execute([*command, "--cache", str(tmp_path / "cache"), "--out", str(out), "--workers", "1"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert execute([*command[:3], "Animal", *command[4:], "--cache", str(tmp_path / "cache")]) == 2
