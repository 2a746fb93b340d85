"""Describe a data folder from its split files, the headers of its images, and their digests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from harness.datasets.card.records import ClassCard, DataCard, FolderCard, Spread
from harness.datasets.check import count_captions_with_name
from harness.datasets.collisions import TokenIds, find_name_collisions, find_token_collisions
from harness.datasets.copies import ImageIndex, ImageLocation
from harness.datasets.digests import DigestIndex
from harness.datasets.folder_reader import FolderContent, read_content
from harness.datasets.images import ImageHeader, read_header
from harness.datasets.layout import dataset_name, find_folders, parse_folder_name
from harness.datasets.map_in_threads import map_in_threads
from harness.datasets.nouns import noun_of
from harness.errors import DataError, printable
from harness.prompts import clean_name
from harness.types.split import PARTS, Item

Progress = Callable[[str, int, int], None]
"""Callback with (folder name, processed files, total files)."""


def describe_root(
    root: Path, token_ids: TokenIds, index: DigestIndex, workers: int = 2, progress: Progress | None = None
) -> DataCard:
    """Describe every folder of a root. Images are hashed unless the index knows them, and never decoded.

    Args:
        root: the folder of the ``{Domain}{N}_{side}`` folders.
        token_ids: tokenizer of the backbone.
        index: known digests.
        workers: threads that read.
        progress: called from the calling thread while images are read.

    Raises:
        DataError: the root is missing, contains no such folder, or a split file is unusable.
    """
    root = Path(root)
    names = find_folders(root)
    images, folders = ImageIndex(), []
    named: dict[str, dict[str, list[str]]] = {}
    for name in names:
        content, problems = _read(root / name)
        folders.append(_describe(root, name, content, problems, token_ids, workers))
        _add_digests(images, root / name, content, index, workers, progress)
        named.setdefault(folders[-1].domain, {})[name] = list(content.classes.values())
    return DataCard(
        root=printable(str(root)),
        dataset=printable(dataset_name(root, names)),
        folders=tuple(folders),
        duplicates=tuple(images.duplicates()),
        name_collisions=tuple(
            collision
            for classes in named.values()
            for name, own in classes.items()
            for collision in find_name_collisions(name, own)
        ),
        token_collisions=tuple(find_token_collisions(root, named, token_ids)),
    )


def _read(folder: Path) -> tuple[FolderContent, list[str]]:
    """The content of a split file, and a sentence for each entry that is left out."""
    problems: list[str] = []
    return read_content(folder, lambda kind, path, message: problems.append(message)), problems


def _describe(
    root: Path, name: str, content: FolderContent, problems: list[str], token_ids: TokenIds, workers: int
) -> FolderCard:
    parsed = parse_folder_name(name)
    assert parsed is not None, "find_folders returns only such names"
    items = _items(content)
    found = list(map_in_threads(lambda item: _header(root / name, item), items, workers))
    headers = [header for header in found if isinstance(header, ImageHeader)]
    unread = [header.message for header in found if isinstance(header, DataError)]
    return FolderCard(
        folder=printable(name),
        domain=parsed.domain,
        side=parsed.side,
        noun=noun_of(root, parsed.domain),
        classes=_classes(content, token_ids),
        captions_with_name=count_captions_with_name(content, items),
        size=sum(header.size for header in headers),
        width=Spread.of([header.width for header in headers]),
        height=Spread.of([header.height for header in headers]),
        formats=dict(Counter(header.format for header in headers).most_common()),
        problems=tuple(map(printable, (*problems, *unread))),
    )


def _items(content: FolderContent) -> list[Item]:
    return [item for part in PARTS for item in content.items[part]]


def _header(folder: Path, item: Item) -> ImageHeader | DataError:
    try:
        return read_header(folder / item.path, item.path)
    except DataError as error:
        return error


def _classes(content: FolderContent, token_ids: TokenIds) -> tuple[ClassCard, ...]:
    images = {part: Counter(item.label for item in content.items[part]) for part in PARTS}
    captions = Counter(item.label for item in _items(content) if item.caption is not None)
    return tuple(
        ClassCard(
            name=printable(clean_name(classname)),
            tokens=len(token_ids(clean_name(classname))),
            images={part: images[part][label] for part in PARTS},
            captions=captions[label],
        )
        for label, classname in enumerate(content.classes.values())
    )


def _add_digests(
    images: ImageIndex,
    folder: Path,
    content: FolderContent,
    index: DigestIndex,
    workers: int,
    progress: Progress | None,
) -> None:
    """Add the readable images of a folder to the index of duplicates."""
    places = [ImageLocation(folder.name, part, item.path) for part in PARTS for item in content.items[part]]

    def on_progress(done: int, total: int) -> None:
        if progress:
            progress(folder.name, done, total)

    digests = index.digests([folder / place.path for place in places], workers, on_progress)
    for place, digest in zip(places, digests, strict=True):
        if isinstance(digest, str):
            images.add(place, digest)
