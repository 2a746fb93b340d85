"""A text tower of a few lines in float64, and what it computes written out with numpy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from harness.method import Method
from harness.types.images import Images
from harness.types.task import Support, Task
from harness.types.vocabulary import Vocabulary

WIDTH, SIZE = 6, 20
"""Size of a token embedding, and of a feature."""

PROJECTION = np.random.default_rng(0).normal(size=(WIDTH, SIZE))


def embedding(word: str) -> np.ndarray:
    """The embedding (WIDTH,) of a word."""
    seed = int(hashlib.sha256(word.encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).normal(size=WIDTH)


def words(text: str) -> list[str]:
    return text.replace(".", " .").replace(",", " ,").split()


def raw_feature(rows: np.ndarray) -> np.ndarray:
    """The feature (SIZE,) of a prompt's token embeddings (l, WIDTH): order counts, and it is not linear."""
    place = 1 + 0.3 * np.arange(len(rows))[:, None]
    return np.tanh(rows * place).sum(axis=0) @ PROJECTION


def feature(rows: np.ndarray) -> np.ndarray:
    """The same as a unit row."""
    return raw_feature(rows) / np.linalg.norm(raw_feature(rows))


def text_feature(text: str) -> np.ndarray:
    return feature(np.stack([embedding(word) for word in words(text)]))


@dataclass(frozen=True)
class PlainTokens:
    ids: Tensor
    slot: Tensor
    row: Tensor


class PlainTower:
    """The same with torch, as methods want it: tokens are words."""

    width = WIDTH
    context_length = 99
    embedding_std = 1.0

    def __init__(self) -> None:
        self._words = [""]

    def token_embedding(self, text: str) -> Tensor:
        return torch.from_numpy(np.stack([embedding(word) for word in words(text)]))

    def tokenize(self, prompts, table=None):
        rows, slots, sources = [], [], []
        for b, prompt in enumerate(prompts):
            ids = []
            for piece in prompt.pieces:
                if table and piece.key in table:
                    first, count = table[piece.key]
                    slots += [(b, len(ids) + i) for i in range(count)]
                    sources += range(first, first + count)
                    ids += [self._id("x")] * count
                else:
                    ids += [self._id(word) for word in words(piece.text)]
            rows.append(ids)
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for b, row in enumerate(rows):
            ids[b, : len(row)] = torch.tensor(row)
        return PlainTokens(ids, torch.tensor(slots, dtype=torch.long).reshape(-1, 2), torch.tensor(sources))

    def encode_tokens(self, tokens, learned=None):
        raw = self._raw(tokens, learned)
        return raw / raw.norm(dim=1, keepdim=True)

    def norms(self, prompts):
        return self._raw(self.tokenize(prompts)).norm(dim=1)

    def _raw(self, tokens, learned=None):
        table = torch.from_numpy(np.stack([np.zeros(WIDTH), *(embedding(word) for word in self._words[1:])]))
        rows = table[tokens.ids]
        if learned is not None and len(tokens.row):
            rows = rows.index_put((tokens.slot[:, 0], tokens.slot[:, 1]), learned[tokens.row])
        place = 1 + 0.3 * torch.arange(rows.shape[1], dtype=torch.float64)[:, None]
        return torch.tanh(rows * place).sum(dim=1) @ torch.from_numpy(PROJECTION)

    def encode(self, prompts, overrides=None):
        with torch.no_grad():
            return self.encode_tokens(self.tokenize(prompts))

    def _id(self, word: str) -> int:
        if word not in self._words:
            self._words.append(word)
        return self._words.index(word)


NAMES = ("red bean", "oak", "great blue auk")
NOUN = "thing"
SCALE = 7.0
CAPTIONS = ("a red bean in snow", "an oak", "one great blue auk at sea", "small red bean", None, "old great blue auk")


def plain_task() -> Task:
    """Two images of three classes in random directions, in float64."""
    image = np.random.default_rng(1).normal(size=(6, 1, SIZE))
    image /= np.linalg.norm(image, axis=2, keepdims=True)
    support = Support(torch.from_numpy(image), torch.tensor([0, 1, 2, 0, 1, 2]), CAPTIONS)
    return Task(
        _names=NAMES,
        noun=NOUN,
        text=PlainTower(),
        logit_scale=SCALE,
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
        shots=2,
        _support=support,
        _validation=support,
    )


IP = ("blue whale", "elm")
"""Names that a method is not fitted on."""
QUERY = np.random.default_rng(7).normal(size=(9, SIZE))
QUERY /= np.linalg.norm(QUERY, axis=1, keepdims=True)
"""Features of scored images."""
SUPPORT, LABEL = plain_task().support.features[:, 0].numpy(), plain_task().support.label.numpy()
KNOWN = np.random.default_rng(8).normal(size=(10, SIZE))
KNOWN /= np.linalg.norm(KNOWN, axis=1, keepdims=True)
"""Features of IP images, of classes 0, 1, 0, 1, ..."""


def prompts(names: tuple[str, ...]) -> np.ndarray:
    return np.stack([text_feature(f"a photo of {name}, a type of {NOUN}.") for name in names])


def probabilities(raw: np.ndarray) -> np.ndarray:
    return np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)


def pool_task(pool: np.ndarray = QUERY) -> Task:
    """The same task with a pool and IP images."""
    known = Support(torch.from_numpy(KNOWN[:, None]), torch.arange(len(KNOWN)) % 2)
    return replace(plain_task(), _unlabeled=Images.of(torch.from_numpy(pool)), _ip=known, _ip_names=IP)


def fitted_scores(method: Method, names: tuple[str, ...] = NAMES, ip: tuple[str, ...] = ()) -> np.ndarray:
    """Scores of the scored images by a method that is fitted to that task; they are in float64."""
    found = method.fit(pool_task()).scores(Images.of(torch.from_numpy(QUERY)), Vocabulary.of(NOUN, oop=names, ip=ip))
    assert found.dtype == torch.float64
    return found.numpy()
