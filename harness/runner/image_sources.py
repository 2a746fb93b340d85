"""Where the images of a domain are: of a part, a pool or a draw."""

from __future__ import annotations

from typing import Literal

from harness.datasets.domain import DomainData
from harness.feature_cache.image_encoder import ImageSource
from harness.types.labels import UNREADABLE
from harness.types.manifest import Pick
from harness.types.split import Item, Split, TrainOn, nfc
from harness.types.task import Pool


def pool_split(data: DomainData, name: Pool | Literal["ip"]) -> Split | None:
    """The images of a pool, or of the IP side; None if there are none."""
    if name == "ip":
        return data.ip["train"] if data.ip is not None and data.ip["train"].items else None
    return data.oop["train"] if name == "train-unlabeled" else data.scored["oop"]


def sources_of(data: DomainData, split: Split) -> list[ImageSource]:
    """The images of a part, in its order."""
    return [source_of(data, split, item) for item in split.items]


def drawn_source(data: DomainData, pick: Pick, train_on: TrainOn) -> ImageSource:
    """The image of a draw."""
    split, item = data.item_of(pick, train_on)
    return source_of(data, split, item)


def source_of(data: DomainData, split: Split, item: Item) -> ImageSource:
    """One image of a part."""
    file = split.file(item)
    return ImageSource(file, data.digests[file] or UNREADABLE, nfc(f"{split.folder.name}/{item.path}"))
