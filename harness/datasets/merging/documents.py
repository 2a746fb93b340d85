"""The documents of a merged root: those next to the folders of its sources, combined, or an error if they disagree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.datasets.folder_writer import json_document
from harness.datasets.identity import IDENTITY, read_revision
from harness.datasets.layout import RECORDS, TEXTS
from harness.datasets.merging.listed_root import ListedRoot
from harness.datasets.nouns import NOUNS_FILE, stated_nouns
from harness.datasets.revision import identify, list_documents
from harness.datasets.root_files import README
from harness.datasets.splitfile import read_json
from harness.errors import DataError
from harness.files import list_paths, read_error, read_file
from harness.prompts import clean_name


def merged_documents(roots: Sequence[ListedRoot], name: str) -> dict[str, bytes]:
    """Path -> content of the documents of a root with the folders of others.

    Args:
        roots: the others, in an order that their content decides.
        name: of the merged data set.

    Raises:
        DataError: two state different sentences about a name, or a file is damaged.
        StorageError: a file cannot be read.
    """
    nouns, texts = _nouns(roots), _texts(roots)
    documents = {NOUNS_FILE: json_document(nouns)} if nouns else {}
    folders = {folder: files for root in roots for folder, files in root.folders.items()}
    files = [file for listed in folders.values() for file in listed]
    revision, listings = identify(folders, [*files, *list_documents(documents)])
    identity = {"name": name, "revision": revision, "source": ", ".join(root.name for root in roots)}
    documents |= listings | dict(_records(roots)) | {IDENTITY: json_document(identity)}
    if texts:
        documents[TEXTS] = json_document(texts)
    return documents | {README: b"\n".join(_readme(roots, name))}


def _nouns(roots: Sequence[ListedRoot]) -> dict[str, str]:
    """Domain -> noun, of the domains that state one."""
    nouns = {
        domain: noun for root in roots for domain, noun in stated_nouns(root.path).items() if domain in root.domains
    }
    return dict(sorted(nouns.items()))


def _texts(roots: Sequence[ListedRoot]) -> dict[str, Any]:
    """Cleaned-up name -> sentences about it."""
    found: dict[str, Any] = {}
    for path in [root.path / TEXTS for root in roots if (root.path / TEXTS).is_file()]:
        content = read_json(path, str(path))
        if not isinstance(content, dict):
            raise DataError(f"{path} is not an object of names and sentences", 'write it as {"crane": ["a tall bird"]}')
        for name, sentences in content.items():
            if found.setdefault(clean_name(name), sentences) != sentences:
                raise DataError(
                    f"{path} has other sentences about {name!r} than another root", f"make their {TEXTS} agree"
                )
    return dict(sorted(found.items()))


def _records(roots: Sequence[ListedRoot]) -> Iterator[tuple[str, bytes]]:
    """Path and content of the records of corpora; different ones of one name have part of their sha256 in it."""
    versions: dict[str, set[bytes]] = {}
    for path in [path for root in roots for path in list_paths(root.path / RECORDS, "*.json")]:
        versions.setdefault(path.name, set()).add(_read(path))
    for name, contents in versions.items():
        for content in contents:
            own = f"{Path(name).stem}-{hashlib.sha256(content).hexdigest()[:8]}.json"
            yield f"{RECORDS}/{name if len(contents) == 1 else own}", content


def _readme(roots: Sequence[ListedRoot], name: str) -> Iterator[bytes]:
    """What the data set is merged from, then the READMEs of the sources."""
    sources = "".join(
        f"- {root.name}, revision {read_revision(root.path) or 'not stated'}: {', '.join(root.folders)}\n"
        for root in roots
    )
    yield f"# {name}\n\nMerged from:\n\n{sources}".encode()
    for root in roots:
        if (root.path / README).is_file():
            yield _read(root.path / README)


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise read_error(path, error) from None
