"""Which folders of a download are wanted, and which of them are complete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.datasets.digests import DigestIndex
from harness.datasets.download_record import read_record
from harness.datasets.folder_reader import read_content
from harness.datasets.layout import RELEASED, find_folders, parse_folder_name
from harness.datasets.listing import find_damaged, listing_path, read_listing
from harness.datasets.root_files import ROOT_FILES
from harness.errors import DataError, unknown_name
from harness.progress import pluralize
from harness.types.split import Side


def select_folders(folders: Iterable[str], domains: Sequence[str] | None) -> list[str]:
    """The folders of some domains (None for all), in order, and the files next to them if they are listed.

    Raises:
        UserError: unknown domain.
    """
    folders = list(folders)
    by_domain: dict[str, list[str]] = {}
    for folder in folders:
        if parsed := parse_folder_name(folder):
            by_domain.setdefault(parsed.domain, []).append(folder)
    for domain in domains or ():
        if domain not in by_domain:
            raise unknown_name("domain", domain, by_domain)
    chosen = by_domain if domains is None else dict.fromkeys(domains)
    return [folder for domain in chosen for folder in by_domain[domain]] + [ROOT_FILES] * (ROOT_FILES in folders)


def find_missing(folder: Path) -> list[str]:
    """Problems and missing paths of a folder by its split file; empty if it is complete."""
    if folder.name == ROOT_FILES:
        return []
    found: list[str] = []
    try:
        content = read_content(folder, lambda kind, path, reason: found.append(reason))
    except DataError as error:
        return [error.message]
    existing = set(content.tree.paths())
    return found + [
        f"{folder.name}/{item.path} is missing"
        for items in content.items.values()
        for item in items
        if item.path not in existing
    ]


def verify_offline(dest: Path, domains: Sequence[str] | None, workers: int, index: DigestIndex | None) -> None:
    """Check the folders of some domains without the server.

    Raises:
        DataError: they are incomplete, or differ from a stored listing.
    """
    existing = find_folders(dest)
    record = read_record(dest, None)
    recorded = record.folders if record else RELEASED
    # An existing folder of another pre-training scale replaces the released one of its domain and side.
    wanted = _by_domain_and_side(recorded) | _by_domain_and_side(existing)
    problems = []
    for folder in select_folders([*wanted.values(), *{ROOT_FILES}.intersection(recorded)], domains):
        if folder not in (*existing, ROOT_FILES):
            problems.append(f"{folder} is missing")
            continue
        listing = read_listing(listing_path(dest, folder))
        damaged = find_damaged(dest, listing.files if listing else (), workers, index)
        if bad := [f"{file.path} is missing or damaged" for file in damaged] or find_missing(dest / folder):
            problems.append(f"{folder} has {pluralize(len(bad), 'problems')}, the first: {bad[0]}")
    if problems:
        shown = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more folders" if len(problems) > 3 else "")
        raise DataError(
            f"{dest} is incomplete: {shown}", "run again without --offline, or give the domains that are complete"
        )


def _by_domain_and_side(names: Iterable[str]) -> dict[tuple[str, Side], str]:
    return {(parsed.domain, parsed.side): name for name in names if (parsed := parse_folder_name(name))}
