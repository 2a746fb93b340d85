"""What differs between the labels that a row was scored against and those of the data."""

from __future__ import annotations

from collections.abc import Iterator

from harness.types.labels import COPY, UNREADABLE, LabelSheet, ScoredSide


def label_changes(stored: LabelSheet, own: LabelSheet) -> list[str]:
    """What differs between the labels of a row and those of the data, image by image (twenty at most)."""
    before, now = _parts(stored), _parts(own)
    found = [what for part in sorted({*before, *now}) for what in _part_changes(part, before.get(part), now.get(part))]
    if not found:
        found = ["the val part, the IP train part or a caption is not that of the row; the scored images are the same"]
    return [*found[:20], *([f"and {len(found) - 20} more differences"] if len(found) > 20 else [])]


def _parts(sheet: LabelSheet) -> dict[str, ScoredSide]:
    parts = {f"{side.upper()} test": scored for side, scored in sheet.sides.items()}
    return parts if sheet.pool is None else {**parts, "OOP train": sheet.pool}


_INSTEAD = {UNREADABLE: "missing or unreadable", COPY: "a copy of a train or val image"}


def _part_changes(part: str, before: ScoredSide | None, now: ScoredSide | None) -> Iterator[str]:
    if before is None or now is None:
        yield f"the data have {'no' if now is None else 'a new'} {part} part"
        return
    kind = part.rpartition(" ")[2]
    if before.names != now.names:
        yield f"the split changed: {now.folder} has other names, or in another order"
    was, is_now = _by_path(before), _by_path(now)
    for path in sorted({*was, *is_now}):
        where = f"{now.folder}/{path}"
        if path not in is_now:
            yield f"the split changed: {where} is no longer a {kind} image"
        elif path not in was:
            yield f"the split changed: {where} is a new {kind} image"
        elif was[path] != is_now[path]:
            (digest, label), (new_digest, new_label) = was[path], is_now[path]
            if digest != new_digest:
                yield f"{where} is {_INSTEAD.get(new_digest, 'not the same image')}"
            if label != new_label:
                yield f"the split changed: {where} is labelled {new_label!r}, in the row {label!r}"
    if was == is_now and before.names == now.names and before != now:
        yield f"the split changed: {now.folder} lists its images in another order, or the folder was renamed"


def _by_path(side: ScoredSide) -> dict[str, tuple[str, str]]:
    rows = zip(side.paths, side.sha256, side.labels, strict=True)
    return {path: (digest, side.names[label]) for path, digest, label in rows}
