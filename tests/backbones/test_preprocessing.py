"""The images of a backbone are prepared as open_clip itself would, and the record says how and who says so."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, merge_preprocess_dict
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from harness.backbones import openclip, preprocessing
from harness.backbones.backbone import Backbone, ResolvedBackbone, load, resolve
from harness.backbones.find import find
from harness.backbones.found import Found
from harness.errors import BackboneError
from harness.hookspecs import BackboneOffer
from harness.miniature import model as miniature
from harness.miniature.offer import harness_backbone
from harness.types.cell import Preprocessing

from ..towers import CLIP, make_model

SQUASHED = {"mean": [0.5, 0.4, 0.3], "std": 0.25, "interpolation": "bilinear", "resize_mode": "squash"}


def noise(width: int = 50, height: int = 30) -> Image.Image:
    """An image on which every setting shows."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def resolved(*arguments: Any, **more: Any) -> ResolvedBackbone:
    return resolve(find(*arguments, **more), "fp32", digest)


def loaded(*arguments: Any, **more: Any) -> Backbone:
    return load(resolved(*arguments, **more), torch.device("cpu"))


def refused(*arguments: Any, **more: Any) -> BackboneError:
    with pytest.raises(BackboneError) as error:
        find(*arguments, **more)
    assert "\n" not in error.value.message
    assert error.value.hint
    return error.value


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The weights of a tiny model."""
    save_file(make_model("unit-clip").state_dict(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


@pytest.fixture
def folder(weights: Path, tmp_path: Path) -> Path:
    """A folder as open_clip writes it to the Hub: description and weights."""
    made = tmp_path / "My-CLIP"
    made.mkdir()
    shutil.copy(weights, made / "open_clip_model.safetensors")
    describe(made)
    return made


def describe(folder: Path, config: Any = CLIP, settings: Any = SQUASHED) -> None:
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": settings}))


# -- published weights -----------------------------------------------------------------------------------------------


class Model(nn.Module):
    """In the place of a large model: it is built of the same configuration, and knows no more than its size."""

    def __init__(self, embed_dim: int, vision_cfg: dict[str, Any], **_: Any) -> None:
        super().__init__()
        self.visual = SimpleNamespace(image_size=open_clip.CLIPVisionCfg(**vision_cfg).image_size)


@pytest.fixture
def open_clips_own(monkeypatch: pytest.MonkeyPatch) -> Any:
    """(architecture, tag) -> the transform that open_clip itself makes; nothing is downloaded and no tower is built."""
    for name in ("CLIP", "CustomTextCLIP", "CoCa"):
        monkeypatch.setattr(open_clip.factory, name, Model)
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: "weights")
    monkeypatch.setattr(open_clip.factory, "load_checkpoint", lambda *_, **__: None)
    return lambda name, tag: open_clip.create_model_from_pretrained(name, tag)[1]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_published_tags_use_open_clips_preprocessing(open_clips_own: Any) -> None:
    kinds: dict[str, tuple[Preprocessing, Any]] = {}
    for name, tag in open_clip.list_pretrained():
        try:
            found = find(name, tag)
        except BackboneError as error:  # of the other activation
            found = find(str(error.hint).removeprefix("use --backbone "), tag)
        assert found.source == "published"
        expected = open_clips_own(name, tag)
        assert repr(openclip.transform(found.preprocessing.model_dump())) == repr(expected), (name, tag)
        if found.preprocessing.size == (224, 224):
            kinds[repr(expected)] = (found.preprocessing, expected)
    assert len(kinds) >= 6
    for settings, expected in kinds.values():
        assert torch.equal(openclip.transform(settings.model_dump())(noise()), expected(noise()))


def test_a_weights_file_uses_the_shared_settings_of_its_architecture(weights: Path) -> None:
    for name, tag in (("ViT-B-16-SigLIP", "webli"), ("PE-Core-T-16-384", "meta"), ("ViT-B-16", "laion400m_e32")):
        found = find(name, str(weights))
        assert (found.preprocessing, found.source) == (find(name, tag).preprocessing, "unchecked")
    # Where they differ, as those of ViT-L-14, open_clip's defaults are taken.
    assert find("ViT-L-14", str(weights)).preprocessing.mean == miniature.PREPROCESSING["mean"]
    assert find("ViT-L-14", "laion2b_s32b_b82k").preprocessing.mean == (0.5, 0.5, 0.5)


def test_the_miniature_is_prepared_as_open_clip_prepares_it() -> None:
    made = open_clip.create_model_from_pretrained
    miniature.register()
    _, expected = made(miniature.NAME, str(miniature.WEIGHTS))
    backbone = loaded(miniature.NAME, None, offer=harness_backbone())
    assert torch.equal(backbone.preprocess(noise()), expected(noise()))
    assert backbone.record.preprocessing_source == "plugin"


def test_defaults_are_those_of_open_clip() -> None:
    assert dict(preprocessing.DEFAULTS) == dataclasses.asdict(PreprocessCfg())
    assert open_clip.CLIPVisionCfg.image_size == preprocessing.DEFAULTS["size"]


def test_settings_are_merged_as_open_clip_merges_them() -> None:
    layers = ({"mean": (0.5, 0.5, 0.5), "url": "x"}, {"mean": None, "resize_mode": "squash"})
    expected = dataclasses.asdict(PreprocessCfg())
    for layer in layers:
        expected = merge_preprocess_dict(expected, layer)
    assert preprocessing.merge_settings(*layers) == expected


def test_a_tag_takes_precedence_over_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "openai").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert find("ViT-B-16-quickgelu", "openai").source == "published"
    assert find("ViT-B-16-quickgelu", "./openai").weights() == Path("openai")


# -- what a user states ----------------------------------------------------------------------------------------------


def test_given_settings_override_and_are_recorded(weights: Path) -> None:
    register()
    found = find("unit-clip", str(weights), {"mean": 0.5, "resize_mode": "squash"})
    assert found.source == "stated"
    expected = {**miniature.PREPROCESSING, "size": (32, 32), "mean": (0.5, 0.5, 0.5), "resize_mode": "squash"}
    assert found.preprocessing == Preprocessing(**expected)
    as_another = find("ViT-L-14", str(weights), "laion2b_s32b_b82k")
    assert as_another.preprocessing == find("ViT-L-14", "laion2b_s32b_b82k").preprocessing
    assert as_another.source == "stated"
    assert find("ViT-L-14", "laion2b_s32b_b82k", {"std": 1}).preprocessing.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("said", "reason", "hint"),
    [
        ({"means": 0.5}, "preprocessing has no setting 'means'", "did you mean mean?"),
        ({"size": 64}, "preprocessing has no setting 'size'", None),
        ({"mean": [0.5, 0.5]}, "mean is [0.5, 0.5]", None),
        ({"mean": "grey"}, "mean is ('grey', 'grey', 'grey')", None),
        ({"std": 0}, "std is (0, 0, 0)", None),
        ({"interpolation": "nearest"}, "interpolation is 'nearest'", None),
        ({"resize_mode": "crop"}, "resize_mode is 'crop'", None),
        ("webly", "'webly' is neither a weights file nor a published tag of ViT-B-16-SigLIP", "did you mean webli?"),
    ],
)
def test_invalid_settings_are_errors(weights: Path, said: Any, reason: str, hint: str | None) -> None:
    error = refused("ViT-B-16-SigLIP", str(weights), said)
    assert reason in error.message
    assert hint in (None, error.hint)


def register() -> None:
    openclip.register_architecture("unit-clip", CLIP)


# -- plugins ---------------------------------------------------------------------------------------------------------


def test_a_plugin_states_the_preprocessing_of_its_backbone(weights: Path) -> None:
    found = find("zoo", None, offer=BackboneOffer(CLIP, lambda: weights, "Zoo", SQUASHED))
    assert found.source == "plugin"
    assert (found.preprocessing.mean, found.preprocessing.std) == ((0.5, 0.4, 0.3), (0.25, 0.25, 0.25))
    assert find("zoo", str(weights), offer=BackboneOffer(CLIP, None, "Zoo", SQUASHED)).source == "plugin"
    assert find("zoo", None, offer=BackboneOffer(CLIP, lambda: weights, "Zoo")).source == "unchecked"
    assert "no setting 'crop'" in refused("zoo", None, offer=BackboneOffer(CLIP, None, "Zoo", {"crop": 1})).message


def test_the_record_covers_the_whole_configuration(weights: Path) -> None:
    configs = [
        CLIP,
        {**CLIP, "quick_gelu": True},
        {**CLIP, "text_cfg": {**CLIP["text_cfg"], "heads": 4}},
        {**CLIP, "vision_cfg": {**CLIP["vision_cfg"], "head_width": 32}},
    ]
    records = [resolved("zoo", None, offer=BackboneOffer(c, lambda: weights, "Zoo")).record for c in configs]
    assert len({record.config for record in records}) == len(configs)
    assert len({record.weights_sha256 for record in records}) == 1
    again = dict(reversed(CLIP.items()))
    assert resolved("zoo", None, offer=BackboneOffer(again, lambda: weights, "Zoo")).record == records[0]


def test_an_invalid_configuration_is_an_error(weights: Path) -> None:
    config = {**CLIP, "text_cfg": {**CLIP["text_cfg"], "heads": 3}}
    with pytest.raises(BackboneError, match="no model can be built from the configuration of zoo: embed_dim") as error:
        load(resolved("zoo", None, offer=BackboneOffer(config, lambda: weights, "Zoo")), torch.device("cpu"))
    assert "damaged" not in str(error.value)
    for part, broken in {"vision_cfg": {"vision_cfg": 7}, "text_cfg": {"text_cfg": None}}.items():
        message = refused("zoo", None, offer=BackboneOffer({**CLIP, **broken}, lambda: weights, "Zoo")).message
        assert message == f"the configuration of zoo has no {part}"


def test_a_plugin_may_not_take_a_name_of_open_clip(weights: Path) -> None:
    message = refused("convnext_base", None, offer=BackboneOffer(CLIP, lambda: weights, "Zoo")).message
    assert message == "a plugin offers the backbone convnext_base, which is open_clip's own"


def test_libraries_besides_open_clip_are_listed(weights: Path) -> None:
    assert resolved("ViT-B-16", str(weights)).libraries == ()
    assert resolved("ViT-B-16-SigLIP", str(weights)).libraries == ("transformers", "tokenizers", "timm")
    assert resolved("convnext_base", str(weights)).libraries == ("timm",)
    assert resolved("roberta-ViT-B-32", str(weights)).libraries == ("transformers", "tokenizers")


# -- a model's folder ------------------------------------------------------------------------------------------------


def test_a_model_folder_is_loaded_and_recorded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = loaded(f"local-dir:{folder}", None)
    record = backbone.record
    assert (record.architecture, record.pretrained) == ("local-dir:My-CLIP", "open_clip_model.safetensors")
    assert record.weights_sha256 == digest(folder / "open_clip_model.safetensors")
    assert (record.preprocessing_source, record.quick_gelu) == ("model folder", "ok")
    model, expected = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    assert torch.equal(backbone.preprocess(noise()), expected(noise()))
    with torch.no_grad():
        features = model.eval().encode_image(expected(noise())[None], normalize=True)  # type: ignore[operator]
    torch.testing.assert_close(backbone.encode_image(backbone.preprocess(noise())[None]), features)
    monkeypatch.chdir(folder)
    assert resolved("local-dir:.", None).record == record
    assert str(folder) not in record.model_dump_json()


def test_a_folder_with_another_description_is_another_backbone(folder: Path) -> None:
    name = f"local-dir:{folder}"
    before = resolved(name, None).record
    describe(folder, {**CLIP, "quick_gelu": True})
    assert resolved(name, None).record.config != before.config
    describe(folder, CLIP, {})
    bare = resolved(name, None).record
    assert (bare.config, bare.preprocessing_source) == (before.config, "unchecked")
    assert bare.preprocessing != before.preprocessing


def test_the_files_of_a_folders_own_tokenizer_are_part_of_it(folder: Path) -> None:
    name = f"local-dir:{folder}"
    (folder / "vocab.txt").write_text("a")
    before = resolved(name, None).record
    (folder / "vocab.txt").write_text("b")
    assert resolved(name, None).record == before, "CLIP's own tokenizer is not the folder's"
    describe(folder, {**CLIP, "text_cfg": {**CLIP["text_cfg"], "hf_tokenizer_name": "acme/words"}})
    one = resolved(name, None)
    (folder / "vocab.txt").write_text("c")
    assert resolved(name, None).record != one.record
    assert "transformers" in one.libraries


def test_a_model_of_the_hub_is_read_from_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(model: str, filename: str | None = None, cache_dir: str | None = None) -> str:
        asked.append(f"{model} {filename}")
        return str(folder / (filename or "open_clip_model.safetensors"))

    monkeypatch.setattr(openclip, "download_pretrained_from_hf", download)
    found = find("hf-hub:acme/clip", None)
    assert asked == ["acme/clip open_clip_config.json"]
    record = resolve(found, "fp32", digest).record
    assert (record.architecture, record.pretrained) == ("hf-hub:acme/clip", "open_clip_model.safetensors")
    assert (record.corpus, record.preprocessing_source) == ("unknown", "model folder")
    assert record.config == resolved(f"local-dir:{folder}", None).record.config
    assert find("hf-hub:laion/CLIP-ViT-B-16-laion2B-s34B-b88K", None).corpus == "LAION-2B"


def test_invalid_model_folders_are_errors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"local-dir:{folder}"
    error = refused(name, "w.safetensors")
    assert "comes with its own weights, so --pretrained w.safetensors would not be used" in error.message
    assert refused(f"{name}s", None).message == f"there is no folder {folder}s"
    assert "names no folder" in refused("local-dir:", None).message
    (folder / "open_clip_model.safetensors").unlink()
    assert refused(name, None).message == f"there are no weights in {folder}"
    wrong = {"{": "cannot be read", "[]": "is not an object", '{"model_cfg": {}}': "has no vision_cfg"}
    for text, reason in wrong.items():
        (folder / "open_clip_config.json").write_text(text)
        assert reason in refused(name, None).message
    (folder / "open_clip_config.json").unlink()
    assert "cannot be read: [Errno 2]" in refused(name, None).message

    def offline(*_: Any, **__: Any) -> str:
        raise FileNotFoundError("Failed to download file\nfor acme/clip")

    monkeypatch.setattr(openclip, "download_pretrained_from_hf", offline)
    error = refused("hf-hub:acme/clip", None)
    assert error.message == (
        "open_clip_config.json of hf-hub:acme/clip cannot be fetched: Failed to download file for acme/clip"
    )
    assert "local-dir:FOLDER" in str(error.hint)


# -- weights that are none -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["--pretrained", "folder", "plugin"])
def test_a_git_lfs_pointer_instead_of_weights_is_an_error(folder: Path, where: str) -> None:
    register()
    file = folder / "open_clip_model.safetensors"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    found: Found = {
        "--pretrained": lambda: find("unit-clip", str(file)),
        "folder": lambda: find(f"local-dir:{folder}", None),
        "plugin": lambda: find("zoo", None, offer=BackboneOffer(CLIP, lambda: file, "Zoo")),
    }[where]()
    with pytest.raises(BackboneError, match="git lfs pull") as error:
        resolve(found, "fp32", digest)
    assert str(error.value) == f"{file} is a Git LFS pointer and not the file itself: run `git lfs pull`"
