"""The few-shot draws of a run: drawn by its protocol, and equal to given manifests where there are some."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness import protocols
from harness.datasets.domain import DomainData
from harness.errors import HarnessError, PluginError, UserError, describe_error, with_location
from harness.protocols import Protocol, manifests
from harness.registry import Plugin
from harness.types.manifest import Manifest, draw_title


class Draw(NamedTuple):
    """A draw and its sha256, which takes a millisecond to compute."""

    manifest: Manifest
    sha256: str


class FewShotDraws:
    """Few-shot draws by domain, shots and seed, each made once.

    Args:
        name: the protocol.
        offered: the plugin that offers it, None if no plugin does.
        folder: manifests to use; None draws by the protocol alone.

    Attributes:
        protocol: the rule.

    Raises:
        UserError: there is no such protocol, and no manifest of it.
        DataError: a manifest is damaged.
    """

    def __init__(self, name: str, offered: Plugin[Protocol] | None, folder: Path | None = None) -> None:
        self._folder = folder
        self._given: Mapping[manifests.DrawKey, Manifest] | None = None
        known = {} if offered is None else {offered.name: offered.value}
        if folder is not None:
            self._given = manifests.select_protocol(manifests.read_folder(folder), name, folder)
            side = next(iter(self._given.values())).side
            known = {name: manifests.GivenDraws(name, self._given, train_on=side), **known}
        self.protocol = protocols.get_protocol(name, known)
        self._plugin = offered
        self._made: dict[manifests.DrawKey, Draw] = {}
        self._picks = defaultdict[str, protocols.KnownPicks](dict)  # of each domain

    def of(self, data: DomainData, shots: int, seed: int) -> Draw:
        """The draw from the data of a domain.

        Raises:
            UserError: no such draw is given.
            DataError: the given one does not fit the data.
            PluginError: the rule is a plugin's, and it failed.
        """
        key = data.name, shots, seed
        if key not in self._made:
            given = self._given.get(key) if self._given is not None else None
            if self._given is not None and given is None:
                known = [draw_title(*one) for one in sorted(self._given)]
                raise UserError(
                    f"{self._folder} has no draw of {self.protocol.id} for {draw_title(*key)}",
                    f"it has {'; '.join(known[:6])}{'; ...' if len(known) > 6 else ''}",
                )
            made = self._draw(data, shots, seed)
            if given is not None:
                manifests.require_equal(made, given)
            self._made[key] = Draw(made, made.sha256)
        return self._made[key]

    def _draw(self, data: DomainData, shots: int, seed: int) -> Manifest:
        """Draw by the rule; a plugin's may fail in any way, and its error names it."""
        try:
            sides = data.fitted(self.protocol.train_on)
            return protocols.draw(self.protocol, sides, shots, seed, data.digests, self._picks[data.name])
        except HarnessError:
            raise
        except Exception as error:
            if self._plugin is None:
                raise
            origin = self._plugin.origin
            reason = with_location(describe_error(error), error, origin.module)
            raise PluginError(f"{origin} cannot draw from {data.name}: {reason}") from error
