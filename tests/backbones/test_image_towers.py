"""Parts of image towers: projection and preprojection give the features, and tokens are those of patches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from harness.backbones.image_towers import patch_tokens, preprojection, projection
from harness.errors import BackboneError

from ..image_towers import TOWERS, WITH_PROJECTION, WITH_TOKENS, image_backbone, noise

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize("name", WITH_PROJECTION)
def test_projected_preprojection_equals_image_features(name: str) -> None:
    backbone = image_backbone(name)
    batch = noise(backbone)
    features = backbone.encode_image(batch)
    pooled = backbone.compute(preprojection(backbone), batch)
    weight, bias = projection(backbone)
    assert weight.shape == (pooled.shape[1], backbone.embed_dim)
    projected = pooled @ weight if bias is None else pooled @ weight + bias
    torch.testing.assert_close(normalize(projected, dim=1), features, **CLOSE)
    assert torch.equal(backbone.encode_image(batch), features)  # the model is as before


@pytest.mark.parametrize("name", ["vit", "resnet", "timm-vit"])
def test_preprojection_and_tokens_are_computed_in_the_precision_of_the_model(name: str) -> None:
    exact = image_backbone(name)
    rounded = replace(exact, record=exact.record.model_copy(update={"precision": "bf16"}))
    batch = noise(exact)
    for part in (preprojection, *([lambda b: patch_tokens(b)[0]] if name in WITH_TOKENS else [])):
        ours, theirs = (backbone.compute(part(backbone), batch).float() for backbone in (exact, rounded))
        assert not torch.equal(ours, theirs)
        assert torch.nn.functional.cosine_similarity(ours, theirs, dim=-1).min() > 0.99


@pytest.mark.parametrize("name", ["resnet", "timm-vit-classifier", "timm-map-classifier"])
def test_a_projection_can_have_a_bias(name: str) -> None:
    bias = projection(image_backbone(name))[1]
    assert bias is not None
    assert bias.abs().max() > 0


def test_a_tower_without_a_linear_projection_is_an_error() -> None:
    for part in (projection, preprojection):
        with pytest.raises(BackboneError, match="image tower of fake does not end in a linear projection") as error:
            part(image_backbone("timm-siglip"))
        assert error.value.hint


@pytest.mark.parametrize("name", [name for name in WITH_TOKENS if name.startswith("vit")])
def test_tokens_of_a_vit_are_its_last_normed_and_projected_patches(name: str) -> None:
    backbone = image_backbone(name)
    tower, batch = backbone.model.visual, noise(backbone)
    encode, count = patch_tokens(backbone)
    tokens = backbone.compute(encode, batch)
    assert tokens.shape == (2, count, 24) == (2, 16, 24)
    own = tower.forward_intermediates(batch, indices=1, normalize_intermediates=True, output_fmt="NLC")
    torch.testing.assert_close(tokens, own["image_intermediates"][-1] @ tower.proj, **CLOSE)
    assert not tower.output_tokens


@pytest.mark.parametrize("name", [name for name in WITH_TOKENS if name.startswith("timm")])
def test_a_token_of_a_timm_vit_equals_the_features_of_an_image_of_that_token_alone(name: str) -> None:
    backbone = image_backbone(name)
    tower, batch = backbone.model.visual, noise(backbone, 1)
    encode, count = patch_tokens(backbone)
    tokens = backbone.compute(encode, batch)
    assert tokens.shape == (1, count, backbone.embed_dim)
    normed = tower.trunk.forward_features(batch)[:, tower.trunk.num_prefix_tokens :]
    for i in (0, count // 2, count - 1):
        same = normed[:, i : i + 1].expand(-1, 7, -1)
        torch.testing.assert_close(tokens[:, i], tower.head(tower.trunk.forward_head(same)), **CLOSE)


def test_the_mean_token_equals_the_features_where_a_linear_projection_follows_the_mean() -> None:
    backbone = image_backbone("timm-vit-average")
    batch = noise(backbone)
    tokens = backbone.compute(patch_tokens(backbone)[0], batch)
    torch.testing.assert_close(normalize(tokens.mean(dim=1), dim=1), backbone.encode_image(batch), **CLOSE)


@pytest.mark.parametrize("name", sorted(set(TOWERS) - set(WITH_TOKENS)))
def test_a_tower_without_patch_tokens_is_an_error(name: str) -> None:
    with pytest.raises(BackboneError, match="image tower of fake has no patch tokens") as error:
        patch_tokens(image_backbone(name))
    assert error.value.hint
