"""The documents of an imported root: JSON files of its folders, README, and what identifies its content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.datasets.folder_writer import folder_documents, json_document, split_item
from harness.datasets.identity import IDENTITY
from harness.datasets.importing.hugging_face import HUB
from harness.datasets.importing.plan_root import RootPlan
from harness.datasets.importing.request import ImportedFolder, ImportRequest
from harness.datasets.importing.store_images import StoredImage
from harness.datasets.nouns import NOUNS_FILE
from harness.datasets.remote import RemoteFile
from harness.datasets.revision import identify, list_documents, listed_file
from harness.datasets.root_files import README
from harness.progress import pluralize
from harness.prompts import domain_noun
from harness.types.split import PARTS, Part


@dataclass(frozen=True)
class DividedImage:
    """An intact image and its part."""

    image: StoredImage
    part: Part


def imported_folders(plan: RootPlan, images: Sequence[DividedImage]) -> tuple[ImportedFolder, ...]:
    """Counts of each folder."""
    return tuple(
        ImportedFolder(
            folder=folder,
            side=side,
            classes=len(plan.classes[folder]),
            images={part: sum(one.part == part for one in own) for part in PARTS},
            captions=sum(one.image.planned.sample.caption is not None for one in own),
        )
        for folder, side in plan.folders.items()
        for own in [_of_folder(images, folder)]
    )


def root_documents(
    plan: RootPlan, images: Sequence[DividedImage], request: ImportRequest, kind: str, damaged: int
) -> tuple[dict[str, bytes], list[RemoteFile]]:
    """Path -> content of every document, and a listing of all images, with paths relative to the root.

    The revision in ``dataset.json`` covers images, split files and nouns.
    """
    documents = {
        f"{folder}/{name}": json_document(content)
        for folder in plan.folders
        for name, content in _folder_documents(folder, plan, _of_folder(images, folder)).items()
    }
    if request.noun:
        documents[NOUNS_FILE] = json_document({request.domain: request.noun})
    listed = [listed_file(one.image.planned.path, one.image.size, one.image.sha256) for one in images]
    revision, listings = identify(plan.folders, [*listed, *list_documents(documents)])
    documents |= listings
    identity = {
        "name": request.out.absolute().name,
        "revision": revision,
        "licence": request.licence,
        "source": _origin(request),
    }
    documents[IDENTITY] = json_document(identity)
    documents |= request.documents
    documents[README] = "".join(_readme(plan, images, request, kind, damaged)).encode()
    return documents, listed


def _folder_documents(folder: str, plan: RootPlan, images: Sequence[DividedImage]) -> Mapping[str, object]:
    label_of = {name: label for label, name in enumerate(plan.classes[folder])}
    files: dict[str, list[str]] = {name: [] for name in label_of}
    parts: dict[str, list[dict[str, object]]] = {part: [] for part in PARTS}
    for one in images:
        planned = one.image.planned
        files[planned.classname].append(planned.file)
        item = split_item(planned.classname, planned.file, label_of[planned.classname], planned.sample.caption)
        parts[one.part].append(item)
    return folder_documents(folder, files, parts)


def _of_folder(images: Sequence[DividedImage], folder: str) -> list[DividedImage]:
    return [one for one in images if one.image.planned.folder == folder]


def _origin(request: ImportRequest) -> str:
    """Where the data are from: as stated, else the names of the source, without the folders of this machine."""
    names = (one if one.startswith(HUB) else Path(one).absolute().name for one in request.sources)
    return request.origin or ", ".join(names)


def _readme(
    plan: RootPlan, images: Sequence[DividedImage], request: ImportRequest, kind: str, damaged: int
) -> Iterator[str]:
    noun = request.noun or domain_noun(request.domain)
    yield f"# {request.out.absolute().name}\n\n"
    yield f"Source: {_origin(request)} ({kind})  \nLicence: {request.licence or 'not stated'}  \n"
    yield f"Domain: {request.domain}; prompts call its concepts: {noun}\n\n"
    yield "| folder | classes | train | val | test | captions |\n|---|---|---|---|---|---|\n"
    for folder in imported_folders(plan, images):
        counts = " | ".join(str(folder.images[part]) for part in PARTS)
        yield f"| {folder.folder} | {folder.classes} | {counts} | {folder.captions} |\n"
    shares = ", ".join(f"{part} {share:g}" for part, share in request.shares.items())
    stated = "Parts of the source were ignored." if request.redraw else "Parts that the source states were kept."
    yield f"\n{stated} Other images were drawn with seed {request.seed} and the shares {shares}.\n"
    copies = Counter(one.image.sha256 for one in images)
    repeated = sum(count - 1 for count in copies.values())
    yield f"Images with the same bytes are in one part; {pluralize(repeated, 'images')} repeat another one.\n"
    yield f"Damaged images that were left out: {damaged}.\n"
