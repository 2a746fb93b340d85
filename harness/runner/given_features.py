"""Evaluate on features that the caller gives in place of images.

The sha256 of a row replaces that of an image file, so draws, labels, fingerprints and the feature cache work as for
images. Methods use the text tower of the run's backbone, so the rows must be its image features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.backbones.backbone import ResolvedBackbone
from harness.datasets.domain import DomainData, label_sheet
from harness.errors import DataError, UserError, unknown_name
from harness.feature_cache.shard import GIVEN, row_digest
from harness.prompts import clean_name, domain_noun
from harness.protocols import Protocol
from harness.runner.chosen_method import ChosenMethod
from harness.types.feature_rule import FeatureRule
from harness.types.feature_set import FeatureSet
from harness.types.split import PARTS, SIDES, Item, Part, Side, Split, nfc

GIVEN_FEATURES = "given features"
"""Name of the data set in rows."""

UNIT = 1e-5
"""Tolerance of a unit row's length: such a row is used unchanged, every other one is divided by its length."""


def unit_rows(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows ``(n, d)`` of length 1."""
    length = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    return np.where(np.abs(length - 1) <= UNIT, features, features / length).astype(np.float32)


def row_digests(features: NDArray[np.float32]) -> list[str]:
    """sha256 of every unit row, as little-endian float32."""
    return [row_digest(row).hex() for row in unit_rows(features)]


def store_features(sets: Sequence[FeatureSet], cache: Path) -> None:
    """Write the rows to the feature cache, which all processes read.

    Raises:
        StorageError: the cache cannot be written.
    """
    from harness.feature_cache.store import FeatureStore  # imports Pillow, which a run of known cells does without

    store = FeatureStore(cache / "features", *GIVEN)
    for one in sets:
        digests = row_digests(one.features)
        _, missing = store.get(0, digests)
        rows = unit_rows(one.features)
        first = {digests[i]: i for i in missing}
        store.put(0, list(first), rows[list(first.values())])


@dataclass(frozen=True)
class FeatureReader:
    """Reads domains from given features, as if they were in a folder.

    Raises:
        UserError: the protocol prepares images in its own way.
    """

    sets: tuple[FeatureSet, ...]
    protocol: Protocol

    def __post_init__(self) -> None:
        if self.protocol.features != FeatureRule():
            fault = f"{self.protocol.id} prepares images in its own way, and features are given"
            raise UserError(fault, "use another protocol")

    def names(self, wanted: Sequence[str] | None) -> list[str]:
        """The domains that are wanted, sorted; None is all.

        Raises:
            UserError: there is no such domain.
        """
        known = {one.domain for one in self.sets}
        for name in wanted or ():
            if name not in known:
                raise unknown_name("domain among the given features", name, known)
        return sorted(known if wanted is None else wanted)

    def read(self, name: str) -> DomainData:
        """One domain.

        Raises:
            UserError: the protocol needs image files.
            DataError: a part is given twice or has other names than its side, or the OOP test part is missing.
        """
        sides: dict[Side, dict[Part, Split]] = {}
        digests: dict[str, str | None] = {}
        for side in reversed(SIDES):  # OOP first
            given = [one for one in self.sets if (one.domain, one.side) == (name, side)]
            parts = {one.part: one for one in given}
            if len(parts) != len(given):
                raise DataError(f"the features of {name} {side}: a part is given twice")
            if parts:
                sides[side] = _splits(name, side, parts)
                digests |= _digests(sides[side], parts)
        if "oop" not in sides or not sides["oop"]["test"].items:
            fault = f"the features of {name} have no OOP test part"
            raise DataError(fault, "give a set with side='oop' and part='test'")
        sides["oop"] = self.protocol.relabel_oop(sides["oop"])
        scored = self.protocol.scored(sides, _unlisted)
        sheet = label_sheet(name, sides, scored, digests)
        return DomainData(name, domain_noun(name), sides["oop"], sides.get("ip"), scored, digests, sheet, None)


def _digests(splits: dict[Part, Split], sets: dict[Part, FeatureSet]) -> dict[str, str | None]:
    """Path that an image would have -> sha256 of its row."""
    return {
        splits[part].file(item): digest
        for part, one in sets.items()
        for item, digest in zip(splits[part].items, row_digests(one.features), strict=True)
    }


def _splits(domain: str, side: Side, parts: dict[Part, FeatureSet]) -> dict[Part, Split]:
    """The parts of a side; one that is not given has no image."""
    (names, *others) = {tuple(map(clean_name, one.names)) for one in parts.values()}
    if others:
        raise DataError(f"the features of {domain} {side}: the parts have different names")
    folder = Path(f"{domain}{len(names)}_{side.upper()}")
    items: dict[Part, tuple[Item, ...]] = {
        part: tuple(
            Item(nfc(f"{part}/{path}"), int(label), caption)
            for path, label, caption in zip(one.paths, one.labels, one.captions, strict=True)
        )
        for part, one in parts.items()
    }
    return {part: Split(domain, side, part, names, items.get(part, ()), folder) for part in PARTS}


def _unlisted(side: Side) -> Sequence[str]:
    raise UserError("the protocol asks for the list of all image files, and features are given", "use another protocol")


def without_encoder(resolved: ResolvedBackbone, sets: Sequence[FeatureSet]) -> ResolvedBackbone:
    """The backbone whose text tower is used, with a record that says so.

    Raises:
        DataError: the features are not as wide as its text features.
        UserError: it has no text tower.
    """
    if not resolved.record.has_text:
        fault = f"features are given, and {resolved.record.architecture} has no text tower"
        raise UserError(fault, "name the backbone whose image features they are, for its text tower")
    width = resolved.config["embed_dim"]
    for one in sets:
        if one.features.shape[1] != width:
            name = f"{resolved.record.architecture} {resolved.record.pretrained}"
            raise DataError(f"{one} are not of the {width} dimensions of {name}", "name the backbone that fits them")
    return replace(resolved, record=resolved.record.model_copy(update={"images": "given features"}))


def require_features_alone(methods: Sequence[ChosenMethod]) -> None:
    """Check that no method asks for more than features in one view, which needs images.

    Raises:
        UserError: one does.
    """
    for method in methods:
        name = method.record.name
        if method.views > 1:
            raise UserError(
                f"{name} asks for {method.views} views of each support image, and given features have one",
                f'set it: parameters={{"{name}.views": 1}}',
            )
        more = [*method.kinds, *(["model"] if method.needs.model else [])]
        if more or method.test_views > 1:
            what = " and ".join(more) or f"{method.test_views} views of each scored image"
            raise UserError(f"{name} needs {what}, and only features are given", "run it on a folder of images")
