"""Group comparable rows: of one protocol, data set, model (each in one edition) and number of shots.

Names are not enough: another weights file may have the same name, and a plugin's protocol keeps its id when its rule is
edited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from harness.progress import pluralize
from harness.types.leaderboard import Row


class RowSetting(NamedTuple):
    """What comparable rows share: measured by the same rule on the same data and model.

    Attributes:
        protocol: its id.
        dataset: its name, and that copies are left out of the scored images.
        backbone: architecture and weights by their names.
        weights: sha256 of the weights.
        config: sha256 of all that builds the model.
        preprocessing: how images are prepared for it.
        protocol_edition: distribution, version and code of the protocol's plugin; empty for one of none.
    """

    protocol: str
    dataset: str
    backbone: str
    weights: str
    config: str
    preprocessing: str
    protocol_edition: str


class SettingNames(NamedTuple):
    """Short names of a setting that are unique among several."""

    protocol: str
    dataset: str
    backbone: str

    def title(self, shots: int) -> str:
        """The setting and the number of shots in a line."""
        drawn = f", {pluralize(shots, 'shots')}" if shots else ""
        return f"{self.dataset}, {self.backbone}, {self.protocol}{drawn}"


def setting(row: Row) -> RowSetting:
    """The setting of a row."""
    record = row.backbone_record
    dataset = f"{row.dataset} without copies" if row.copies_left_out else row.dataset
    model = row.backbone, record.weights_sha256, record.config, record.preprocessing.summary
    return RowSetting(row.protocol, dataset, *model, row.edition("protocol"))


def unique_titles(settings: Iterable[RowSetting]) -> dict[RowSetting, SettingNames]:
    """Names for each setting: plain ones, with hashes where several have the same name."""
    every = set(settings)
    protocols = _unique_names({(one.protocol, one.protocol_edition) for one in every})
    models = _unique_names({_model(one) for one in every})
    return {
        one: SettingNames(
            protocols[one.protocol, one.protocol_edition],
            one.dataset,
            models[_model(one)],
        )
        for one in every
    }


def _model(one: RowSetting) -> tuple[str, ...]:
    return one.backbone, one.weights, one.config, one.preprocessing


def short_hashes(text: str) -> str:
    """A text with every sha256 cut to twelve digits."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", text)


def by_setting(rows: Iterable[Row]) -> dict[RowSetting, list[Row]]:
    """Setting -> its rows, sorted by setting."""
    found: dict[RowSetting, list[Row]] = {}
    for row in rows:
        found.setdefault(setting(row), []).append(row)
    return dict(sorted(found.items()))


def by_shots(rows: Sequence[Row]) -> Iterator[tuple[int, list[Row]]]:
    """The tables of one setting: shots, and their rows; rows without few-shot images are in each."""
    for shots in sorted({row.shots for row in rows if row.shots}) or [0]:
        yield shots, [row for row in rows if row.shots in (0, shots)]


def _unique_names(things: set[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """(name, further properties) -> the name, with the properties that differ within one name."""
    found = {}
    for thing in things:
        columns = zip(*(other for other in things if other[0] == thing[0]), strict=True)
        differs = [part for part, column in zip(thing, columns, strict=True) if len(set(column)) > 1]
        which = short_hashes(", ".join(filter(None, differs))) or "of the harness"
        name = short_hashes(thing[0])
        found[thing] = f"{name} ({which})" if differs else name
    return found
