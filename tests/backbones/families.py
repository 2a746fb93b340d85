"""Every text architecture of open_clip's own configurations at small size, with tokenizers that are trained here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backbones import openclip
from harness.backbones.text import OpenClipTextTower

from ..towers import VISION

SENTENCES = (
    "a photo of ibex, a type of animal.",
    "a photo of rose hip, a type of plant.",
    "a photo of Père David's deer, a type of animal.",
    "a photo of 白鶴, a type of animal.",
    "a gen-2 fly & one red dog (two cats) on the photo of a rock, with a rose and an ibex.",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
    "x q x q z one x q",
)
"""Corpus of the tokenizers."""

TINY = {"layers": 2, "width": 32, "heads": 2}


def _train(model: Any, trainer: Any, normalizer: Any, splitter: Any) -> Any:
    from tokenizers import Tokenizer

    made = Tokenizer(model)
    made.normalizer, made.pre_tokenizer = normalizer, splitter
    made.train_from_iterator([*SENTENCES, *(s.lower() for s in SENTENCES)] * 20, trainer)
    return made


def _frame(made: Any, template: str, *marks: str) -> Any:
    from tokenizers.processors import TemplateProcessing

    made.post_processor = TemplateProcessing(
        single=template, special_tokens=[(mark, made.token_to_id(mark)) for mark in marks]
    )
    return made


def _bert() -> tuple[Any, dict[str, str]]:
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    model = models.WordPiece(unk_token="[UNK]")
    made = _train(model, trainer, normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer())
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return _frame(made, "[CLS] $A [SEP]", "[CLS]", "[SEP]"), names


def _roberta() -> tuple[Any, dict[str, str]]:
    from tokenizers import models, pre_tokenizers, trainers

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made = _train(models.BPE(), trainer, None, pre_tokenizers.ByteLevel(add_prefix_space=False))
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return _frame(made, "<s> $A </s>", "<s>", "</s>"), names


def _unigram(special: list[str], template: str, *marks: str) -> tuple[Any, dict[str, str]]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    # The trainer makes few words of so small a corpus, so its words, their beginnings and its letters are the pieces.
    words = sorted({word for text in SENTENCES for word in re.findall(r"\w+", text + text.lower())} - {"ibex", "rose"})
    letters = sorted({letter for text in SENTENCES for letter in (text + text.lower()).replace(" ", "▁")})
    pieces = dict.fromkeys(letters, -9.0) | {f"▁{word[:2]}": -8.0 for word in words if word.isascii()}
    pieces |= {f"▁{word}": -5.0 for word in words if word.isascii()}
    scores = [(mark, 0.0) for mark in special] + list(pieces.items())
    made = Tokenizer(models.Unigram(scores, unk_id=special.index("<unk>")))
    made.add_special_tokens(special)
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    return _frame(made, template, *marks), {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def _t5() -> tuple[Any, dict[str, str]]:
    return _unigram(["<pad>", "</s>", "<unk>"], "$A </s>", "</s>")


def _xlmr() -> tuple[Any, dict[str, str]]:
    made, names = _unigram(["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>", "<s>", "</s>")
    return made, names | {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>"}


def _nllb() -> tuple[Any, dict[str, str]]:
    special = ["<s>", "<pad>", "</s>", "<unk>", "eng_Latn"]
    return _unigram(special, "eng_Latn $A </s>", "eng_Latn", "</s>")


def _gemma() -> tuple[Any, dict[str, str]]:
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    special = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    model = models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    splitter = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never")
    made = _train(model, trainer, None, splitter)
    made.normalizer, made.pre_tokenizer = normalizers.Replace(" ", "▁"), None  # no space before the first word
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    return _frame(made, "$A <eos>", "<eos>"), names


TOKENIZERS: dict[str, Callable[[], tuple[Any, dict[str, str]]]] = {
    "xlm": _xlmr,
    "roberta": _roberta,
    "bert": _bert,
    "mt5": _t5,
    "SigLIP2": _gemma,
    "SigLIP": _t5,
    "nllb": _nllb,
}
"""Part of a published tokenizer's name -> the same kind of tokenizer; the first part that fits counts."""


def kind(tokenizer: str) -> str:
    """The kind of a published tokenizer."""
    return next(part for part in TOKENIZERS if part in tokenizer)


def save_tokenizer(of_kind: str, folder: Path) -> Path:
    """A folder with a trained tokenizer."""
    transformers = pytest.importorskip("transformers")
    place = folder / f"tokenizer-{of_kind}"
    if not place.exists():
        made, names = TOKENIZERS[of_kind]()
        transformers.PreTrainedTokenizerFast(tokenizer_object=made, padding_side="right", **names).save_pretrained(
            place
        )
    return place


def _save_model(of_kind: str, vocabulary: int, folder: Path) -> Path:
    """A folder with the configuration of a tiny Hugging Face text encoder."""
    transformers = pytest.importorskip("transformers")
    place = folder / f"model-{of_kind}"
    if not place.exists():
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
        wide = {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_layers": 2, "num_heads": 2}
        both = {
            f"{side}_{what}": value
            for side in ("encoder", "decoder")
            for what, value in {"layers": 2, "attention_heads": 2, "ffn_dim": 64}.items()
        }
        config = {
            "roberta": lambda: transformers.RobertaConfig(vocab_size=vocabulary, max_position_embeddings=100, **sizes),
            "xlm": lambda: transformers.XLMRobertaConfig(vocab_size=vocabulary, max_position_embeddings=100, **sizes),
            "mt5": lambda: transformers.MT5Config(vocab_size=vocabulary, **wide),
            "nllb": lambda: transformers.M2M100Config(vocab_size=vocabulary, d_model=32, **both, **ids),
        }[of_kind]()
        config.save_pretrained(place)
    return place


def _text_only(config: dict[str, Any]) -> str:
    """What of a configuration makes the text tower, without sizes."""
    text = {
        key: kind(value) if key in ("hf_tokenizer_name", "hf_model_name") else value
        for key, value in config["text_cfg"].items()
        if value and key not in (*TINY, "vocab_size", "mlp_ratio", "act_kwargs")
    }
    tower = {key: config.get(key) for key in ("custom_text", "init_logit_bias")}
    return json.dumps([text, tower, "multimodal_cfg" in config], sort_keys=True)


def families() -> Iterator[str]:
    """One published architecture for every kind of text tower."""
    import open_clip

    seen = set()
    for name in sorted(open_clip.list_models()):
        config = openclip.model_config(name)
        if not name.startswith(("unit-", "harness-", "beyond-")) and _text_only(config) not in seen:
            seen.add(_text_only(config))
            yield name


def small_config(name: str, folder: Path) -> dict[str, Any]:
    """The configuration of an architecture with a tiny image encoder, a tiny text tower and a tokenizer of its kind."""
    config = json.loads(json.dumps(openclip.model_config(name)))
    text = config["text_cfg"]
    if "hf_tokenizer_name" in text:
        of_kind = kind(text["hf_tokenizer_name"])
        place = save_tokenizer(of_kind, folder)
        text["hf_tokenizer_name"] = str(place)
        size = len(json.loads((place / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
        text["vocab_size"] = size
        if "hf_model_name" in text:
            text["hf_model_name"] = str(_save_model(kind(text["hf_model_name"]), size, folder))
    if "hf_model_name" not in text:
        text.update(TINY)
    if "multimodal_cfg" in config:
        image = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
        config["multimodal_cfg"] |= {"width": 32, "layers": 1, "heads": 2, "dim_head": 16, "n_queries": 4}
        config["multimodal_cfg"] |= {"attn_pooler_heads": 2}
    else:
        image = {}
    return config | {"embed_dim": 24, "vision_cfg": {**VISION, **image}}


def small_model(name: str, folder: Path) -> tuple[Any, Any]:
    """A small model of an architecture with random weights, spread enough to distinguish prompts, and its tokenizer."""
    own = f"small-{name}"
    openclip.register_architecture(own, small_config(name, folder))
    torch.manual_seed(0)
    model: Any = openclip.random_model(own).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for place, value in model.named_parameters():
        if "embed" in place and "visual" not in place and value.ndim > 1:
            value.copy_(torch.randn(value.shape, generator=generator) * 0.5)
    return model, openclip.tokenizer(own)


def small_tower(model: Any, tokenizer: Any) -> OpenClipTextTower:
    """The text tower of a small model."""
    return OpenClipTextTower(model, tokenizer, torch.device("cpu"))
