"""Few-shot draws: ``clean-v1`` (default), ``paper-2025`` (identical to the released code) and ``superclass``."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from harness.protocols.protocol import Parts, Picks, Protocol
from harness.types.cell import Decoding
from harness.types.labels import UNREADABLE
from harness.types.manifest import Manifest, Pick
from harness.types.split import Item, Part, Side, Split, TrainOn, nfc, relabel_by_superclass

VAL_SHOTS = 4
"""Maximum number of validation images per class."""

KnownPicks = MutableMapping[tuple[Part, Side], dict[Item, Pick]]
"""The images of one domain that were drawn before, which all its draws share: a draw is then a list of pointers."""


@dataclass(frozen=True)
class CleanV1(Protocol):
    """Nested draws: the k-shot set of a seed is contained in its 2k-shot set.

    Depends on (domain, side, seed) and the set of images, not on their order in the split file. Every class is shuffled
    completely, so the number of shots does not change which images come first.
    """

    id: str = "clean-v1"
    train_on: TrainOn = "oop"

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """The first ``shots`` train images and at most four val images of each shuffled class."""
        picks: Picks = {}
        generator = random.Random(f"{train.domain}/{train.side}/{seed}")
        wanted: list[tuple[Part, Split, int]] = [("train", train, shots), ("val", val, min(shots, VAL_SHOTS))]
        for part, split, count in wanted:
            picks[part] = []
            groups = split.group_by_label()
            for label in sorted(groups, key=lambda label: split.names[label]):
                items = sorted(groups[label], key=lambda item: nfc(item.path))
                generator.shuffle(items)
                picks[part] += items[:count]
        return picks


@dataclass(frozen=True)
class Superclass(CleanV1):
    """Superclasses of OOP images, as with the release's ``USE_SUPERCLASS_F_ZS_TEST``.

    Labels come from ``superclass`` in the split file; draws follow ``clean-v1``, with shots per superclass. IP images
    are not scored: both sides share superclasses, so a joint vocabulary would contain names twice.
    """

    id: str = "superclass"
    methods: tuple[str, ...] = ("zero_shot",)

    def relabel_oop(self, parts: dict[Part, Split]) -> dict[Part, Split]:
        """Replace classes by superclasses."""
        return relabel_by_superclass(parts)

    def scored(self, sides: Mapping[Side, Parts], list_images: Callable[[Side], Sequence[str]]) -> dict[str, Split]:
        """The OOP test part."""
        return {"oop": sides["oop"]["test"]}


@dataclass(frozen=True)
class Paper2025(Protocol):
    """The released code's draw: one generator per seed; train first, then val; not nested.

    Labels come in order of first appearance in the split file; ``sample`` takes k items, or all if there are fewer. For
    both sides (``SUB_CLASSES`` is ``All`` in the release's ``FSNL/datasets``) one generator draws from the OOP and then
    the IP parts, as the release does without a pickle of an earlier draw. Images are decoded as in the release: EXIF
    orientation is ignored and transparency is not put on white.
    """

    id: str = "paper-2025"
    preset: str | None = "paper"
    train_on: TrainOn = "oop"
    decoding: Decoding = "plain"

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """The images that the released code draws, in its order."""
        return self._pick(random.Random(seed), train, val, shots)

    def pick_sides(self, sides: Sequence[tuple[Split, Split]], shots: int, seed: int) -> list[Picks]:
        """The same for several sides, with one generator."""
        generator = random.Random(seed)
        return [self._pick(generator, train, val, shots) for train, val in sides]

    def _pick(self, generator: random.Random, train: Split, val: Split, shots: int) -> Picks:
        picks: Picks = {}
        wanted: list[tuple[Part, Split, int]] = [("train", train, shots), ("val", val, min(shots, VAL_SHOTS))]
        for part, split, count in wanted:
            picks[part] = []
            for items in split.group_by_label().values():
                picks[part] += generator.sample(items, count) if len(items) >= count else items
        return picks


def draw(
    protocol: Protocol,
    sides: Sequence[tuple[Split, Split]],
    shots: int,
    seed: int,
    digests: Mapping[str, str | None],
    known: KnownPicks | None = None,
) -> Manifest:
    """Draw the few-shot images of one domain.

    Args:
        protocol: the rule.
        sides: the parts of each side that support and validation images come from; labels of a side follow those of
            the sides before it.
        shots: images per class.
        seed: the draw's number.
        digests: file, as ``Split.file`` names it -> sha256 of its bytes, None for a file that cannot be read (it keeps
            its place in the draw).
        known: by earlier draws of the same rule from the same domain; those of this one are added.
    """
    known = {} if known is None else known
    drawn = protocol.pick_sides(sides, shots, seed)
    first = [sum(len(one.names) for one, _ in sides[:i]) for i in range(len(sides))]
    parts: tuple[Part, ...] = ("train", "val")
    picks = list[Pick]()
    for part in parts:
        for (one, _), before, chosen in zip(sides, first, drawn, strict=True):
            made = known.setdefault((part, one.side), {})
            for item in chosen[part]:
                if item not in made:
                    digest = digests.get(one.file(item)) or UNREADABLE
                    made[item] = Pick(part=part, path=nfc(item.path), label=item.label + before, sha256=digest)
                picks.append(made[item])
    return Manifest(
        protocol=protocol.id,
        domain=sides[0][0].domain,
        side="both" if len(sides) > 1 else sides[0][0].side,
        shots=shots,
        seed=seed,
        names=tuple(name for one, _ in sides for name in one.names),
        picks=tuple(picks),
    )
