"""Writes the miniature as LAION-Beyond's own folders: `Animals20_IP`, `Animals24_OOP`, ..."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.datasets.identity import IDENTITY
from harness.datasets.layout import RECORDS, TEXTS
from harness.errors import StorageError
from harness.execution.hidden_main import hidden_script
from harness.files import PERMISSIONS_HINT, read_error, read_file, write_error
from harness.miniature.captions import descriptions, refined_caption
from harness.miniature.model import NAME
from harness.miniature.names import LEVELS, names
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.photograph import jpeg, photograph
from harness.miniature.world.phylogeny import WORLD, Concept, Role, concepts, generator
from harness.parsing import parse_json, parsing

PARTS: dict[Role, dict[str, int]] = {
    "ip": {"train": 8, "val": 4, "test": 20},
    "oop": {"train": 16, "val": 4, "test": 20},
}
"""Images per class."""

CAPTION_RECORD = Path(__file__).with_name("caption_record.json")
"""The record of the captions that the tiny CLIP is pre-trained on, made by ``caption_record``."""


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
    if _is_finished(out):  # before the lock: its folder may be read-only
        return out
    partial = out.parent / f".{out.name}.partial"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(out.parent / f".{out.name}.lock"):
            if _is_finished(out):
                return out
            shutil.rmtree(partial, ignore_errors=True)  # what a killed build left
            try:
                _write(partial, progress, workers)
            except BaseException:  # otherwise a hidden folder would fill the disk
                shutil.rmtree(partial, ignore_errors=True)
                raise
            if out.exists():
                out.rmdir()
            partial.rename(out)
    except NotImplementedError:  # older filelock on a file system without flock, such as Lustre
        raise write_error("the miniature", out, OSError("the file system has no locks"), hint) from None
    except OSError as error:
        raise write_error("the miniature", out, error, hint) from error
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


def _is_finished(out: Path) -> bool:
    identity = out / IDENTITY
    try:
        there = {path.name for path in out.iterdir()}
        if not there:
            return False
        if IDENTITY not in there:
            raise NotADirectoryError
        content = read_file(identity)
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        hint = "choose another folder; nothing was changed"
        raise StorageError(f"{out} exists and is not a miniature", hint) from None
    except OSError as error:
        raise read_error(out, error, f"{PERMISSIONS_HINT}, or choose another folder") from None
    with parsing(f"{identity} is damaged", "delete the folder and build it again"):
        world = parse_json(content, f"{identity} is damaged")["revision"]
    if world != WORLD:
        raise StorageError(
            f"{out} is another world ({world}, not {WORLD})", "choose another folder, or delete this one"
        )
    return True


def _write(root: Path, progress: Callable[[int, int], None] | None, workers: int) -> None:
    sides: list[tuple[str, Role]] = [(domain, role) for domain in DOMAINS for role in PARTS]
    work = [(root, domain, role, label) for domain, role in sides for label in range(len(classes(domain, role)))]
    digests = []
    for done, digest in enumerate(_each(work, workers), 1):
        digests.append(digest)
        if progress:
            progress(done, len(work))
    for domain, role in sides:
        for name, content in metadata(domain, role).items():
            _dump(root / folder(domain, role) / name, content)
    _dump(root / TEXTS, texts())
    (root / RECORDS).mkdir()
    (root / RECORDS / f"{NAME}.json").write_bytes(read_file(CAPTION_RECORD))
    identity = {
        "name": NAME,
        "revision": WORLD,
        "images": sum(len(classes(*side)) * sum(PARTS[side[1]].values()) for side in sides),
        "images_sha256": hashlib.sha256("".join(digests).encode()).hexdigest(),
        "folders": [folder(*side) for side in sides],
        "name_levels": LEVELS,
    }
    _dump(root / IDENTITY, identity)


def _each(work: list[tuple[Path, str, Role, int]], workers: int) -> Iterator[str]:
    if workers < 2:
        yield from map(_write_class, work)
        return
    # Spawn: the caller may hold threads (torch's), which a forked child would inherit broken.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        with hidden_script():
            digests = pool.map(_write_class, work, chunksize=6)
        yield from digests


def _write_class(task: tuple[Path, str, Role, int]) -> str:
    """Write the images of one class; returns the sha256 over all their bytes."""
    root, domain, role, label = task
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
    return {
        "label2name.json": {str(label): name for label, name in enumerate(own)},
        "name2label.json": {name: label for label, name in enumerate(own)},
        "merged_mapping.json": {name: [file_name(number) for _, number in instances(role)] for name in own},
        f"split_Xin_{folder(domain, role)}.json": _split(domain, role, own),
    }


def texts() -> dict[str, list[str]]:
    """Name -> sentences about it, for methods that need them."""
    found = {}
    for domain in DOMAINS:
        for concept in concepts(domain):
            if concept.role in PARTS:
                name = names(domain)[concept.number].text
                found[name] = descriptions(concept, name, generator(domain, concept.number, "descriptions"))
    return found


def _split(domain: str, role: Role, own: list[str]) -> dict[str, dict[str, Any]]:
    genera = list(DOMAINS[domain].founders)
    parts: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS[role]}
    for label, concept in enumerate(classes(domain, role)):
        for part, instance in instances(role):
            item: dict[str, Any] = {
                "classname": own[label],
                "image_name": file_name(instance),
                "label": label,
                "s_label": genera.index(concept.genus),
                "superclass": concept.genus,
            }
            rng = generator(domain, concept.number, instance, "caption")
            text = refined_caption(concept, own[label], rng)
            parts[part].append(item if text is None else {**item, "INFO": {"Refined_caption3": text}})
    for part, items in parts.items():
        generator(domain, role, part, "order").shuffle(items)
    return {part: {str(index): item for index, item in enumerate(items)} for part, items in parts.items()}


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
