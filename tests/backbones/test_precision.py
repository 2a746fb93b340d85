"""Learning through the text tower in bf16 and through torch.compile: what it changes, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.backbones import backbone as backbones
from harness.backbones.find import find
from harness.backbones.text import OpenClipTextTower
from harness.datasets.image_bytes import file_digest
from harness.errors import BackboneError
from harness.miniature import model
from harness.miniature.offer import harness_backbone
from harness.prompts import Template

from ..towers import make_model, tokenizer

NAMES = ("ibex", "rose hip", "great blue auk")


def tower(**options: bool) -> OpenClipTextTower:
    return OpenClipTextTower(make_model("unit-clip"), tokenizer("unit-clip"), torch.device("cpu"), **options)


def learned(tower: OpenClipTextTower) -> tuple[Tensor, Tensor]:
    """Features of three names with rows of their own, and the gradient of a weighted sum of them."""
    rows = torch.cat([tower.token_embedding(name) for name in NAMES]).requires_grad_(True)
    counts = [len(tower.token_ids(name)) for name in NAMES]
    table = {name: (sum(counts[:i]), counts[i]) for i, name in enumerate(NAMES)}
    found = tower.encode_tokens(tower.tokenize([Template().fill(name, "animal") for name in NAMES], table), rows)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((found * weight).sum(), rows)
    return found.detach(), gradient


def test_bf16_is_close_to_fp32_and_returns_fp32() -> None:
    (exact, slope), (found, gradient) = learned(tower()), learned(tower(bf16=True))
    assert found.dtype == gradient.dtype == torch.float32
    assert not torch.equal(found, exact)
    torch.testing.assert_close(found, exact, rtol=0, atol=0.02)
    assert float(torch.nn.functional.cosine_similarity(gradient.flatten(), slope.flatten(), dim=0)) > 0.99
    frozen = tower(bf16=True).encode([Template().fill("ibex", "animal")])
    assert frozen.dtype == torch.float32


def test_compiled_tower_equals_the_uncompiled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # What torch traces and differentiates is run as it is: the code that it would make of it for this machine takes
    # half a minute, and is torch's.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    for found, expected in zip(learned(tower(compiled=True)), learned(tower()), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_tower_of_another_structure_cannot_be_compiled() -> None:
    with pytest.raises(BackboneError, match="cannot be compiled"):
        OpenClipTextTower(
            make_model("unit-bidirectional"), tokenizer("unit-bidirectional"), torch.device("cpu"), compiled=True
        )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_backbone_records_and_uses_precision_and_compiled(
    monkeypatch: pytest.MonkeyPatch, precision: str, compiled: bool
) -> None:
    made: list[tuple[bool, bool]] = []
    whole: Callable[..., None] = OpenClipTextTower.__init__

    def spy(
        self: OpenClipTextTower, model: object, tokenizer: object, device: object, bf16: bool, compiled: bool
    ) -> None:
        made.append((bf16, compiled))
        whole(self, model, tokenizer, device)

    monkeypatch.setattr(OpenClipTextTower, "__init__", spy)
    resolved = backbones.resolve(find(model.NAME, None, offer=harness_backbone()), precision, _digest, compiled)  # type: ignore[arg-type]
    backbones.load(resolved, torch.device("cpu"))
    assert (resolved.record.precision, resolved.record.compiled) == (precision, compiled)
    assert made == [(precision == "bf16", compiled)]


def _digest(path: Path) -> str:
    found = file_digest(path)
    assert isinstance(found, str)
    return found
