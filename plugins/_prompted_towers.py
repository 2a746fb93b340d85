"""Learned tokens inside both towers: of the text, the words before the name; of images, tokens after the patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.prompts import Piece, Prompt

from ._deep_prompts import Tokens, as_they_are, prompt_image_tower, prompt_text_tower, random_tokens
from ._towers import TowerMethod, blocks, text_tower
from ._training import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

CONTEXT = "context"
"""Key of the learned words of a prompt."""


@dataclass
class PromptedTowers(TowerMethod):
    """Base of the methods that learn tokens for the first blocks of both towers.

    The prompt is ``[learned words] further words name.`` All names share the learned words, so that new names have
    prompts too.
    """

    context: str = "a photo of a"
    """Words before the name."""
    words: PositiveInt = 2
    """How many of them are learned, from the first; the others stay text."""
    depth: PositiveInt = 9
    """Blocks with tokens of their own, from the first; at most those of the smaller tower."""

    def insert_words(self, task: Task, method: str) -> list[nn.Module]:
        """Put the learned words ``rows_`` into the text tower of ``model_``; returns the image tower's blocks.

        Raises:
            NotApplicable: a tower has no blocks of open_clip.
        """
        inside = blocks(self.model_.visual, method, "vision")
        of_text = blocks(text_tower(self.model_), method, "text")
        words = task.text.token_embedding(" ".join(self.context.split()[: self.words])).to(task.support.features.dtype)
        depth = min(self.depth, len(of_text), len(inside))
        self.rows_: list[Tensor] = [words, *random_tokens(task, depth - 1, *words.shape)]
        start = int(self.tokenize(task.vocabulary).slot[0, 1])
        prompt_text_tower(of_text, as_they_are(self.rows_[1:]), start)
        return inside

    def insert_image_tokens(self, inside: list[nn.Module], tokens: list[Tokens]) -> None:
        """Put learned tokens into the image tower of ``model_``."""
        prompt_image_tower(self.model_.visual, inside, tokens)

    def prompts(self, vocabulary: Vocabulary) -> list[Prompt]:
        """``[learned words] further words name.``"""
        rest = " ".join(["", *self.context.split()[self.words :], ""])
        return [Prompt((Piece("", CONTEXT), Piece(rest), Piece(name, name), Piece("."))) for name in vocabulary.names]

    def tokenize(self, vocabulary: Vocabulary) -> Any:
        """Tokenized prompts with slots for the learned words."""
        return self.tower_.tokenize(self.prompts(vocabulary), {CONTEXT: (0, len(self.rows_[0]))})

    def encode_text(self, tokens: Any) -> Tensor:
        """Unit rows ``(k, d)`` of tokenized prompts by the prompted text tower."""
        return self.tower_.encode_tokens(tokens, self.rows_[0])
