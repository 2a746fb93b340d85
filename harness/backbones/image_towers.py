"""Inside open_clip's image towers: the last linear projection, what it is applied to, and projected patch tokens."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.backbones.backbone import Backbone
from harness.errors import BackboneError

_LINEAR = ("attnpool.c_proj", "head.proj", "head.mlp.fc2")
"""Last layers of a ModifiedResNet, and of a timm tower with a linear or an MLP head."""


def projection(backbone: Backbone) -> tuple[Tensor, Tensor | None]:
    """The last linear layer of the image tower: weight ``(w, d)``, and bias ``(d,)`` if it has one, in fp32.

    Image features are ``preprojection @ weight + bias``, divided by their length.

    Raises:
        BackboneError: the image tower does not end in a linear layer.
    """
    path = _require_projection(backbone)
    if path == "proj":
        return backbone.image_tower.get_parameter(path).detach().float(), None
    layer = backbone.image_tower.get_submodule(path)
    bias = layer.bias
    weight = layer.get_parameter("weight").detach().float().t().contiguous()
    return weight, bias.detach().float() if isinstance(bias, Tensor) else None


def preprojection(backbone: Backbone) -> Callable[[Tensor], Tensor]:
    """A function of a batch ``(b, 3, h, w)`` that returns what the projection is applied to, ``(b, w)``.

    Raises:
        BackboneError: the image tower does not end in a linear layer.
    """
    path = _require_projection(backbone)
    tower = _replace_part(backbone.image_tower, path, _identity(backbone.image_tower, path))

    def encode(batch: Tensor) -> Tensor:
        encoded = tower(batch)
        pooled: Tensor = encoded[0] if isinstance(encoded, tuple) else encoded  # some also return tokens
        return pooled

    return encode


def patch_tokens(backbone: Backbone) -> tuple[Callable[[Tensor], Tensor], int]:
    """A function of a batch ``(b, 3, h, w)`` that returns its patch tokens ``(b, p, d)``, and the number p.

    They are the tokens after the last norm, each projected as the pooled token is. A tower that pools by attention
    does so for every token alone, as MaskCLIP does (Zhou et al., ECCV 2022).

    Raises:
        BackboneError: the image tower is no vision transformer, or pools its patches by queries.
    """
    tower = backbone.image_tower
    if hasattr(tower, "class_embedding") and tower.attn_pool is None and tower.pool_type != "none":
        return _vit_tokens(tower), math.prod(tower.grid_size)
    trunk = getattr(tower, "trunk", None)
    if all(hasattr(trunk, name) for name in ("patch_embed", "num_prefix_tokens", "fc_norm")):
        return lambda batch: _timm_tokens(tower, batch), int(trunk.patch_embed.num_patches)  # type: ignore[union-attr]
    raise BackboneError(
        f"the image tower of {backbone.record.architecture} has no patch tokens that can be projected as its features",
        "use a vision transformer, such as ViT-B-16",
    )


def _vit_tokens(tower: nn.Module) -> Callable[[Tensor], Tensor]:
    unprojected = _replace_part(tower, "proj", None)
    unprojected.output_tokens = True  # type: ignore[assignment]  # the tower itself does not change

    def encode(batch: Tensor) -> Tensor:
        _, tokens = unprojected(batch)
        normed = tower.ln_post(tokens) if tower.final_ln_after_pool else tokens  # type: ignore[operator]
        projected: Tensor = normed @ tower.proj
        return projected

    return encode


def _timm_tokens(tower: nn.Module, batch: Tensor) -> Tensor:
    trunk: nn.Module = tower.trunk  # type: ignore[assignment]
    tokens = trunk.forward_features(batch)[:, trunk.num_prefix_tokens :]  # type: ignore[operator]
    if (pool := getattr(trunk, "attn_pool", None)) is not None:
        tokens = pool(tokens.flatten(0, 1).unsqueeze(1)).unflatten(0, tokens.shape[:2])
    projected: Tensor = tower.head(trunk.head(trunk.fc_norm(tokens)))  # type: ignore[operator]
    return projected


def _require_projection(backbone: Backbone) -> str:
    """The dotted name of the last linear layer, or of the matrix, of the image tower."""
    tower = backbone.image_tower
    if isinstance(getattr(tower, "proj", None), nn.Parameter):
        return "proj"
    classifier = tower.trunk.get_classifier() if hasattr(tower, "trunk") else None  # type: ignore[operator,union-attr]
    for name, layer in tower.named_modules():
        if isinstance(layer, nn.Linear) and (name in _LINEAR or layer is classifier):
            return str(name)
    raise BackboneError(
        f"the image tower of {backbone.record.architecture} does not end in a linear projection",
        "use a model whose image features are one, such as ViT-B-16",
    )


def _identity(tower: nn.Module, path: str) -> nn.Module | None:
    """What to put in the place of a projection so that its input comes out."""
    if path == "proj":
        return None
    if path != "attnpool.c_proj":
        return nn.Identity()
    weight = tower.get_submodule(path).get_parameter("weight")  # the attention reads this matrix, and calls no module
    identity = nn.Linear(weight.shape[1], weight.shape[1], bias=False, device="meta")
    identity.weight = nn.Parameter(torch.eye(weight.shape[1], device=weight.device), requires_grad=False)
    return identity


def _replace_part(module: nn.Module, path: str, part: nn.Module | None) -> nn.Module:
    """A copy of a module with another part at a dotted name; it shares all other parts with the module."""
    copied = copy.copy(module)
    copied._modules, copied._parameters = dict(module._modules), dict(module._parameters)
    name, _, rest = path.partition(".")
    setattr(copied, name, _replace_part(module.get_submodule(name), rest, part) if rest else part)
    return copied
