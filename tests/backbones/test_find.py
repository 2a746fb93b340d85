"""Finding and loading backbones: every way to go wrong is a sentence that says how to go on."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from harness.backbones import openclip
from harness.backbones.backbone import Backbone, ResolvedBackbone, load, resolve
from harness.backbones.corpora import UNKNOWN, corpus_of, corpus_of_file
from harness.backbones.find import find
from harness.errors import BackboneError, HarnessError
from harness.miniature import model as miniature
from harness.prompts import Template
from harness.types.feature_rule import FeatureRule

from ..towers import CONFIGS, make_model


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def resolved(name: str, pretrained: Any = None, **more: Any) -> ResolvedBackbone:
    """The backbone, at fp32."""
    return resolve(find(name, None if pretrained is None else str(pretrained), **more), "fp32", digest)


def refused(*arguments: Any, **more: Any) -> BackboneError:
    """Resolving these is refused; the message is one line."""
    with pytest.raises(BackboneError) as error:
        resolved(*arguments, **more)
    assert "\n" not in error.value.message
    assert error.value.hint
    return error.value


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Writes the weights of a tiny model: (architecture, file name) -> file."""
    folder = tmp_path_factory.mktemp("weights")

    def write(architecture: str, name: str) -> Path:
        path = folder / name
        state = make_model(architecture).state_dict()
        if path.suffix == ".safetensors":
            save_file(state, path)
        else:
            torch.save(state, path)
        return path

    return write


# -- what is recorded ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "ending"),
    [("unit-clip", "safetensors"), ("unit-clip", "pt"), ("unit-custom-text", "pt"), ("unit-coca", "safetensors")],
)
def test_a_weights_file_is_recorded_and_loaded(
    weights: Callable[[str, str], Path], architecture: str, ending: str
) -> None:
    path = weights(architecture, f"laion400m_e32.{ending}")
    found = resolved(architecture, path)
    assert found.weights == path
    record = found.record.model_dump()
    assert len(record.pop("config")) == 64
    assert record == {
        "architecture": architecture,
        "pretrained": path.name,
        "weights_sha256": digest(path),
        "corpus": "LAION-400M",
        "quick_gelu": "unchecked",
        "preprocessing": {**miniature.PREPROCESSING, "size": (32, 32), "crop": 1.0},
        "preprocessing_source": "unchecked",
        "images": "encoded",
        "precision": "fp32",
        "compiled": False,
    }
    loaded = load(found, torch.device("cpu"))
    model = make_model(architecture)
    assert loaded.logit_scale == pytest.approx(float(model.logit_scale.exp()))
    assert loaded.logit_bias == 0
    assert loaded.text.encode([Template().fill("ibex", "animal")]).shape == (1, 24)
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.encode_image(pixels, normalize=True)
    torch.testing.assert_close(loaded.encode_image(pixels), expected)


def test_the_bias_of_a_sigmoid_model_is_loaded(tmp_path: Path) -> None:
    openclip.register_architecture("unit-sigmoid", {**CONFIGS["unit-clip"], "init_logit_bias": -10})
    torch.save(openclip.random_model("unit-sigmoid").state_dict(), tmp_path / "w.pt")
    assert load(resolved("unit-sigmoid", tmp_path / "w.pt"), torch.device("cpu")).logit_bias == -10


def test_features_are_raw_if_the_protocol_says_so(weights: Callable[[str, str], Path]) -> None:
    found = resolved("unit-clip", weights("unit-clip", "w.pt"))
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    raw = load(found, torch.device("cpu"), unit_rows=False).encode_image(pixels)
    assert not torch.allclose(raw.norm(dim=1), torch.ones(2), atol=0.01)
    unit = load(found, torch.device("cpu")).encode_image(pixels)
    torch.testing.assert_close(torch.nn.functional.normalize(raw), unit)


@pytest.mark.parametrize("shape", [(40, 80), (90, 50)])
def test_imagenet_preprocessing_equals_the_release(weights: Callable[[str, str], Path], shape: tuple[int, int]) -> None:
    """By hand: the shorter side to int(32 / 0.875) = 36 pixels, the middle 32 x 32, ImageNet's mean and deviation."""
    found = resolved("unit-clip", weights("unit-clip", "w.pt"))
    made = found.with_rule(FeatureRule("imagenet"))
    assert found.with_rule(FeatureRule()) is found
    assert made.record.preprocessing_source == "protocol"
    assert made.record.preprocessing.crop == 0.875
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    factor = 36 / min(image.size)
    small = image.resize((int(image.width * factor), int(image.height * factor)), Image.Resampling.BICUBIC)
    left, top = round((small.width - 32) / 2), round((small.height - 32) / 2)
    wanted = np.asarray(small.crop((left, top, left + 32, top + 32)), dtype=np.float64) / 255
    wanted = (wanted - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    prepared = load(made, torch.device("cpu")).preprocess(image)
    np.testing.assert_allclose(prepared.numpy().transpose(1, 2, 0), wanted, atol=1e-5)


def test_a_published_tag_is_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    file = tmp_path / "weights.bin"
    file.write_bytes(b"weights")

    def download(config: dict[str, Any], cache_dir: str | None) -> str:
        asked.append((config["hf_hub"], cache_dir))
        return str(file)

    monkeypatch.setattr(open_clip, "download_pretrained", download)
    # Both names are written in other ways, too.
    for name, tag in (("ViT-B-16", "laion400m_e32"), ("ViT-B/16", "LAION400M-e32")):
        asked.clear()
        backbone = find(name, tag, cache=tmp_path)
        assert asked == [], "a name is looked up without fetching anything"
        found = resolve(backbone, "bf16", digest)
        assert found.weights == file
        record = found.record.model_dump()
        assert len(record.pop("config")) == 64
        assert record == {
            "architecture": "ViT-B-16",
            "pretrained": "laion400m_e32",
            "weights_sha256": digest(file),
            "corpus": "LAION-400M",
            "quick_gelu": "ok",
            "preprocessing": {**miniature.PREPROCESSING, "size": (224, 224), "crop": 1.0},
            "preprocessing_source": "published",
            "images": "encoded",
            "precision": "bf16",
            "compiled": False,
        }
    ((source, cache),) = asked
    assert "laion400m" in source
    assert cache == str(tmp_path)


def test_features_are_unit_rows_in_fp32_at_every_precision(weights: Callable[[str, str], Path]) -> None:
    path = weights("unit-clip", "w.pt")
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    rows = {}
    for precision in ("fp32", "bf16"):
        made: Backbone = load(resolve(find("unit-clip", str(path)), precision, digest), torch.device("cpu"))
        rows[precision] = made.encode_image(pixels)
        assert rows[precision].dtype == torch.float32
        torch.testing.assert_close(rows[precision].norm(dim=1), torch.ones(2))
    torch.testing.assert_close(rows["fp32"], rows["bf16"], rtol=0, atol=0.02)
    assert not torch.equal(rows["fp32"], rows["bf16"])


# -- names that do not exist -----------------------------------------------------------------------------------------


def test_an_unknown_architecture_suggests_the_closest(weights: Callable[[str, str], Path]) -> None:
    path = weights("unit-clip", "w.pt")
    for pretrained in ("laion400m_e32", str(path)):
        error = refused("ViT-B-61", pretrained)
        assert "no backbone named 'ViT-B-61': no plugin offers it, and open_clip" in error.message
        assert error.hint == "did you mean ViT-B-16?"
    assert "such as ViT-B-16" in str(refused("xyzzy", "openai").hint)


@pytest.mark.parametrize(
    ("name", "reason", "hint"),
    [
        ("fsnl", "no backbone named 'fsnl': the plugin of that name is of kind method", "`harness plugins show fsnl`"),
        ("./tests", "the backbone ./tests is a folder", "--backbone local-dir:./tests"),
    ],
)
def test_the_name_of_something_else_is_not_searched_in_open_clip(
    name: str, reason: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(HarnessError) as error:
        find(name, "laion400m_e32")
    assert error.value.message == reason
    assert hint in str(error.value.hint)


def test_an_unknown_tag_suggests_the_closest() -> None:
    error = refused("ViT-B-16", "laion400m_e33")
    assert "'laion400m_e33'" in error.message
    assert error.hint in ("did you mean laion400m_e31?", "did you mean laion400m_e32?")
    assert "laion400m_e32" in str(refused("ViT-B-16", "xyzzy").hint)
    assert refused("unit-clip", "openai").hint == "nothing is published for unit-clip"


def test_an_unavailable_tokenizer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> None:
        raise ModuleNotFoundError("No module named 'transformers'")

    monkeypatch.setattr("open_clip.get_tokenizer", without)
    with pytest.raises(BackboneError, match="the tokenizer of ViT-B-16-SigLIP cannot be loaded: No module") as error:
        openclip.tokenizer("ViT-B-16-SigLIP")
    assert "pip install transformers" in str(error.value.hint)


def test_weights_are_required() -> None:
    assert refused("ViT-B-16", None).message == "ViT-B-16 needs weights"


@pytest.mark.parametrize("path", ["nowhere.pt", "nowhere.safetensors", "folder/nowhere", "~/nowhere.bin"])
def test_a_missing_weights_file_is_not_treated_as_a_tag(path: str) -> None:
    assert refused("ViT-B-16", path).message == f"no weights file at {path}"


# -- QuickGELU -------------------------------------------------------------------------------------------------------


def test_a_quick_gelu_mismatch_is_refused_with_the_right_architecture() -> None:
    error = refused("ViT-B-32", "openai")
    assert "were trained with QuickGELU, but ViT-B-32 is built without it" in error.message
    assert error.hint == "use --backbone ViT-B-32-quickgelu"


def test_published_activation_mismatches_suggest_a_valid_architecture() -> None:
    wrong = 0
    for name, tag in open_clip.list_pretrained():
        try:
            find(name, tag)
        except BackboneError as error:
            wrong += 1
            find(str(error.hint).removeprefix("use --backbone "), tag)
    assert wrong > 0


# -- weights that are not available ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure", [OSError("Network is unreachable"), ValueError("offline mode\nis enabled"), RuntimeError()]
)
def test_without_network_the_hint_explains_manual_download(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise failure

    monkeypatch.setattr(open_clip, "download_pretrained", fail)
    error = refused("ViT-B-16", "laion400m_e32")
    reason = " ".join(str(failure).split()) or "RuntimeError"
    assert error.message == f"the weights laion400m_e32 of ViT-B-16 cannot be fetched: {reason}"
    assert "https://huggingface.co/timm/vit_base_patch16_clip_224.laion400m_e32," in str(error.hint)
    copy = "ViT-B-16-laion400m_e32.safetensors"
    assert f"--pretrained path/to/{copy} --preprocessing laion400m_e32" in str(error.hint)
    assert corpus_of_file(Path(copy).stem) == "LAION-400M"


def test_weights_of_another_architecture_are_refused(weights: Callable[[str, str], Path]) -> None:
    path = weights("unit-clip", "w.safetensors")
    config = {**CONFIGS["unit-clip"], "text_cfg": {**CONFIGS["unit-clip"]["text_cfg"], "layers": 3}}
    for architecture, other in {"unit-deeper": config, "unit-coca": CONFIGS["unit-coca"]}.items():
        with pytest.raises(BackboneError, match=f"w.safetensors cannot be loaded into {architecture}") as error:
            openclip.load_model(architecture, other, path)
        assert "another architecture" in str(error.value.hint)


def test_out_of_memory_is_not_reported_as_damaged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: Any, **__: Any) -> None:
        raise OSError("Cannot allocate memory (os error 12)")  # safetensors' own, without a number

    monkeypatch.setattr(openclip.open_clip, "create_model", short)
    with pytest.raises(BackboneError, match="there is not enough memory for unit-clip") as error:
        openclip.load_model("unit-clip", CONFIGS["unit-clip"], tmp_path / "w.safetensors")
    assert "damaged" not in str(error.value.hint)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.999])
def test_damaged_weights_are_refused(
    weights: Callable[[str, str], Path], tmp_path: Path, ending: str, keep: float
) -> None:
    whole = weights("unit-clip", f"w.{ending}").read_bytes()
    path = tmp_path / f"cut.{ending}"
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(BackboneError, match="cannot be loaded into unit-clip"):
        openclip.load_model("unit-clip", CONFIGS["unit-clip"], path)


def test_a_missing_tensor_is_an_error(tmp_path: Path) -> None:
    state = make_model("unit-clip").state_dict()
    del state["text_projection"]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(BackboneError, match="text_projection"):
        openclip.load_model("unit-clip", CONFIGS["unit-clip"], tmp_path / "w.safetensors")


def test_loading_does_not_change_random_state_and_warnings(
    weights: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = weights("unit-clip", "w.pt")
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model = openclip.load_model("unit-clip", CONFIGS["unit-clip"], path)
    assert torch.equal(torch.rand(1), expected)
    assert capsys.readouterr() == ("", "")
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_register_architecture_is_idempotent() -> None:
    openclip.register_architecture("unit-clip", CONFIGS["unit-clip"])
    openclip.register_architecture("unit-clip", CONFIGS["unit-clip"])
    assert open_clip.list_models().count("unit-clip") == 1
    assert open_clip.get_model_config("unit-clip") == CONFIGS["unit-clip"]


# -- corpora -----------------------------------------------------------------------------------------------------------


CORPORA = {
    ("ViT-B-16", "laion400m_e32"): "LAION-400M",
    ("EVA01-g-14", "laion400m_s11b_b41k"): "LAION-400M",
    ("ViT-H-14-CLIPA-336", "laion2b"): "LAION-2B",
    ("ViT-H-14-CLIPA-336", "datacomp1b"): "DataComp-1B",
    ("roberta-ViT-B-32", "laion2b_s12b_b32k"): "LAION-2B",
    ("xlm-roberta-large-ViT-H-14", "frozen_laion5b_s13b_b90k"): "LAION-5B",
    ("convnext_base_w", "laion_aesthetic_s13b_b82k"): "LAION-Aesthetics",
    ("coca_ViT-B-32", "mscoco_finetuned_laion2b_s13b_b90k"): "LAION-2B + MSCOCO",
    ("ViT-B-32", "commonpool_m_laion_s128m_b4k"): "CommonPool-M.laion",
    ("ViT-B-32", "datacomp_m_s128m_b4k"): "DataComp-M",
    ("ViT-B-32-quickgelu", "openai"): "WIT-400M",
    ("ViT-H-14", "metaclip_altogether"): "MetaCLIP with Altogether captions",
    ("ViT-H-14-worldwide", "metaclip2_worldwide"): "MetaCLIP 2 worldwide",
    ("MobileCLIP-B", "datacompdr_lt"): "DataCompDR-1B",
    ("MobileCLIP2-S0", "dfndr2b"): "DFNDR-2B",
    ("EVA02-B-16", "merged2b_s8b_b131k"): "Merged-2B",
    ("ViT-B-16-SigLIP2", "webli"): "WebLI",
    ("nllb-clip-base", "v1"): "LAION-COCO (NLLB-CLIP)",
    ("nllb-clip-large-siglip", "mrl"): "WebLI + LAION-COCO (NLLB-CLIP)",
    ("PE-Core-T-16-384", "meta"): "Meta's own (PE)",
}


def test_the_corpus_of_every_published_tag_is_in_the_table() -> None:
    published = open_clip.list_pretrained()
    assert [pair for pair in published if corpus_of(*pair) == UNKNOWN] == []
    assert {pair: corpus_of(*pair) for pair in CORPORA} == CORPORA
    assert set(CORPORA) <= set(published)
    # Only weights of LAION-400M make its list exact.
    assert {tag for _, tag in published if "400m" in tag} - {
        tag for n, tag in published if corpus_of(n, tag) == "LAION-400M"
    } == {"metaclip_400m"}


@pytest.mark.parametrize(
    ("stem", "corpus"),
    [
        ("vit_b_16-laion400m_e32-55e67d44", "LAION-400M"),
        ("vit_b_16-plus_240-laion400m_e31-8fb26589", "LAION-400M"),
        ("LAION400M_e31", "LAION-400M"),
        ("resnet50_clip.openai", "WIT-400M"),
        ("laion400m_e32_finetuned_on_food", UNKNOWN),
        ("laion400m_e32-openai-soup", UNKNOWN),
        ("v1", UNKNOWN),
        ("my_weights", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_corpus_of_file_uses_the_tag_in_its_name(stem: str, corpus: str) -> None:
    assert corpus_of_file(stem) == corpus


def test_a_hub_whose_name_does_not_resolve_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def resolve(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(BackboneError) as found:
        openclip.fetch_weights("ViT-B-16", "laion400m_e32", tmp_path)
    assert found.value.message == (
        "the weights laion400m_e32 of ViT-B-16 cannot be fetched: the name huggingface.co does not resolve: "
        "check the network"
    )
    assert "--backbone beyond-mini" in str(found.value.hint)
    assert asked == ["huggingface.co"]
