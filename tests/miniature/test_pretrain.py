"""The tiny CLIP: its shipped weights load, and the pre-training runs."""

import hashlib
import json
import math
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from harness.backbones import openclip
from harness.errors import StorageError
from harness.miniature import corpus, figures, model, pretrain, training
from harness.miniature.text import encode_text
from harness.miniature.world import WORLD

QUICK = ("--quick", "--threads", "1", "--out")


@pytest.fixture(scope="module")
def clip():
    model.register()
    torch.manual_seed(0)
    return openclip.random_model(model.NAME).eval()


def test_the_shipped_weights_fit_the_architecture(clip):
    assert model.WEIGHTS.stat().st_size <= 10_000_000
    with safe_open(model.WEIGHTS, "pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} <= {torch.float16, torch.int64}  # noqa: SIM118
    weights = load_file(model.WEIGHTS)
    clip.load_state_dict(weights, strict=True)
    assert all(torch.isfinite(value.float()).all() for value in weights.values())
    assert 5 < math.exp(float(weights["logit_scale"])) <= 100.5


def test_the_shipped_figures_are_those_of_the_shipped_weights_and_world():
    shown = json.loads(model.WEIGHTS.with_name("figures.json").read_text())
    assert shown["weights_sha256"] == hashlib.sha256(model.WEIGHTS.read_bytes()).hexdigest()
    assert (shown["world"], shown["scored"]) == (WORLD, "test")


def test_unknown_words_differ():
    rows = load_file(model.WEIGHTS)["token_embedding.weight"].float()
    assert (rows.norm(dim=1) > 0).all()
    assert len(torch.unique(rows, dim=0)) == len(rows)


def test_a_cut_context_changes_nothing(clip):
    ids = openclip.tokenizer(model.NAME)(["a photo of velmo, a type of food.", "velmo"])
    with torch.no_grad():
        assert torch.allclose(encode_text(clip, ids), clip.encode_text(ids), atol=1e-6)


def test_registering_twice_is_fine():
    model.register()
    model.register()


def test_augmentation_shifts_and_mirrors():
    pixels = torch.arange(64 * 64 * 3).view(1, 64, 64, 3).expand(8, -1, -1, -1)
    moved = pretrain.augment(pixels, torch.Generator().manual_seed(0))
    assert moved.shape == pixels.shape
    assert len({tuple(image[30, 30].tolist()) for image in moved}) > 4


def test_an_epoch_shows_every_image_once():
    rows = torch.cat([training.epoch_rows(0, 1, step, 1024) for step in range(4)])
    assert sorted(rows.tolist()) == list(range(1024))


@pytest.fixture(scope="module", autouse=True)
def quick_runs():
    """Runs whose figures cost nothing, and which read the same images and captions once."""
    row = {"accuracy": 0.123456}
    fake = {"scored": "no", "mean": row, "levels": {}, "domains": {"Food": row}}
    known = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "figures", lambda clip, test, workers: fake)
        for name, function in {"images": corpus.images, "texts": corpus.texts}.items():

            def once(chosen, *rest, function=function, name=name, **more):
                key = (name, len(chosen), rest, *more.values())
                if key not in known:
                    known[key] = function(chosen, *rest, **more)
                return known[key]

            patch.setattr(corpus, name, once)
        yield


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A run that was interrupted after its first stage, which tests copy."""
    out = tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain, "text_only", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            pretrain.main([*QUICK, str(out)])
    return out


def test_a_quick_run_writes_everything_and_an_interrupted_one_goes_on(cut, tmp_path, capsys):
    shutil.copytree(cut, tmp_path / "cut")
    for out in ("cut", "whole"):
        pretrain.main([*QUICK, str(tmp_path / out)])
    assert capsys.readouterr().out.count("continues after step 2") == 1
    cut, whole = (load_file(tmp_path / name / model.WEIGHTS.name) for name in ("cut", "whole"))
    assert all(torch.equal(cut[key], whole[key]) for key in whole)
    assert json.loads((tmp_path / "cut" / "figures.json").read_text())["mean"] == {"accuracy": 0.1235}
    assert "step 2/2 loss" in (tmp_path / "cut" / "log.txt").read_text()
    assert not (tmp_path / "cut" / "checkpoint.pt").exists()


def test_the_checkpoint_of_another_run_is_refused(cut, tmp_path):
    shutil.copytree(cut, tmp_path / "cut")
    with pytest.raises(StorageError, match="another run"):
        pretrain.main(["--seed", "1", *QUICK, str(tmp_path / "cut")])
