"""Which rows may stand in one table: of one protocol, data set and model, each in one edition; of one number of shots.

Names do not say enough: another weights file may have the same name, and a plugin's protocol keeps its id when its
rule is edited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from harness.types.leaderboard import Row


class RowSetting(NamedTuple):
    """What rows must have in common to be compared: measured by the same rule on the same data and model.

    Attributes:
        protocol: its id.
        dataset: its name, and that copies are left out of the scored images.
        backbone: architecture and weights by their names.
        weights: sha256 of the weights.
        config: sha256 of all that builds the model.
        preprocessing: how images are prepared for it.
        protocol_edition: distribution, version and code of the protocol's plugin; empty for one of none.
        backbone_edition: likewise of the backbone's.
    """

    protocol: str
    dataset: str
    backbone: str
    weights: str
    config: str
    preprocessing: str
    protocol_edition: str
    backbone_edition: str


class Names(NamedTuple):
    """What a setting is called beside others."""

    protocol: str
    dataset: str
    backbone: str

    def title(self, shots: int) -> str:
        """The setting and the number of shots in a line."""
        drawn = f", {shots} shots" if shots else ""
        return f"{self.dataset}, {self.backbone}, {self.protocol}{drawn}"


def setting(row: Row) -> RowSetting:
    """The setting of a row."""
    record = row.backbone_record
    dataset = f"{row.dataset} without copies" if row.copies_left_out else row.dataset
    model = row.backbone, record.weights_sha256, record.config, record.preprocessing.summary
    return RowSetting(row.protocol, dataset, *model, row.edition("protocol"), row.edition("backbone"))


def unique_titles(settings: Iterable[RowSetting]) -> dict[RowSetting, Names]:
    """What each of some settings is called: by plain names, with hashes where several have the same name."""
    every = set(settings)
    protocols = _called({(one.protocol, one.protocol_edition) for one in every})
    models = _called({_model(one) for one in every})
    return {
        one: Names(
            protocols[one.protocol, one.protocol_edition],
            one.dataset,
            models[_model(one)],
        )
        for one in every
    }


def _model(one: RowSetting) -> tuple[str, ...]:
    return one.backbone, one.weights, one.config, one.preprocessing, one.backbone_edition


def short_hashes(text: str) -> str:
    """A text with no more of each sha256 than tells it from another."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", text)


def by_setting(rows: Iterable[Row]) -> dict[RowSetting, list[Row]]:
    """The rows of every setting, in order."""
    found: dict[RowSetting, list[Row]] = {}
    for row in rows:
        found.setdefault(setting(row), []).append(row)
    return dict(sorted(found.items()))


def by_shots(rows: Sequence[Row]) -> Iterator[tuple[int, list[Row]]]:
    """The tables of one setting: a number of shots, and its rows; those without few-shot images stand in each."""
    for shots in sorted({row.shots for row in rows if row.shots}) or [0]:
        yield shots, [row for row in rows if row.shots in (0, shots)]


def _called(things: set[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """(name, what else tells it from others) -> what it is called: by what differs among those of its name."""
    found = {}
    for thing in things:
        columns = zip(*(other for other in things if other[0] == thing[0]), strict=True)
        differs = [part for part, column in zip(thing, columns, strict=True) if len(set(column)) > 1]
        which = short_hashes(", ".join(filter(None, differs))) or "of the harness"
        found[thing] = f"{thing[0]} ({which})" if differs else thing[0]
    return found
