"""The text tower, with name embeddings replaced at the token-embedding module.

Prompts go through open_clip's own module: ``CLIP``, ``CustomTextCLIP`` or ``CoCa``, with open_clip's transformer or one
of Hugging Face. A forward hook on the token embedding replaces the tokens of a piece by learned rows.

Three exact optimizations: with a causal mask nothing after the end token matters, so the context is cut to the longest
prompt of the batch; shared prefixes are computed once (``harness.backbones.tree``); and frozen prompts are encoded
once. Probes at construction check that the first two leave the features unchanged, and disable them otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from harness.backbones import tree
from harness.backbones.prompt_tokens import Table, prompt_tokenizer
from harness.backbones.tokens import Tokens, strip_padding
from harness.device import to_device, without_tf32
from harness.errors import BackboneError
from harness.prompts import Piece, Prompt

_FROZEN_BATCH = 256


class _Encode(nn.Module):
    """``encode_text`` as a forward function, so that ``functional_call`` can shorten the context."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, unit: bool = True) -> Tensor:
        encoded: Tensor = self.model.encode_text(ids, normalize=unit)  # type: ignore[operator]
        return encoded


class OpenClipTextTower:
    """The text side of a backbone.

    Attributes:
        width: size of a token embedding.
        context_length: maximum number of tokens of a prompt, start and end token included.
        cuts_context: whether the context is cut to the longest prompt.
        shares_prefixes: whether shared prefixes of prompts with learned rows are computed once.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, device: torch.device, bf16: bool = False, compiled: bool = False
    ) -> None:
        """Wrap a model.

        Args:
            model: an open_clip model.
            tokenizer: its tokenizer.
            device: device of the model.
            bf16: encode with bf16 autocast; learned rows and features stay fp32.
            compiled: encode prompts with learned rows through torch.compile.

        Raises:
            BackboneError: the tower has no token embedding, or cannot be compiled.
        """
        self._device = device
        self._set_model(model)
        if not isinstance(self._embedding, nn.Embedding):
            raise BackboneError(f"the text tower {type(self._tower).__name__} has no token-embedding module")
        self.width = int(self._embedding.embedding_dim)
        self.context_length = int(getattr(tokenizer, "context_length", None) or model.context_length)  # type: ignore[arg-type]
        self._tokenizer = prompt_tokenizer(tokenizer, self.context_length)
        self._frozen: dict[Prompt, Tensor] = {}
        self._by_tokens: dict[tuple[int, ...], Tensor] = {}
        self._is_copy = self.cuts_context = self.shares_prefixes = self._bf16 = False
        with without_tf32():  # TF32 rounds more than a probe tolerates
            self.cuts_context = self._probe_cut()
            self.shares_prefixes = self.cuts_context and self._probe_tree()
        if compiled and not self.shares_prefixes:
            raise BackboneError(
                f"learning through the text tower {type(self._tower).__name__} cannot be compiled: it does not "
                "consist of open_clip's causal blocks",
                "leave --compile out",
            )
        self._bf16 = bf16
        self._encode_tree = torch.compile(tree.encode, dynamic=True) if compiled else tree.encode

    def _set_model(self, model: nn.Module) -> None:
        self._encode = _Encode(model)
        modules: dict[str, Any] = dict(self._encode.named_modules())
        # open_clip's own tower is the module with the token embedding, however the model is wrapped.
        place = next((name for name, module in modules.items() if "token_embedding" in module._modules), None)
        self._tower: Any = getattr(model, "text", model) if place is None else modules[place]
        self._prefix = f"{place}."

    @property
    def _embedding(self) -> Any:
        """The module of the token embedding, looked up anew because a copy's may be replaced; None without one."""
        found = getattr(self._tower, "token_embedding", None)
        if found is None and hasattr(self._tower, "transformer"):  # a Hugging Face text encoder
            found = self._tower.transformer.get_input_embeddings()
        return found

    def on(self, model: nn.Module) -> OpenClipTextTower:
        """This tower over a copy of its model: the same prompts and tokens, encoded by the copy's own modules.

        Gradients also flow into weights of the copy that require them; hooks on its modules and replaced modules take
        effect, and nothing is cached.

        Args:
            model: a copy of the open_clip model on the same device; it may be wrapped (``peft``).
        """
        tower = copy.copy(self)
        tower._set_model(model)
        tower._is_copy, tower.shares_prefixes = True, False  # the prefix tree goes around hooks and modules
        return tower

    # -- tokens ------------------------------------------------------------------------------------------------

    def token_ids(self, text: str) -> list[int]:
        """The token ids of a text of any length as it stands inside a prompt, without start and end token."""
        return self._tokenizer.token_ids(text)

    def token_embedding(self, text: str) -> Tensor:
        """The frozen embeddings ``(r, width)`` of a text's r tokens inside a prompt, fp32."""
        ids = to_device(torch.tensor(self.token_ids(text), dtype=torch.long), self._device)
        with torch.no_grad():
            rows: Tensor = self._embedding(ids)  # some modules scale the rows of their table
        return rows.float().clone()

    @property
    def embedding_std(self) -> float:
        """Standard deviation of the token-embedding table; the scale for random initialisation."""
        scale = getattr(self._embedding, "embed_scale", 1.0)  # of M2M-100
        return float(self._embedding.weight.std()) * float(scale)

    def tokenize(self, prompts: Sequence[Prompt], table: Table | None = None) -> Tokens:
        """Tokenize prompts; pieces with a key of ``table`` become slots for learned rows.

        Args:
            prompts: b prompts.
            table: key -> (first row, number of rows) of the learned table.

        A prompt that is too long loses tokens at its end, then at its beginning; a keyed piece (the name) is cut last.
        """
        return self._tokenizer.tokenize(prompts, table or {}, not self.cuts_context, self._device)

    def token_rows(self, prompts: Sequence[Prompt]) -> Tensor:
        """Token ids ``(b, l)`` of b prompts without learned rows, on the CPU; equal rows mean equal features."""
        return self.tokenize(prompts).ids

    # -- encoding ----------------------------------------------------------------------------------------------

    def encode_tokens(self, tokens: Tokens, learned: Tensor | None = None) -> Tensor:
        """Unit rows ``(b, d)`` of tokenized prompts; gradients flow into ``learned`` ``(R, width)``."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            encoded = self._encode_tokens(tokens, learned)
        return encoded.float() if self._bf16 else encoded

    def _encode_tokens(self, tokens: Tokens, learned: Tensor | None) -> Tensor:
        if learned is None or tokens.row.numel() == 0:
            return self._forward(tokens.on_device[0])
        if self.shares_prefixes:
            return self._encode_tree(self._tower, tokens.tree, learned)
        ids, slot, row = tokens.on_device
        values = learned[row]

        def replace(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            return output.index_put((slot[:, 0], slot[:, 1]), values.to(output.dtype))

        handle = self._embedding.register_forward_hook(replace)
        try:
            return self._forward(ids)
        finally:
            handle.remove()

    def encode(self, prompts: Sequence[Prompt], overrides: dict[str, Tensor] | None = None) -> Tensor:
        """Unit rows ``(k, d)`` of k prompts.

        Args:
            prompts: the prompts.
            overrides: key -> ``(r, width)`` embeddings that replace the tokens of pieces with that key; r may differ
                from the number of tokens. Without overrides the result is cached.
        """
        if overrides:
            table, start = {}, 0
            for key, value in overrides.items():
                table[key] = (start, len(value))
                start += len(value)
            return self.encode_tokens(self.tokenize(prompts, table), torch.cat(list(overrides.values())))
        if self._is_copy and prompts:
            batches = (prompts[start : start + _FROZEN_BATCH] for start in range(0, len(prompts), _FROZEN_BATCH))
            return torch.cat([self.encode_tokens(self.tokenize(batch)) for batch in batches])
        if not prompts:
            return torch.zeros(0, self._frozen_width(), device=self._device)
        if missing := list(dict.fromkeys(p for p in prompts if p not in self._frozen)):
            self._encode_new(missing)
        return torch.stack([self._frozen[p] for p in prompts])

    def _encode_new(self, prompts: Sequence[Prompt]) -> None:
        """Encode and cache prompts without learned rows; prompts with the same tokens are encoded once.

        Rows of a batch may be rounded differently, so that one of two names with the same tokens would get all images.
        """
        keys = [strip_padding(row) for row in self.token_rows(prompts).tolist()]
        first = dict(zip(reversed(keys), reversed(prompts), strict=True))
        new = [key for key in dict.fromkeys(keys) if key not in self._by_tokens]
        for start in range(0, len(new), _FROZEN_BATCH):
            batch = new[start : start + _FROZEN_BATCH]
            self._by_tokens.update(zip(batch, self._encode_frozen([first[key] for key in batch]), strict=True))
        self._frozen.update((prompt, self._by_tokens[key]) for prompt, key in zip(prompts, keys, strict=True))

    def norms(self, prompts: Sequence[Prompt]) -> Tensor:
        """L2 norms ``(k,)`` of the features of k prompts before normalization."""
        batches = (prompts[start : start + _FROZEN_BATCH] for start in range(0, len(prompts), _FROZEN_BATCH))
        found = [self._encode_frozen(batch, unit=False).norm(dim=1) for batch in batches]
        return torch.cat(found) if found else torch.zeros(0, device=self._device)

    @torch.no_grad()
    def _encode_frozen(self, prompts: Sequence[Prompt], unit: bool = True) -> Tensor:
        """Features ``(k, d)`` in fp32 of prompts without learned rows."""
        ids = to_device(self.token_rows(prompts), self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            return self._forward(ids, unit).float()

    def clear_cache(self) -> None:
        """Clear the cache of frozen prompts, as before every cell: a cell must not depend on earlier ones."""
        self._frozen.clear()
        self._by_tokens.clear()

    def _frozen_width(self) -> int:
        return int(self.encode([Prompt((Piece("a photo"),))]).shape[1])

    def _forward(self, ids: Tensor, unit: bool = True) -> Tensor:
        length = ids.shape[1]
        if not self.cuts_context or length == self.context_length:
            encoded: Tensor = self._encode(ids, unit)
            return encoded
        shorter = {
            f"{self._prefix}positional_embedding": self._tower.positional_embedding[:length],
            f"{self._prefix}attn_mask": self._tower.attn_mask[:length, :length],
        }
        cut: Tensor = functional_call(self._encode, shorter, (ids, unit), tie_weights=False)
        return cut

    def _probe_cut(self) -> bool:
        """Whether cutting the context leaves the features unchanged."""
        causal = isinstance(getattr(self._tower, "attn_mask", None), Tensor)
        if not causal or getattr(self._tower, "cls_emb", None) is not None or self._tokenizer.eot < 0:
            return False
        probe = [Prompt((Piece("a photo of a cat"),))]
        with torch.no_grad():
            whole = self.encode_tokens(self.tokenize(probe))
            self.cuts_context = True
            try:
                cut = self.encode_tokens(self.tokenize(probe))
            except (RuntimeError, AttributeError):
                return False
            finally:
                self.cuts_context = False
        return bool(torch.allclose(whole, cut, atol=1e-5))

    def _probe_tree(self) -> bool:
        """Whether computing shared prefixes once leaves the features unchanged."""
        learned = self.token_embedding("a tall cat")
        table = {"long": (0, len(learned)), "short": (0, 1)}
        probe = [Prompt((Piece("a photo of "), Piece(key, key), Piece("."))) for key in table]
        tokens = self.tokenize(probe, table)
        with torch.no_grad():
            try:
                shared = tree.encode(self._tower, tokens.tree, learned)
            except (RuntimeError, AttributeError, TypeError):
                return False
            whole = self.encode_tokens(tokens, learned)
        return bool(torch.allclose(whole, shared, atol=1e-5))
