"""Class features from sentences about every name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.prompts import Piece, Prompt

from .zero_shot import TEMPLATES

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


def sentence_features(task: Task, vocabulary: Vocabulary, templates: bool) -> Tensor:
    """Unit rows ``(k, d)``: the normalised mean of the unit text features of a name's sentences (need: texts).

    Args:
        task: has the sentences.
        vocabulary: k names, all with sentences.
        templates: whether the templates of zero-shot's ensemble count as further sentences.
    """
    prompts = [_prompts(task, name, vocabulary.noun, templates) for name in vocabulary.names]
    parts = task.text.encode([prompt for own in prompts for prompt in own]).split([len(own) for own in prompts])
    return F.normalize(torch.stack([part.mean(dim=0) for part in parts]), dim=1)


def _prompts(task: Task, name: str, noun: str, templates: bool) -> list[Prompt]:
    sentences = [Prompt((Piece(sentence),)) for sentence in task.texts[name]]
    return sentences + ([template.fill(name, noun) for template in TEMPLATES] if templates else [])
