"""Features are pushed once and pulled by others, who check them before they use any."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from harness.cli.main import execute
from harness.folders import config_root
from harness.signatures import ALLOWED
from harness.user_key import _key

from ..e2e.conftest import FAST, Answer, harness, world  # noqa: F401 - fixtures
from .repositories import REPOSITORY

Run = Callable[..., Answer]

RUN = ("evaluate", "--plugin", "tip_adapter", "--domain", "Animals", *FAST[2:], "--workers", 1)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The first user's own cache."""
    return tmp_path / "ann"


@pytest.fixture
def evaluate(harness: Run, world: Path, tmp_path: Path) -> Run:  # noqa: F811
    return lambda *more: harness(*RUN, "--data", world, "--out", tmp_path / "results", "--json", *more)


@pytest.fixture
def share(harness: Run, world: Path) -> Run:  # noqa: F811
    at = (REPOSITORY, "--data", world, "--domain", "Animals", "--backbone", "beyond-mini", "--workers", 1)
    return lambda verb, *more: harness("features", verb, *at, *more)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory, world) -> Path:  # noqa: F811
    """A cache, the configuration of the user who wrote it, and the results: tests copy them."""
    folder = tmp_path_factory.mktemp("encoded")
    words = ("--data", world, "--cache", folder / "ann", "--out", folder / "results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CONFIG", str(folder / "users" / "ann" / "config"))
        _key.cache_clear()
        assert execute([*map(str, (*RUN, *words))]) == 0
    _key.cache_clear()
    return folder


@pytest.fixture
def pushed(server, login, encoded, tmp_path, as_user, share) -> Answer:
    """Features of ann in the repository."""
    shutil.copytree(encoded, tmp_path, dirs_exist_ok=True)
    as_user("ann")
    answer = share("push")
    assert answer.code == 0, answer.err
    return answer


def paths(server) -> list[str]:
    return [path for path in server.stored.files() if path.endswith(".safetensors")]


def trust(server, as_user) -> None:
    """Bob trusts the key of ann, and is the user from now on."""
    key = (config_root() / "verifier_key.pub").read_text().split()
    as_user("bob")
    config_root().mkdir(parents=True)
    (config_root() / ALLOWED).write_text(f"ann {key[0]} {key[1]}\n")


def test_features_are_encoded_once_and_their_origin_is_recorded(server, pushed, share, evaluate, as_user, tmp_path):
    trust(server, as_user)
    (folder,) = {path.rpartition("/view-")[0] for path in paths(server)}
    assert folder.split("/")[2] in (tmp_path / "results" / "leaderboard.json").read_text(), "the data's fingerprint"
    other = ("--cache", tmp_path / "bob")
    answer = share("pull", *other)
    assert answer.code == 0, answer.err
    assert f"{len(paths(server))} signed by ann" in answer.out
    assert "encoding a sample" in answer.err
    answer = evaluate(*other, "--out", tmp_path / "again")
    assert "encoding images" not in answer.err
    (row,) = [row for row in answer.json["rows"] if row["method"] == "tip_adapter"]
    assert row["data"]["Animals"]["features_from"] == ["a cache signed by ann"]
    before = json.loads((tmp_path / "results" / "leaderboard.json").read_text())["rows"]
    assert row["mean"] == next(one["mean"] for one in before if one["method"] == "tip_adapter")
    assert share("pull", *other).out.startswith("nothing to pull")
    assert share("push", *other).code == 2, "bob encoded none"


@pytest.mark.slow
def test_a_second_push_makes_no_commit_and_own_features_are_not_pulled(server, pushed, share):
    before = dict(server.stored.refs)
    assert "has them already, nothing is pushed" in share("push").out
    assert server.stored.refs == before
    assert share("pull").out.startswith("nothing to pull")


@pytest.mark.slow
def test_features_of_an_unknown_key_are_taken_as_those_of_a_shared_cache(server, pushed, share, as_user, tmp_path):
    as_user("bob")
    answer = share("pull", "--cache", tmp_path / "bob")
    assert (answer.code, "none signed by a key that you trust" in answer.out) == (0, True), answer.err


def rolled(content: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**content, "feature": np.roll(content["feature"], 1, axis=0)}


def renamed(content: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**content, "sha256": content["sha256"] ^ 1}


def long(content: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**content, "feature": 2 * content["feature"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (rolled, "are not those of the image"),
        (renamed, "has features of images that are not of Animals"),
        (long, "is damaged, or has no rows of this encoder"),
    ],
)
def test_features_that_cannot_be_right_are_refused_and_none_is_stored(
    server, pushed, share, as_user, tmp_path, change, sentence
):
    files = dict(server.stored.files())
    for path in paths(server):
        content = save(change(load(files.pop(path))))
        name = f"{hashlib.sha256(content).hexdigest()}{path[-45:]}"
        files[f"{path.rpartition('/')[0]}/{name}"] = content
    server.stored.add("main", server.stored.refs["main"], files)
    as_user("bob")
    answer = share("pull", "--cache", tmp_path / "bob")
    assert (answer.code, sentence in answer.err) == (2, True), answer.err
    assert not list((tmp_path / "bob").rglob("*.safetensors"))


@pytest.mark.slow
def test_an_interrupted_pull_leaves_nothing(server, pushed, share, as_user, tmp_path):
    server.faults = {".safetensors": [503]}
    as_user("bob")
    answer = share("pull", "--cache", tmp_path / "bob")
    assert (answer.code, "the server did not answer" in answer.err) == (2, True)
    assert not list((tmp_path / "bob").rglob("*.safetensors"))


def test_an_unknown_kind_is_a_sentence(server, share):
    answer = share("push", "--kind", "tokns")
    assert (answer.code, "did you mean tokens?" in answer.err) == (2, True)
