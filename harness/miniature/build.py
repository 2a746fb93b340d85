"""Writes the miniature as LAION-Beyond's own folders: `Animals20_IP`, `Animals24_OOP`, ..."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.datasets.folder_writer import folder_documents, json_document, split_item, write_document
from harness.datasets.identity import IDENTITY
from harness.datasets.layout import RECORDS, TEXTS
from harness.datasets.whole_folder import write_whole_folder
from harness.errors import StorageError
from harness.execution.executors import in_order, processes
from harness.execution.jobs import JobFailure, Limits, Worker
from harness.files import read_file
from harness.miniature.captions import descriptions, refined_caption
from harness.miniature.finished import is_finished
from harness.miniature.model import NAME
from harness.miniature.names import LEVELS, names
from harness.miniature.world import WORLD
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.photograph import jpeg, photograph
from harness.miniature.world.phylogeny import Concept, Role, concepts, generator

PARTS: dict[Role, dict[str, int]] = {
    "ip": {"train": 8, "val": 4, "test": 20},
    "oop": {"train": 16, "val": 4, "test": 20},
}
"""Images per class."""

AT_ONCE = 4
"""Classes of a job: handing one over takes some milliseconds, drawing a class about 25."""

SHA256_DIGITS = 64

CAPTION_RECORD = Path(__file__).with_name("caption_record.json")
"""The record of the captions that the tiny CLIP is pre-trained on, made by ``caption_record``."""

_Class = tuple[Path, str, Role, int]
"""The root, the domain, the side, and the label of a class that is to be written."""


def build(
    out: Path,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 2,
    hint: str = "choose another folder with --out",
) -> Path:
    """Write the miniature into the new folder ``out``: byte-identical on every run and for any number of workers.

    The folder appears only when it is complete. Returns at once if it is there already.

    Args:
        out: the folder to make; it must not exist, or be empty, or be a finished miniature of this world.
        progress: called with (classes done, classes in all).
        workers: processes that draw.
        hint: of the error, where else it could be written.

    Returns:
        ``out``.

    Raises:
        StorageError: ``out`` is something else, or cannot be written.
    """
    out = Path(out)
    if is_finished(out):  # before the lock: its folder may be read-only
        return out
    write_whole_folder(
        out, lambda: is_finished(out), lambda partial: _write(partial, progress, workers), "the miniature", hint
    )
    return out


def classes(domain: str, role: Role) -> list[Concept]:
    """The concepts of one side of a domain; position = label."""
    return [concept for concept in concepts(domain) if concept.role == role]


def folder(domain: str, role: Role) -> str:
    """The name of the folder of one side of a domain, with the number of its classes."""
    return f"{domain}{len(classes(domain, role))}_{role.upper()}"


def instances(role: Role) -> Iterator[tuple[str, int]]:
    """(part, image number) of every image of a class; train, val and test follow one another."""
    number = 0
    for part, count in PARTS[role].items():
        for _ in range(count):
            yield part, number
            number += 1


def file_name(instance: int) -> str:
    """The file of an image in its class folder."""
    return f"{instance:05d}.jpg"


def _write(root: Path, progress: Callable[[int, int], None] | None, workers: int) -> None:
    sides: list[tuple[str, Role]] = [(domain, role) for domain in DOMAINS for role in PARTS]
    work = [(root, domain, role, label) for domain, role in sides for label in range(len(classes(domain, role)))]
    digests = []
    with closing(_digests(work, workers)) as drawn:
        for done, digest in enumerate(drawn, 1):
            digests.append(digest)
            if progress:
                progress(done, len(work))
    write_document(root / TEXTS, json_document(texts()))
    write_document(root / RECORDS / f"{NAME}.json", read_file(CAPTION_RECORD))
    identity = {
        "name": NAME,
        "revision": WORLD,
        "images": sum(len(classes(*side)) * sum(PARTS[side[1]].values()) for side in sides),
        "images_sha256": hashlib.sha256("".join(digests).encode()).hexdigest(),
        "folders": [folder(*side) for side in sides],
        "name_levels": LEVELS,
    }
    write_document(root / IDENTITY, json_document(identity))


def _digests(work: list[_Class], workers: int) -> Generator[str, None, None]:
    """Write classes; yields the digest of each, in order.

    Raises:
        OSError: one cannot be written.
        StorageError: a process that writes some is lost.
    """
    if workers < 2:
        yield from map(_write_class, work)
        return
    jobs = [work[start : start + AT_ONCE] for start in range(0, len(work), AT_ONCE)]
    for result in in_order(processes(jobs, _make_worker, Limits(workers))):
        if isinstance(result.value, JobFailure):
            raise StorageError(f"a process that draws {NAME} {result.value.reason}", "run the command again")
        if len(result.value) < SHA256_DIGITS:
            raise OSError(int(result.value), os.strerror(int(result.value)))
        yield from result.value.decode().split()


def _make_worker(device: str) -> Worker[list[_Class]]:
    return _answer


def _answer(job: list[_Class]) -> bytes:
    """The digests of classes that are written, or the number of the system's error."""
    try:
        return " ".join(map(_write_class, job)).encode()
    except OSError as error:
        return str(error.errno or errno.EIO).encode()


def _write_class(task: _Class) -> str:
    """Write the images of one class, and with the first one the documents of its folder.

    Returns:
        The sha256 over the bytes of all images.
    """
    root, domain, role, label = task
    if label == 0:
        for name, content in metadata(domain, role).items():
            write_document(root / folder(domain, role) / name, json_document(content))
    concept = classes(domain, role)[label]
    place = root / folder(domain, role) / "images" / names(domain)[concept.number].text
    place.mkdir(parents=True)
    digest = hashlib.sha256()
    for _, instance in instances(role):
        file = jpeg(photograph(concept, instance))
        digest.update(file)
        (place / file_name(instance)).write_bytes(file)
    return digest.hexdigest()


def metadata(domain: str, role: Role) -> dict[str, Any]:
    """The JSON files of one folder: file name -> content."""
    own = [names(domain)[concept.number].text for concept in classes(domain, role)]
    files = {name: [file_name(number) for _, number in instances(role)] for name in own}
    return folder_documents(folder(domain, role), files, _split(domain, role, own))


def texts() -> dict[str, list[str]]:
    """Name -> sentences about it, for methods that need them."""
    found = {}
    for domain in DOMAINS:
        for concept in concepts(domain):
            if concept.role in PARTS:
                name = names(domain)[concept.number].text
                found[name] = descriptions(concept, name, generator(domain, concept.number, "descriptions"))
    return found


def _split(domain: str, role: Role, own: list[str]) -> dict[str, list[dict[str, Any]]]:
    genera = list(DOMAINS[domain].founders)
    parts: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS[role]}
    for label, concept in enumerate(classes(domain, role)):
        superclass = {"s_label": genera.index(concept.genus), "superclass": concept.genus}
        for part, instance in instances(role):
            rng = generator(domain, concept.number, instance, "caption")
            caption = refined_caption(concept, own[label], rng)
            parts[part].append(split_item(own[label], file_name(instance), label, caption, **superclass))
    for part, items in parts.items():
        generator(domain, role, part, "order").shuffle(items)
    return parts
