"""Presets and edge cases of parameters."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from harness.errors import UserError
from harness.method import build, parameters
from harness.parameters import CommandLineText
from harness.types.task import Support
from harness_plugins import gda, tip_adapter

from .tasks import OOP_VOCABULARY, classes, images, make_task, quick, seen

TRAINED = ("clip_adapter", "cocoop", "coop", "fsnl", "learning_to_name", "taskres")
TOWERS = ("clip_lora", "maple", "promptsrc", "vpt")
WEIGHTS = (
    *(("gda", "alpha"), ("gda", "alpha_one_shot"), ("tip_adapter", "alpha"), ("tip_adapter", "beta")),
    *(("taskres", "alpha"), ("transclip", "text_weight"), ("linear_probe", "c")),
    *(("transclip", "likelihood_weight"), ("transclip", "neighbour_weight"), ("transclip", "support_weight")),
)
REFUSED = [
    *(
        (name, parameter, value)
        for name in (*TRAINED, *TOWERS)
        for parameter, value in (("epochs", "-1"), ("lr", "nan"))
    ),
    *((name, parameter, value) for name in TRAINED for parameter, value in (("lr", "-0.1"), ("views", "0"))),
    *((name, "batch", value) for name in TRAINED if name != "fsnl" for value in ("0", "-4")),
    *((name, "length", value) for name in ("coop", "fsnl", "learning_to_name") for value in ("0", "-1")),
    *(("fsnl", parameter, "0") for parameter in ("shots_per_batch", "captions_per_class")),
    *(("fsnl", "caption_weight", value) for value in ("-0.5", "1.5")),
    ("fsnl", "anchor", "-1"),
    ("cocoop", "images", "0"),
    *((name, parameter, value) for name in TOWERS for parameter, value in (("epochs", "-1"), ("batch", "0"))),
    *((name, parameter, "0") for name in ("maple", "promptsrc") for parameter in ("words", "depth")),
    *(("promptsrc", parameter, "0") for parameter in ("image_tokens", "mean", "deviation")),
    *(("vpt", parameter, "0") for parameter in ("tokens", "depth")),
    *(("clip_lora", parameter, "0") for parameter in ("rank", "alpha", "steps_per_shot")),
    ("clip_lora", "dropout", "1.5"),
    ("clip_adapter", "ratio", "1.2"),
    ("coop", "momentum", "2"),
    *((name, parameter, value) for name, parameter in WEIGHTS for value in ("-1", "nan", "inf")),
    *((name, "restarts", "0") for name in ("kmeans_naming", "cluster_vote")),
    *(("transclip", parameter, "0") for parameter in ("confident", "rounds", "sweeps")),
    ("transclip", "neighbours", "-1"),
    *(("zsnl", parameter, "0") for parameter in ("restarts", "confident", "least", "rounds")),
    *(("zsnl", parameter, "-1") for parameter in ("epochs", "shifts")),
    *(("lp_pp", parameter, "0") for parameter in ("steps", "alpha_every")),
    *((name, "share", value) for name, value in (("ape", "1.5"), ("zlap", "1"), ("zlap", "-0.1"), ("fudd", "2"))),
    *(("em_dirichlet", parameter, "0") for parameter in ("scale", "rounds", "steps")),
    *(("ecalp", parameter, value) for parameter, value in (("names", "0"), ("images", "-1"), ("rounds", "0"))),
    *(("upl", parameter, "0") for parameter in ("per_name", "members")),
    *((name, parameter, "-1") for name, parameter in (("stata", "anchor"), ("clap", "penalty"), ("tcp", "hold"))),
    *((name, parameter, "0") for name, parameter in (("ogen_lite", "nearest"), ("cased", "nearest"))),
    *(("fudd", "candidates", "0"), ("proxy_map", "mix", "0")),
    ("linear_probe", "c", "0"),
    *(("laplacian", parameter, "0") for parameter in ("rounds", "sweeps")),
    *(("laplacian", f"{part}_weight", "-1") for part in ("text", "distance", "neighbour")),
    *((name, "alpha", value) for name, value in (("graph_lp", "1"), ("gda_em", "-1"))),
    *(("gda_em", parameter, value) for parameter, value in (("shrinkage", "0"), ("rounds", "-1"))),
    *(("pseudo", parameter, "0") for parameter in ("images", "rounds")),
    *((name, "temperature", "0") for name in ("loki", "perception", "teen")),
    *(("ss_gmm", parameter, "0") for parameter in ("restarts", "components", "concentration")),
    ("cosine_head", "scale", "0"),
    ("tip_adapter", "caption_weight", "1.5"),
    ("linear_probe", "max_iter", "0"),
]


SHARED = {"momentum": 0.9, "weight_decay": 5e-4, "warmup_lr": 1e-5, "whole_batches": True, "views": 16, "crop": 0.08}
SGD = {**SHARED, "optimizer": "sgd", "epochs": 200}
PROMPTED = {**SHARED, "optimizer": "sgd", "batch": 4}
STATED = {
    "clip_lora": {"optimizer": "adamw", "lr": 2e-4, "weight_decay": 0.01, "batch": 32, "steps_per_shot": 500}
    | {"rank": 2, "alpha": 1.0, "dropout": 0.25, "towers": "both", "views": 16, "crop": 0.08, "warmup_lr": None},
    "vpt": {**PROMPTED, "lr": 0.0025, "epochs": 5, "tokens": 8, "depth": None},
    "maple": {**PROMPTED, "lr": 0.0035, "epochs": 5, "context": "a photo of a", "words": 2, "depth": 9},
    "promptsrc": {**PROMPTED, "lr": 0.0025, "epochs": 50, "context": "a photo of a", "words": 4, "depth": 9}
    | {"image_tokens": 4, "mean": 30.0, "deviation": 30.0},
    "fsnl": {**SGD, "lr": None, "shots_per_batch": 4, "caption_weight": 0.5, "captions_per_class": None}
    | {"init": "name", "length": None, "anchor": 0.0},
    "coop": {**SGD, "lr": 0.002, "batch": 128, "context": "a photo of a"}
    | {"length": None, "class_specific": False, "position": "end"},
    "cocoop": {**SGD, "lr": 0.032, "batch": 16, "epochs": 10, "images": None},
    "clip_adapter": {**SGD, "lr": 0.01, "batch": 32, "ratio": 0.2},
    "learning_to_name": {**SGD, "lr": 0.002, "batch": 128, "length": 1, "init": "random"},
    "taskres": {**SHARED, "optimizer": "adam", "lr": 0.002, "batch": 256, "epochs": None, "alpha": None, "base": "raw"},
    "tip_adapter": {"search": "paper", "alpha": None, "beta": None, "views": 10, "crop": 0.5},
    "gda": {"search": "paper", "covariance": "views", "views": 10, "crop": 0.5, "alpha": None},
    "linear_probe": {"search": "paper", "c": None, "views": 1, "max_iter": 1000},
    "zero_shot": {"prompts": "single"},
    "lp_pp": {"steps": 300, "initial_alpha": 250.0, "alpha_every": 10, "momentum": 0.9},
    "clap": {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "epochs": 300, "batch": 256}
    | {"warmup_lr": 1e-5, "views": 20, "base": "raw", "penalty": 1.0},
    "ape": {"similarity_weight": 0.7, "scaled": False, "views": 10, "crop": 0.5},
    "stata": {"anchor": 1.0, "pool": "test-unlabeled", "likelihood_weight": 1 / 50, "neighbour_weight": 1 / 3},
    "zlap": {"neighbours": 5, "power": 5.0, "share": 0.3, "pool": "test-unlabeled"},
    "em_dirichlet": {"scale": 30.0, "complexity": None, "rounds": 20, "steps": 1000},
    "otter": {"shares": "support", "pool": "test-unlabeled"},
    "ecalp": {"names": 3, "images": 8, "shots": 8, "power": 10.0, "rounds": 3},
    "tcp": {"optimizer": "adam", "lr": 0.002, "weight_decay": 5e-4, "epochs": 50, "batch": 32, "warmup_lr": 1e-5}
    | {"length": 4, "block": 8, "hold": 8.0, "views": 16},
    "upl": {**SGD, "epochs": 50, "lr": 0.002, "batch": 32, "length": 16, "per_name": 16, "members": 16, "views": 1},
    "fudd": {"candidates": 10},
    "cased": {"nearest": 10, "alpha": 0.7},
    "laplacian": {"neighbour_weight": 1.0, "neighbours": 2, "rounds": 1, "text_weight": 0.0, "distance_weight": 1.0},
    "teen": {"weight": 0.5, "temperature": 16.0, "text_weight": 0.0},
    "pseudo": {"rounds": 10, "growing": True, "pool": "train-unlabeled"},
    "zpe": {"templates": "all", "bias": "both", "select": None},
    "soup": {"greedy": True},
    "zsnl": {**SGD, "lr": None, "epochs": 100, "views": 1, "images_per_batch": 4, "confident": 16, "least": 20}
    | {"discover": "kmeans", "restarts": 10, "known": "nothing", "shifts": 0, "assign": "clusters"}
    | {"match_prompt": "a photo of a {name}", "match_normalised": False, "match_images": 20},
}
"""Values in the papers and their authors' code (for crops: our replacement)."""


@pytest.mark.parametrize("name", STATED)
def test_paper_preset_has_published_values(name):
    given = parameters(build(name, classes()[name], "paper"))
    assert {parameter: given[parameter] for parameter in STATED[name]} == STATED[name]


@pytest.mark.parametrize(
    ("name", "preset", "change"),
    [
        ("cocoop", "paper-200", {"epochs": 200}),
        ("fsnl", "clip-loss", {"caption_weight": 1.0, "swap": "none", "positives": "image"}),
    ],
)
def test_other_presets_differ_from_paper_only_in_named_parameters(name, preset, change):
    paper, other = (parameters(build(name, classes()[name], each)) for each in ("paper", preset))
    assert other == paper | change != paper


@pytest.mark.parametrize(
    ("grid", "ends", "steps"),
    [(gda.ALPHAS, (1e-4, 100.0), (10.0,)), (tip_adapter.ALPHAS, (0.1, 300.0), (3.0, 10 / 3))],
)
def test_weights_are_tried_in_even_steps(grid, ends, steps):
    assert (grid[0], grid[-1]) == ends
    assert all(any(b / a == pytest.approx(step) for step in steps) for a, b in itertools.pairwise(grid))


@pytest.mark.parametrize(("name", "parameter", "value"), REFUSED)
def test_out_of_bounds_value_is_user_error(name, parameter, value):
    with pytest.raises(UserError, match=f"{name}: parameter {parameter}='{value}' is not valid: input should be"):
        build(name, classes()[name], values={parameter: CommandLineText(value)})


def test_match_prompt_without_name_is_user_error():
    with pytest.raises(UserError, match=r"must contain \{name\} exactly once"):
        build("zsnl", classes()["zsnl"], values={"match_prompt": CommandLineText("a photo")})


def test_none_is_accepted_for_optional_parameters():
    values = {"captions_per_class": CommandLineText("none")}
    assert build("fsnl", classes()["fsnl"], values=values).captions_per_class is None
    with pytest.raises(UserError, match="shots_per_batch='none' is not valid"):
        build("fsnl", classes()["fsnl"], values={"shots_per_batch": CommandLineText("none")})


@pytest.mark.parametrize("captions", ["absent", "all missing", "empty"])
def test_fsnl_without_captions_learns_from_images_alone(captions):
    task = make_task()
    texts = {"absent": None, "all missing": (None,) * len(task.support.label), "empty": ("",) * len(task.support.label)}
    bare = make_task(_support=dataclasses.replace(task.support, captions=texts[captions]))
    image = images(2, 99)[0][:, 0]
    found = quick("fsnl", epochs=3).fit(bare).scores(seen(image), OOP_VOCABULARY)
    assert torch.equal(found, quick("fsnl", epochs=3, caption_weight=0.0).fit(task).scores(seen(image), OOP_VOCABULARY))


@pytest.mark.parametrize("name", ["fsnl", "taskres"])
def test_zero_epochs_equal_zero_shot(name):
    image = images(2, 99)[0][:, 0]
    untrained = quick(name, epochs=0).fit(make_task()).scores(seen(image), OOP_VOCABULARY)
    zero_shot = quick("zero_shot").fit(make_task()).scores(seen(image), OOP_VOCABULARY)
    torch.testing.assert_close(untrained, zero_shot, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in ("fsnl", "cocoop")])
def test_a_batch_larger_than_the_support_is_all_of_it(name):
    image = images(2, 99)[0][:, 0]
    large, whole = (
        quick(name, epochs=3, batch=b).fit(make_task()).scores(seen(image), OOP_VOCABULARY) for b in (10**6, None)
    )
    assert torch.equal(large, whole)


def test_a_batch_of_fsnl_may_ask_for_more_than_there_is():
    image = images(2, 99)[0][:, 0]
    asked, there = (quick("fsnl", epochs=3, shots_per_batch=n).fit(make_task(shots=2)) for n in (100, 2))
    assert torch.equal(asked.scores(seen(image), OOP_VOCABULARY), there.scores(seen(image), OOP_VOCABULARY))


def test_single_class_skips_caption_swap():
    task = make_task()
    own = task.support.label == 0
    captions = tuple(c for c, kept in zip(task.support.captions, own.tolist(), strict=True) if kept)
    alone = make_task(_support=Support(task.support.features[own], task.support.label[own], captions))
    assert torch.isfinite(quick("fsnl", epochs=3).fit(alone).scores(seen(images(1, 99)[0][:, 0]), OOP_VOCABULARY)).all()
