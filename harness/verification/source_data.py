"""The data folder to verify rows against: its labels, its draws, and which images can be decoded."""

from __future__ import annotations

from pathlib import Path

from harness import protocols
from harness.datasets.digests import open_index
from harness.datasets.domain import DEFAULT, DomainData, DomainReader, without_copies
from harness.datasets.images import load_image
from harness.datasets.layout import find_folders, open_dataset
from harness.errors import DataError, PluginError
from harness.progress import Reporter
from harness.protocols.manifests import GivenDraws
from harness.registry import find_protocol
from harness.types.cell import Decoding
from harness.types.labels import LabelSheet
from harness.types.leaderboard import Row
from harness.types.manifest import Manifest
from harness.types.split import nfc


class SourceData:
    """The data under a root.

    Args:
        root: the LAION-Beyond root; only the folders that the rows name are read.
        rows: those to verify.
        cache: the cache folder.
        workers: threads that read images.
        report: shows progress.

    Raises:
        DataError: the root cannot be used.
    """

    def __init__(self, root: Path, rows: tuple[Row, ...], cache: Path, workers: int, report: Reporter) -> None:
        named = {folder for row in rows for data in row.data.values() for folder in data.folders}
        dataset = open_dataset(root, sorted(named & set(find_folders(root))))
        index = open_index(cache)
        wanted = sorted({(row.protocol, domain) for row in rows for domain in row.data if domain in dataset.domains})
        self._rules = {protocol: _rule(protocol) for protocol in {row.protocol for row in rows}}
        self._domains: dict[tuple[str, str], DomainData] = {}  # protocols choose the images that they score
        self._drawn: dict[tuple[str, str], Manifest] = {}
        self._errors: dict[tuple[str, str], str] = {}
        with report.stage("reading domains", len(wanted), "domains") as advance:
            for protocol, name in wanted:
                rule = found[0] if (found := self._rules[protocol]) else DEFAULT
                try:
                    self._domains[protocol, name] = DomainReader(dataset, index, workers, rule).read(name)
                    advance(1)
                except DataError as error:
                    self._errors[protocol, name] = error.message

    def why_missing(self, row: Row, domain: str) -> str:
        """Why there are no labels of a domain."""
        return self._errors.get((row.protocol, domain), "the data have no such domain")

    def sheet(self, row: Row, domain: str) -> LabelSheet | None:
        """The labels of a domain's images that the row scores; None if the data do not have the domain."""
        data = self._domains.get((row.protocol, domain))
        if data is None:
            return None
        return without_copies(data).sheet if row.copies_left_out else data.sheet

    def unknown_rule(self, row: Row) -> str | None:
        """Why the row's protocol is not available here in the same edition; None if it is."""
        found = self._rules[row.protocol]
        if found is None:
            return f"the rule of {row.protocol} is not known here"
        if found[1] != row.edition("protocol"):
            return f"the rule of {row.protocol} that is known here is of another edition of its plugin"
        return None

    def manifest(self, row: Row, given: Manifest) -> Manifest:
        """What the row's protocol draws from the data; if it is not available, the given draw's images.

        Raises:
            DataError: the data do not have an image of such a draw.
        """
        made = given.sha256, row.edition("protocol")
        if made not in self._drawn:
            data, key = self._domains[row.protocol, given.domain], (given.domain, given.shots, given.seed)
            found = None if self.unknown_rule(row) else self._rules[row.protocol]
            rule = found[0] if found else GivenDraws(given.protocol, {key: given}, train_on=given.side)
            sides = data.fitted(rule.train_on)
            self._drawn[made] = protocols.draw(rule, sides, given.shots, given.seed, data.digests)
        return self._drawn[made]

    def readable(self, row: Row, domain: str, path: str) -> bool:
        """Whether the image ``folder/path`` is in the data and can be decoded as the row's were."""
        data, wanted = self._domains[row.protocol, domain], nfc(path)
        for split in (*data.oop.values(), *(data.ip or {}).values()):
            for item in split.items:
                if nfc(f"{split.folder.name}/{item.path}") == wanted:
                    return _decodes(split.folder / item.path, row.decoding)
        return False


def _rule(protocol: str) -> tuple[protocols.Protocol, str] | None:
    try:
        return find_protocol(protocol)
    except PluginError:
        return None  # a broken plugin draws nothing: its rule is not known here


def _decodes(file: Path, decoding: Decoding) -> bool:
    try:
        load_image(file, decoding=decoding)
    except DataError:
        return False
    return True
