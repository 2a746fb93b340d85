"""Find the ``{Domain}{N}_{IP|OOP}`` folders of a LAION-Beyond root, for any pre-training corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

from harness.datasets.identity import name_of
from harness.errors import DataError, UserError, closest, near_path, unknown_name
from harness.types.split import Side, nfc

RELEASED = (
    *("Animals42_IP", "Animals92_OOP", "Architecture23_IP", "Architecture50_OOP", "Attire28_IP", "Attire54_OOP"),
    *("FolkArt27_IP", "FolkArt59_OOP", "Food27_IP", "Food53_OOP", "Insects_Spiders52_IP", "Insects_Spiders106_OOP"),
    *("Landmark30_IP", "Landmark59_OOP", "Plants_Fugi56_IP", "Plants_Fugi113_OOP", "Pokemon39_IP", "Pokemon89_OOP"),
)
"""The folders of the release (LAION-400M lists); ``Plants_Fugi`` is spelt so."""

SHORT_NAMES = {"Insects_Spiders": "Insects", "Plants_Fugi": "Plants"}
"""Domains of the release whose names are long."""

TEXTS = "texts.json"
"""A file at the root, if there is one: name -> sentences about it, for methods that need them."""

RECORDS = "corpora"
"""A folder at the root, if there is one: records of pre-training corpora about the names."""

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".7z")

# The domain ends in a non-digit: the digits before the side are the number of concepts.
_FOLDER = re.compile(r"(?P<domain>.*\D)(?P<concepts>[0-9]+)_(?P<side>IP|OOP)", re.DOTALL)

# Similar names with another case, separator or white space, or without a number.
_SIMILAR_FOLDER = re.compile(
    r"\s*(?P<domain>.*[^\d\s_-])[\s_-]*(?P<concepts>[0-9]*)[\s_-]+(?P<side>ip|oop)\s*", re.I | re.DOTALL
)


def short_name(domain: str) -> str:
    """A domain's name for narrow columns."""
    return SHORT_NAMES.get(domain, domain)


class FolderName(NamedTuple):
    """The parts of a folder name."""

    domain: str
    concepts: int
    side: Side


def parse_folder_name(name: str) -> FolderName | None:
    """Domain, number of concepts and side of ``{Domain}{N}_{IP|OOP}``, or None for any other name."""
    match = _FOLDER.fullmatch(nfc(name))
    if not match:
        return None
    return FolderName(match["domain"], int(match["concepts"]), cast(Side, match["side"].lower()))


@dataclass(frozen=True)
class DomainFolders:
    """The folders of one domain; a missing side is None."""

    domain: str
    oop: Path | None = None
    ip: Path | None = None

    def side(self, side: Side) -> Path | None:
        """The folder of a side, or None."""
        return self.oop if side == "oop" else self.ip


@dataclass(frozen=True)
class Dataset:
    """A LAION-Beyond root and its folders.

    Attributes:
        root: its path, as given.
        domains: the folders of each domain, sorted by domain name.
    """

    root: Path
    domains: dict[str, DomainFolders]

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders, by domain, IP before OOP."""
        both = ((found.ip, found.oop) for found in self.domains.values())
        return tuple(folder for pair in both for folder in pair if folder is not None)

    @property
    def name(self) -> str:
        """The name that the root states, ``laion-beyond-400m`` for folders of the release, else the folder's name."""
        return dataset_name(self.root, (folder.name for folder in self.folders))

    def folder(self, domain: str, side: Side) -> Path:
        """The folder of one domain and side.

        Raises:
            UserError: unknown domain.
            DataError: the domain has no folder for this side.
        """
        if domain not in self.domains:
            raise unknown_name("domain", domain, self.domains)
        found = self.domains[domain].side(side)
        if found is None:
            raise DataError(
                f"{self.root} contains no {side.upper()} folder for domain {domain}",
                f"add a folder named {domain}{{N}}_{side.upper()}, or choose a protocol that does not need it",
            )
        return found


def dataset_name(root: Path, folders: Iterable[str]) -> str:
    """The name of a data set with these folders; see ``Dataset.name``."""
    if (own := name_of(root)) is not None:
        return own
    if all(folder in RELEASED for folder in folders):
        return "laion-beyond-400m"
    return root.resolve().name or "root"


def find_folders(root: Path) -> list[str]:
    """The sorted names of all ``{Domain}{N}_{side}`` folders of a root, including several for one domain and side.

    Raises:
        DataError: the root is missing, is a file, cannot be read or contains no such folder.
    """
    names = _directories(root)
    found = sorted(name for name in names if parse_folder_name(name))
    if not found:
        raise _no_folder_error(root, names)
    return found


def group_by_run(folders: list[str]) -> list[list[str]]:
    """Group folders as a run reads them: both sides of a domain together, or each alone if a side has several."""
    domains: dict[str, list[str]] = {}
    by_name = {name: parsed for name in folders if (parsed := parse_folder_name(name))}
    for name, parsed in by_name.items():
        domains.setdefault(parsed.domain, []).append(name)
    groups = []
    for names in domains.values():
        pair = len({by_name[name].side for name in names}) == len(names)
        groups += [names] if pair else [[name] for name in names]
    return groups


class UnmatchedFolder(NamedTuple):
    """A folder that is not read or lacks the other side: a message, and the domains that it concerns."""

    message: str
    domains: frozenset[str]


def unmatched_folders(root: Path) -> list[UnmatchedFolder]:
    """The folders of a root that belong to no IP-OOP pair, each with a suggestion.

    Raises:
        DataError: the root cannot be read.
    """
    sides: dict[Side, dict[str, str]] = {"ip": {}, "oop": {}}
    found = []
    for name in sorted(_directories(root)):
        if parsed := parse_folder_name(name):
            sides[parsed.side].setdefault(parsed.domain, name)
        elif meant := _suggest_name(name):
            domain, right = meant
            found.append(UnmatchedFolder(f"the folder {name!r} is not read; rename it to {right}", frozenset({domain})))
    return [*found, *_find_one_sided(sides["ip"], sides["oop"])]


def _suggest_name(name: str) -> tuple[str, str] | None:
    """The probable domain and correct folder name for a misspelt name, or None."""
    meant = _SIMILAR_FOLDER.fullmatch(nfc(name))
    if not meant:
        return None
    return meant["domain"], f"{meant['domain']}{meant['concepts'] or '{N}'}_{meant['side'].upper()}"


def _find_one_sided(ip: dict[str, str], oop: dict[str, str]) -> Iterator[UnmatchedFolder]:
    """Domains with one side only, from domain -> folder of each side; two similar domains give one message."""
    without_ip = {domain: folder for domain, folder in oop.items() if domain not in ip}
    for domain, folder in ip.items():
        if domain in oop:
            continue
        near = _nearest_domain(domain, without_ip)
        meant = f"did you mean {near}, as in {without_ip.pop(near)}?" if near else "it is left out"
        yield UnmatchedFolder(f"{folder!r} has no OOP folder; {meant}", frozenset({domain, near or domain}))
    for domain, folder in without_ip.items():
        yield UnmatchedFolder(f"{folder!r} has no IP folder: only its OOP images are scored", frozenset({domain}))


def _nearest_domain(domain: str, others: Iterable[str]) -> str | None:
    """The domain that differs only in case and punctuation, else the most similar one."""
    folded = {"".join(filter(str.isalnum, other)).casefold(): other for other in others}
    near = closest("".join(filter(str.isalnum, domain)).casefold(), folded)
    return folded[near] if near is not None else None


def open_dataset(root: Path, folders: Iterable[str] = ()) -> Dataset:
    """Find the folders of a root without reading them.

    Args:
        root: the folder of the ``{Domain}{N}_{IP|OOP}`` folders, which may be symbolic links.
        folders: names of the folders to use if a domain and side has several.

    Raises:
        DataError: the root is missing, is a file, cannot be read or contains no such folder, or a choice is needed.
        UserError: ``folders`` contains an unknown folder, or two for one domain and side.
    """
    root = Path(root)
    names = find_folders(root)
    candidates: dict[tuple[str, Side], list[str]] = {}
    for name in names:
        if parsed := parse_folder_name(name):
            candidates.setdefault((parsed.domain, parsed.side), []).append(name)
    chosen = _index_choices(folders, names)
    found: dict[str, dict[str, Path]] = {}
    for (domain, side), group in sorted(candidates.items()):
        found.setdefault(domain, {})[side] = root / _choose_folder(
            root, domain, side, group, chosen.get((domain, side))
        )
    return Dataset(root, {domain: DomainFolders(domain, **sides) for domain, sides in found.items()})


def _directories(root: Path) -> list[str]:
    """Names of the directories in a root."""
    try:
        return [entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    except FileNotFoundError:
        raise DataError(
            f"data folder {root} does not exist",
            f"{near_path(root)}; `harness data download` fetches LAION-Beyond, and beyond-mini needs no download",
        ) from None
    except NotADirectoryError:
        raise DataError(
            f"{root} is a file, not a data folder",
            "unpack it, and give the folder that contains Animals92_OOP and the others; "
            "`harness data import` reads tables and WebDataset archives",
        ) from None
    except OSError as error:
        raise DataError(f"data folder {root} cannot be read: {error.strerror}", "check its permissions") from None


def _no_folder_error(root: Path, names: list[str]) -> DataError:
    """The error for a root without folders; the hint says which folder the user probably meant."""
    from harness.datasets.importing.image_folder import has_class_folders  # imports Pillow

    message = f"{root} contains no folder named {{Domain}}{{N}}_IP or {{Domain}}{{N}}_OOP"
    inside = next((at for at in (root.absolute(), *root.absolute().parents) if parse_folder_name(at.name)), None)
    if inside is not None:
        return DataError(message, f"it is inside {inside.name}: give the folder above, {inside.parent}")
    for name in sorted(names):
        try:
            below = any(parse_folder_name(entry.name) and entry.is_dir() for entry in (root / name).iterdir())
        except OSError:
            continue
        if below:
            return DataError(message, f"{root / name} does: give that folder")
    for name in sorted(names):
        if meant := _suggest_name(name):
            return DataError(message, f"rename {name!r} to {meant[1]}")
    if has_class_folders(root):
        return DataError(message, f"import it: `harness data import {root} --out ROOT --domain NAME`")
    packed = sorted(entry.name for entry in root.glob("[!.]*") if entry.name.endswith(ARCHIVES))
    if packed:
        return DataError(message, f"unpack {packed[0]} first")
    return DataError(message, "give the folder that contains Animals92_OOP and the others")


def _index_choices(folders: Iterable[str], known: list[str]) -> dict[tuple[str, Side], str]:
    """The chosen folder of each domain and side."""
    chosen: dict[tuple[str, Side], str] = {}
    for name in dict.fromkeys(folders):
        parsed = parse_folder_name(name) if name in known else None
        if parsed is None:
            raise unknown_name("folder", name, known)
        key = (parsed.domain, parsed.side)
        if key in chosen:
            raise UserError(
                f"{chosen[key]} and {name} are both chosen for domain {parsed.domain}, side {parsed.side}", "choose one"
            )
        chosen[key] = name
    return chosen


def _choose_folder(root: Path, domain: str, side: Side, group: list[str], choice: str | None) -> str:
    """The chosen folder or the only candidate; an error if several remain."""
    if choice is not None:
        return choice
    if len(group) > 1:
        raise DataError(
            f"{root} contains {len(group)} folders for domain {domain}, side {side}: {', '.join(group)}",
            f"choose one, for example --folder {group[0]}",
        )
    return group[0]
