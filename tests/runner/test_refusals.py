"""What a method needs and cannot have is one sentence, before anything is computed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import harness
from harness.errors import BackboneError, DataError, HarnessError, UserError
from harness.feature_cache.encode import Encoder
from harness.method import Method
from harness.types.task import Needs

from ..api.conftest import evaluate  # noqa: F401 - a fixture
from ..datasets.roots import write_json, write_texts
from ..e2e.conftest import cache, world  # noqa: F401 - fixtures
from ..third_party.conftest import site  # noqa: F401 - a fixture
from ..third_party.installed import install

FOREIGN = """
from dataclasses import dataclass
from harness.hookspecs import hookimpl
from harness.method import Method

@dataclass
class Foreign(Method):
    encoders = ("{encoder}",)
    def fit(self, task): return self
    def scores(self, images, vocabulary): return images.encoded("{encoder}")[:, 0, : len(vocabulary)]

@hookimpl
def harness_method(): return Foreign
"""


@dataclass
class Plain(Method):
    """Needs what a test says."""

    encoder: str | None = None
    test_views: int = 1
    reads: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.encoder is not None:
            self.encoders = (self.encoder,)

    def fit(self, task: Any) -> Any:
        self.task_ = task
        return self

    def scores(self, images: Any, vocabulary: Any) -> Any:
        return images.features[:, 0, : len(vocabulary)]


def needing(**needs: bool) -> type[Plain]:
    return dataclass(type("Plain", (Plain,), {"needs": Needs(**needs), "__annotations__": {}}))


@pytest.fixture
def refused(evaluate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:  # noqa: F811
    """Runs methods, which must fail with an error of a kind while no image is encoded; returns message and hint."""

    def encoded(*_: Any) -> Any:
        raise AssertionError("an image is encoded")

    monkeypatch.setattr(Encoder, "ensure", encoded)

    def call(kind: type[HarnessError], *methods: Any, **options: Any) -> str:
        with pytest.raises(kind) as error:
            evaluate(*methods, **options)
        return f"{error.value.message} ({error.value.hint})"

    return call


# -- sentences ---------------------------------------------------------------------------------------------------------


def test_every_name_without_a_sentence_is_listed(refused, tmp_path):
    texts = tmp_path / "texts.json"
    write_json(texts, {"ibex": ["horns."], "cat": [], "great auk": ["extinct."]})
    said = refused(DataError, "cupl", texts=texts)
    lacking = """Père David's deer, St Bernard, cat, dog, grey wolf, the "old" horse, 白鶴"""
    assert said == (f"{texts} has no sentence about 7 of 9 names: {lacking} (cupl needs at least one about each)")


def test_a_method_of_sentences_asks_for_a_file(refused):
    assert refused(UserError, ["zero_shot", "nola_head"]) == (
        "nola_head needs sentences about every name (give --texts FILE: a JSON object of lists: name -> sentences)"
    )


# -- second encoders ---------------------------------------------------------------------------------------------------


def test_an_unknown_encoder_is_said_with_the_closest_names(refused):
    said = refused(BackboneError, Plain, parameters={"encoder": "vit_smal_patch14_dinov2"})
    assert "plain asks for a second encoder: timm " in said
    assert "has no model 'vit_smal_patch14_dinov2' (did you mean vit_small_patch14_dinov2" in said
    said = refused(BackboneError, Plain, parameters={"encoder": "vit_small_patch14_dinov2.nothing"})
    assert "'nothing' is neither a weights file nor a published tag of timm:vit_small_patch14_dinov2" in said


def test_weights_that_cannot_be_fetched_are_said_with_what_to_do(refused, monkeypatch, tmp_path):
    def no_network(*_: Any, **__: Any) -> Any:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("harness.backbones.timm_model._hub.download_from_hf", no_network)
    said = refused(BackboneError, Plain, parameters={"encoder": "vit_base_patch16_224.dino"})
    assert said == (
        "plain asks for a second encoder: model.safetensors of timm:vit_base_patch16_224.dino cannot be fetched: "
        "Network is unreachable (get it on a machine with a network, and name its folder in place of "
        "vit_base_patch16_224.dino: local-dir:FOLDER)"
    )


def test_a_folder_that_is_not_there_is_said(refused, tmp_path):
    said = refused(BackboneError, Plain, parameters={"encoder": f"local-dir:{tmp_path / 'none'}"})
    assert said.startswith("plain asks for a second encoder: ")
    assert "none" in said


@pytest.mark.parametrize("encoder", ["local-dir:/etc", "hf-hub:someone/secret", "timm:local-dir:/etc"])
def test_a_plugin_chooses_no_folder_and_no_repository_by_itself(encoder, refused, site):  # noqa: F811
    install(site, "foreign", FOREIGN.format(encoder=encoder))
    assert refused(UserError, "foreign") == (
        f"foreign asks for the encoder {encoder}, which is none of timm's own "
        "(a method takes such an encoder from a parameter only, so that its user decides)"
    )


def test_a_method_has_few_encoders(refused):
    many = type("Plain", (Plain,), {"encoders": ("a", "b", "c", "d", "e"), "__annotations__": {}})
    assert refused(UserError, dataclass(many)) == "plain asks for 5 second encoders (a method may have 4)"


# -- given features ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "parameters", "what"),
    [
        (needing(model=True), {}, "model"),
        (needing(pixels=True), {}, "pixels"),
        (needing(tokens=True), {}, "tokens"),
        (needing(preprojection=True, pixels=True, model=True), {}, "preprojection and pixels and model"),
        (Plain, {"encoder": "vit_base_patch16_224.dino"}, "vit_base_patch16_224.dino"),
        (Plain, {"test_views": 4}, "4 views of each scored image"),
        ("maple", {}, "pixels and model"),
        ("zero", {}, "16 views of each scored image"),
    ],
)
def test_given_features_have_nothing_else(method, parameters, what, refused):
    rows = np.random.default_rng(0).normal(size=(6, 128)).astype(np.float32)
    given = harness.FeatureSet("Food", "oop", "test", ("a", "b"), rows, [0, 1] * 3)
    said = refused(UserError, method, parameters=parameters, features=[given], domains="Food", data=None)
    name = method if isinstance(method, str) else "plain"
    assert said == f"{name} needs {what}, and only features are given (run it on a folder of images)"


# -- kinds that a backbone lacks ---------------------------------------------------------------------------------------


def test_tokens_of_a_resnet_do_not_apply_and_other_methods_run(evaluate):  # noqa: F811
    found = evaluate([needing(tokens=True), "zero_shot"])
    rows = {row.method: row for row in found.leaderboard.rows}
    assert rows["zero_shot"].complete
    (failure,) = rows["plain"].failures
    assert failure.kind == "not applicable"
    assert failure.reason == (
        "plain needs tokens: the image tower of beyond-mini has no patch tokens that can be projected as its features"
    )


def test_a_dry_run_counts_what_can_run(evaluate, world, cache, tmp_path):  # noqa: F811
    from harness.cli.main import execute

    where = ("--data", str(world), "--cache", str(cache), "--out", str(tmp_path / "results"), "--domain", "Animals")
    run = ("--backbone", "beyond-mini", "--seeds", "1", "--shots", "2", "--dry-run")
    assert execute(["evaluate", "--plugin", "plot,zero_shot", *where, *run]) == 0


def test_the_sentences_of_a_file_are_enough(evaluate, tmp_path):  # noqa: F811
    """Otherwise the refusals above would show nothing."""
    rows = evaluate("cupl", texts=write_texts(Path(tmp_path) / "texts.json")).leaderboard.rows
    assert [row.complete for row in rows] == [True]
