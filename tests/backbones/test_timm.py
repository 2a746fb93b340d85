"""Encoders of timm as backbones: prepared, loaded and pooled as timm does, and every error is one sentence."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config
from timm.models import _hub, get_pretrained_cfg, save_for_hf

from harness.backbones import openclip, timm_model
from harness.backbones.backbone import Backbone, load, resolve
from harness.backbones.corpora import corpus_of_encoder
from harness.backbones.find import find
from harness.errors import BackboneError, MethodError

from .test_find import digest, refused, resolved

TINY = tuple(timm.list_models("test_*"))
"""Every architecture that timm has for tests: of all families, below one million weights."""

ALIKE = ("convnext2", "convnext3", "efficientnet_evos", "efficientnet_gn", "efficientnet_ln", "vit4")
"""Those that pool as another of their family does: they differ in sizes, norms and activations."""


def loaded(*arguments: Any, **more: Any) -> Backbone:
    return load(resolved(*arguments, **more), torch.device("cpu"))


def random_model(name: str, **arguments: Any) -> Any:
    torch.manual_seed(0)
    return timm.create_model(name, **arguments).eval()


def small_vit() -> Any:
    """A vision transformer for images of 64 pixels with seven classes."""
    return random_model("vit_tiny_patch16_224", img_size=64, embed_dim=48, depth=1, num_heads=3, num_classes=7)


def save_state(model: Any, path: Path) -> Path:
    save_file({key: value.contiguous().clone() for key, value in model.state_dict().items()}, path)
    return path


def images(size: tuple[int, int]) -> torch.Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder as timm writes it."""
    made = tmp_path / "Tiny-ViT"
    save_for_hf(small_vit(), made, safe_serialization=True)
    return made


# -- images ------------------------------------------------------------------------------------------------------------


def test_images_are_prepared_as_timm_does() -> None:
    kinds = {}
    for name in timm.list_pretrained():
        cfg = get_pretrained_cfg(name).to_dict()
        kind = (cfg["crop_mode"], cfg["interpolation"], cfg["crop_pct"], cfg["mean"][0], cfg["input_size"][1] < 200)
        kinds.setdefault(kind, (name, cfg))
    assert len(kinds) > 40
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8))
    for name, cfg in kinds.values():
        expected = create_transform(**resolve_data_config(pretrained_cfg=cfg))(image)
        found = find(f"timm:{name}", None)
        assert found.source == "published"
        assert torch.equal(openclip.transform(found.preprocessing.model_dump())(image), expected), name


def test_stated_settings_replace_those_of_the_model_but_not_its_crop(folder: Path) -> None:
    name = f"timm:local-dir:{folder}"
    found = find(name, None, {"mean": 0.25})
    assert (found.source, found.preprocessing.mean, found.preprocessing.std) == ("stated", (0.25,) * 3, (0.5,) * 3)
    assert found.preprocessing.crop == find(name, None).preprocessing.crop == 0.9
    assert "cannot be that of the tag openai" in refused(name, None, stated="openai").message


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n.removeprefix("test_") in ALIKE)) for n in TINY]
)
def test_features_are_timms_pooled_output_as_unit_rows(tmp_path: Path, name: str) -> None:
    model = random_model(name)
    backbone = loaded(f"timm:{name}", save_state(model, tmp_path / "w.safetensors"))
    pixels = images(backbone.record.preprocessing.size)
    pooled = random_model(name, num_classes=0)
    pooled.load_state_dict(model.state_dict(), strict=False)
    with torch.no_grad():
        expected = pooled(pixels)
    assert backbone.embed_dim == expected.shape[1]
    torch.testing.assert_close(backbone.encode_image(pixels), F.normalize(expected, dim=1))
    assert not any(value.requires_grad for value in backbone.model.parameters())


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_a_file_may_have_any_classifier_or_none(tmp_path: Path, classes: int, ending: str) -> None:
    model, file = random_model("test_vit", num_classes=classes), tmp_path / f"w.{ending}"
    if ending == "pth":
        torch.save({"state_dict": model.state_dict()}, file)
    else:
        save_state(model, file)
    backbone = loaded("timm:test_vit", file)
    assert torch.equal(backbone.model.module.patch_embed.proj.weight, model.patch_embed.proj.weight)


def test_a_folder_is_recorded_without_its_path(folder: Path) -> None:
    found = resolved(f"timm:local-dir:{folder}")
    record = found.record
    assert (record.architecture, record.pretrained) == ("timm:local-dir:Tiny-ViT", "model.safetensors")
    assert (record.preprocessing_source, record.quick_gelu, record.corpus) == ("model folder", "ok", "unknown")
    assert record.weights_sha256 == digest(folder / "model.safetensors")
    assert record.preprocessing.size == (64, 64)
    assert not record.has_text
    assert found.libraries == ("timm",)
    assert str(folder.parent) not in record.model_dump_json()
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    backbone, pixels = load(found, torch.device("cpu")), images((64, 64))
    torch.testing.assert_close(backbone.encode_image(pixels), F.normalize(model(pixels), dim=1))


def test_an_earlier_flat_configuration_is_read(folder: Path) -> None:
    file = folder / "config.json"
    content = json.loads(file.read_text())
    del content["model_args"], content["global_pool"]
    file.write_text(json.dumps({**content.pop("pretrained_cfg"), **content}))
    found = find(f"timm:local-dir:{folder}", None)
    assert found.config["architecture"] == "vit_tiny_patch16_224"
    assert found.preprocessing.size == (64, 64)


def test_a_name_a_tag_and_the_default_are_the_same_weights() -> None:
    found = [
        find(*one)
        for one in (("timm:test_vit.r160_in1k", None), ("timm:test_vit", "r160_in1k"), ("timm:test_vit", None))
    ]
    assert {(one.architecture, one.pretrained, one.corpus) for one in found} == {
        ("timm:test_vit", "r160_in1k", "ImageNet-1k")
    }
    assert found[0].config == found[1].config == found[2].config


def test_a_file_of_a_tag_uses_its_settings(tmp_path: Path) -> None:
    file = save_state(random_model("test_vit"), tmp_path / "w.safetensors")
    tagged, bare = find("timm:test_vit.r160_in1k", str(file)), find("timm:test_vit", str(file))
    assert (tagged.architecture, tagged.source) == ("timm:test_vit.r160_in1k", "published")
    assert (bare.architecture, bare.source) == ("timm:test_vit", "unchecked")


@pytest.mark.parametrize(
    ("tag", "corpus"),
    [
        ("lvd142m", "LVD-142M"),
        ("openai_ft_in12k_in1k", "WIT-400M + ImageNet-12k + ImageNet-1k"),
        ("in22k_ft_in22k_in1k", "ImageNet-22k + ImageNet-1k"),
        ("laion400m_e32", "LAION-400M"),
        ("dino", "ImageNet-1k"),
        ("untrained", "unknown"),
    ],
)
def test_the_corpus_comes_from_the_tag(tag: str, corpus: str) -> None:
    assert corpus_of_encoder(tag) == corpus


# -- the Hub -----------------------------------------------------------------------------------------------------------


class NotOnTheHub(_hub.EntryNotFoundError):  # type: ignore[misc, name-defined]
    """What the Hub answers for a file that it does not have."""

    def __init__(self) -> None:
        Exception.__init__(self, "404: Entry Not Found")


def test_a_model_of_the_hub_is_found_and_fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(small_vit().state_dict(), folder / "pytorch_model.bin")
    asked = []

    def download(model: str, file: str, cache_dir: Any = None) -> str:
        asked.append((model, file))
        if not (folder / file).exists():
            raise NotOnTheHub
        return str(folder / file)

    monkeypatch.setattr(_hub, "download_from_hf", download)
    record = loaded("timm:hf-hub:acme/tiny.in1k").record
    assert (record.architecture, record.pretrained) == ("timm:hf-hub:acme/tiny.in1k", "pytorch_model.bin")
    assert record.corpus == "ImageNet-1k"
    assert asked == [("acme/tiny.in1k", f) for f in ("config.json", "model.safetensors", "pytorch_model.bin")]


@pytest.mark.parametrize("name", ["timm:test_vit.r160_in1k", "timm:hf-hub:acme/tiny", "timm:gcvit_base.in1k"])
def test_weights_that_cannot_be_fetched_say_how_to_give_them(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError("no network\nat all")

    monkeypatch.setattr(_hub, "download_from_hf", fails)
    monkeypatch.setattr(_hub, "download_cached_file", fails)
    error = refused(name)
    assert f"of {name} cannot be fetched: no network at all" in error.message
    way = "timm:local-dir:FOLDER" if "hub:" in name else f"{name} --pretrained path/to/model.safetensors"
    assert error.hint is not None
    assert error.hint.endswith(f"copy it here and give --backbone {way}")


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pretrained", "message", "hint"),
    [
        ("timm:test_vitt", None, "has no model 'test_vitt'", "did you mean test_vit"),
        ("timm:test_vit.r160", None, "'r160' is neither a weights file nor", "did you mean r160_in1k?"),
        ("timm:test_vit", "openai", "'openai' is neither a weights file nor", "published for test_vit: r160_in1k"),
        ("timm:test_vit", "gone.pth", "no weights file at gone.pth", "check the path"),
        ("timm:!", None, "has no model '!'", "lists all"),
        ("timm:local-dir:gone", None, "there is no folder gone", "check the path"),
        ("timm:local-dir:", None, "names no folder", "local-dir:FOLDER"),
        ("timm:hf-hub:a/b", "w.pth", "--pretrained w.pth would not be used", "leave out"),
    ],
)
def test_a_wrong_name_is_refused(name: str, pretrained: str | None, message: str, hint: str) -> None:
    error = refused(name, pretrained)
    assert message in error.message
    assert hint in str(error.hint)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "it is not an object"),
        ("{}", "has no architecture"),
        ('{"architecture": "test_vit", "pretrained_cfg": {"colour": 1}}', "is not valid: "),
        ('{"architecture": "test_vitt"}', "has no model 'test_vitt'"),
        ('{"architecture": "test_vit", "pretrained_cfg": {"input_size": [1, 64, 64]}}', "images of 1 channels"),
        ('{"architecture": "test_vit", "pretrained_cfg": {"interpolation": "nearest"}}', "interpolation is 'nearest'"),
    ],
)
def test_a_folder_with_another_configuration_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / "config.json").write_text(content)
    assert message in refused(f"timm:local-dir:{folder}").message


def test_a_folder_without_a_file_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "there are no weights in" in refused(f"timm:local-dir:{folder}").message
    (folder / "config.json").unlink()
    assert "config.json of" in refused(f"timm:local-dir:{folder}").message


@pytest.mark.parametrize("other", ["test_resnet", "damaged"])
def test_weights_of_another_model_are_refused(tmp_path: Path, other: str) -> None:
    file = tmp_path / "w.safetensors"
    if other == "damaged":
        file.write_bytes(b"0" * 100)
    else:
        save_state(random_model(other), file)
    with pytest.raises(BackboneError, match=r"^w.safetensors cannot be loaded into timm:test_vit: ") as error:
        loaded("timm:test_vit", file)
    assert "belong to another model" in str(error.value.hint)


def test_a_model_without_pooling_is_refused(folder: Path) -> None:
    file = folder / "config.json"
    content = json.loads(file.read_text())
    content["model_args"]["global_pool"] = ""
    file.write_text(json.dumps(content))
    with pytest.raises(BackboneError, match="does not return one vector per image"):
        loaded(f"timm:local-dir:{folder}")


def test_there_is_no_text_tower(folder: Path) -> None:
    text: Any = loaded(f"timm:local-dir:{folder}").text
    text.clear_cache()
    for tower in (text, copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
        for use in (lambda t: t.encode([]), lambda t: t.width):
            with pytest.raises(MethodError, match=r"^timm:local-dir:Tiny-ViT has no text tower"):
                use(tower)


def test_timm_is_wrapped_without_a_trace(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = save_state(random_model("test_vit"), tmp_path / "w.safetensors")
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    found = find("timm:test_vit", str(file))
    timm_model.load_encoder("timm:test_vit", resolve(found, "fp32", digest).config, file)
    assert torch.equal(before, torch.random.get_rng_state())
    assert capfd.readouterr() == ("", "")
