"""The draws: ``paper-2025`` bit for bit as released, ``clean-v1`` nested and independent of everything else."""

from __future__ import annotations

import itertools
import json
import random
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.protocols import PROTOCOLS, draw, get_protocol
from harness.protocols.manifests import GivenDraws
from harness.types.manifest import Manifest, Pick
from harness.types.split import Item, Part, Side, Split

from ..makers import few, make_split, sha

CLEAN, PAPER = PROTOCOLS["clean-v1"], PROTOCOLS["paper-2025"]


@st.composite
def drawings(draw_from: st.DrawFn) -> tuple[Split, Split]:
    """Train and val of one folder: few classes, few images, labels in any order of appearance."""
    k = draw_from(st.integers(1, 5))
    names = [f"name {i}" for i in range(k)]
    train = draw_from(st.lists(st.integers(0, k - 1), min_size=1, max_size=40))
    val = draw_from(st.lists(st.integers(0, k - 1), max_size=20))
    return make_split(train, names, "train"), make_split(val, names, "val")


def released_draw(train: Split, val: Split, shots: int, seed: int) -> tuple[list[Item], list[Item]]:
    """The recipe of the released code in plain words, with the module-level generator as there."""
    state = random.getstate()
    try:
        random.seed(seed)
        chosen = []
        for split, count in ((train, shots), (val, min(shots, 4))):
            first_seen: list[int] = []
            for item in split.items:
                if item.label not in first_seen:
                    first_seen.append(item.label)
            picked: list[Item] = []
            for label in first_seen:
                of_label = [item for item in split.items if item.label == label]
                if len(of_label) < count:
                    picked.extend(of_label)
                else:
                    picked.extend(random.sample(of_label, count))
            chosen.append(picked)
        return chosen[0], chosen[1]
    finally:
        random.setstate(state)


@few
@given(drawings(), st.sampled_from([1, 2, 4, 8, 16]), st.integers(0, 5))
def test_paper_2025_equals_the_released_code(pair: tuple[Split, Split], shots: int, seed: int) -> None:
    picks = PAPER.pick(*pair, shots, seed)
    assert (picks["train"], picks["val"]) == released_draw(*pair, shots, seed)


def test_paper_2025_draw_of_a_fixed_split() -> None:
    train = make_split([2, 0, 1, 2, 0, 1, 2, 0, 1, 2], part="train")
    picks = PAPER.pick(train, make_split([1, 0], train.names, "val"), 2, 1)
    assert [item.path[-7:-4] for item in picks["train"]] == ["003", "006", "001", "004", "002", "005"]
    assert [item.path[-7:-4] for item in picks["val"]] == ["000", "001"]


def test_paper_2025_does_not_change_global_random_state() -> None:
    random.seed(5)
    expected = random.Random(5).random()
    PAPER.pick(make_split([0, 0, 0]), make_split([0], part="val"), 2, 1)
    assert random.random() == expected


@few
@given(drawings(), st.integers(0, 5))
def test_clean_draws_of_one_seed_are_nested(pair: tuple[Split, Split], seed: int) -> None:
    draws = [CLEAN.pick(*pair, shots, seed) for shots in (1, 2, 4, 8, 16)]
    for small, large in itertools.pairwise(draws):
        assert set(small["train"]) <= set(large["train"])
        assert set(small["val"]) <= set(large["val"])


@few
@given(drawings(), st.sampled_from([1, 2, 4, 8, 16]), st.integers(0, 5))
def test_clean_draw_has_the_requested_shots_of_every_class(pair: tuple[Split, Split], shots: int, seed: int) -> None:
    picks = CLEAN.pick(*pair, shots, seed)
    for split, count in ((pair[0], shots), (pair[1], min(shots, 4))):
        for label, items in split.group_by_label().items():
            chosen = [item for item in picks[split.part] if item.label == label]
            assert len(chosen) == len(set(chosen)) == min(count, len(items))
            assert set(chosen) <= set(items)


@few
@given(drawings(), st.randoms(use_true_random=False), st.integers(0, 5))
def test_a_clean_draw_does_not_depend_on_the_order_of_items(
    pair: tuple[Split, Split], shuffler: random.Random, seed: int
) -> None:
    mixed = []
    for split in pair:
        items = list(split.items)
        shuffler.shuffle(items)
        mixed.append(Split(split.domain, split.side, split.part, split.names, tuple(items), split.folder))
    assert CLEAN.pick(*pair, 4, seed) == CLEAN.pick(*mixed, 4, seed)


def test_a_clean_draw_does_not_depend_on_how_labels_are_numbered() -> None:
    one = make_split([0] * 9 + [1] * 9, ["ant", "bee"])
    items = tuple(Item(item.path, 1 - item.label) for item in one.items)
    other = Split(one.domain, one.side, one.part, ("bee", "ant"), items, one.folder)
    val = make_split([0], ["ant", "bee"], "val")
    paths = [[item.path for item in CLEAN.pick(split, val, 2, 1)["train"]] for split in (one, other)]
    assert paths[0] == paths[1]


def test_a_clean_draw_is_the_same_from_decomposed_file_names() -> None:
    composed = tuple(Item(f"images/rose/{letter}{i}.jpg", 0) for letter in "aézü" for i in range(5))
    decomposed = tuple(Item(unicodedata.normalize("NFD", item.path), 0) for item in composed)
    val = make_split([], ["rose"], "val")
    drawn = [
        [
            unicodedata.normalize("NFC", item.path)
            for item in CLEAN.pick(Split("Art", "oop", "train", ("rose",), items, Path("data")), val, 8, 1)["train"]
        ]
        for items in (composed, decomposed)
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("protocol", [CLEAN, PAPER])
def test_seed_zero_is_valid(protocol: object) -> None:
    pair = make_split([0] * 30), make_split([0] * 9, part="val")
    draws = [tuple(protocol.pick(*pair, 4, seed)["train"]) for seed in range(4)]  # type: ignore[attr-defined]
    assert len(set(draws)) == 4
    assert draws[0] == tuple(protocol.pick(*pair, 4, 0)["train"])  # type: ignore[attr-defined]


def test_domains_and_sides_are_drawn_differently() -> None:
    val = make_split([], ["a"], "val")
    splits = [make_split([0] * 30, ["a"], domain=d, side=s) for d in ("Animals", "Food") for s in ("ip", "oop")]
    draws = {tuple(item.path for item in CLEAN.pick(split, val, 8, 1)["train"]) for split in splits}
    assert len(draws) == 4


@pytest.mark.parametrize("name", ["clean-v1", "paper-2025"])
def test_validation_has_at_most_four_images_per_class(name: str) -> None:
    picks = get_protocol(name).pick(make_split([0] * 30), make_split([0] * 30, part="val"), 16, 1)
    assert (len(picks["train"]), len(picks["val"])) == (16, 4)


def test_an_unknown_protocol_suggests_the_closest() -> None:
    with pytest.raises(UserError, match="no protocol named 'clean-v2'") as error:
        get_protocol("clean-v2")
    assert error.value.hint == "did you mean clean-v1?"


# -- manifests -----------------------------------------------------------------------------------------------------


def _manifest(folder: Path = Path("data")) -> Manifest:
    names = ("great auk", "Père David's deer")
    train = make_split([0, 1] * 6, names, "train", folder=folder)
    val = make_split([1, 0] * 3, names, "val", folder=folder)
    files = {split.file(item): sha(item.path) for split in (train, val) for item in split.items}
    return draw(CLEAN, [(train, val)], 2, 3, files)


def test_a_manifest_lists_train_then_val_with_label_and_digest() -> None:
    manifest = _manifest()
    assert [pick.part for pick in manifest.picks] == ["train"] * 4 + ["val"] * 4
    assert all(pick.sha256 == sha(pick.path) for pick in manifest.picks)
    assert all(manifest.names[pick.label] in pick.path for pick in manifest.picks)
    assert manifest.picks_of_part("val") == manifest.picks[4:]


def test_the_sha256_of_a_fixed_manifest_is_stable() -> None:
    # If this fails, published manifests and every cell that names one are lost: give the format a new number.
    assert _manifest().sha256 == "ba17a843fdc7734eb1dce5bc2ef800bb8d2984c65484161b7e5f8ed4c1fe0bec"


def test_a_manifest_does_not_depend_on_the_data_location() -> None:
    here, there = _manifest(Path("/srv/data")), _manifest(Path("elsewhere"))
    assert here.text() == there.text()
    assert "/srv" not in here.text()
    assert all(not Path(pick.path).is_absolute() for pick in here.picks)


def test_an_unreadable_file_stays_in_the_draw() -> None:
    train, val = make_split([0] * 6), make_split([0], part="val")
    files: dict[Path, str | None] = {train.folder / item.path: None for item in train.items}
    manifest = draw(CLEAN, [(train, val)], 2, 1, files)
    assert [pick.path for pick in manifest.picks_of_part("train")] == [
        i.path for i in CLEAN.pick(train, val, 2, 1)["train"]
    ]
    assert {pick.sha256 for pick in manifest.picks} == {"unreadable"}


text = st.text(st.characters(exclude_categories=["Cs"]))
manifests = st.builds(
    Manifest,
    protocol=text,
    domain=text,
    side=st.sampled_from(["ip", "oop"]),
    shots=st.integers(0),
    seed=st.integers(0),
    names=st.lists(text).map(tuple),
    picks=st.lists(
        st.builds(Pick, part=st.sampled_from(["train", "val", "test"]), path=text, label=st.integers(0), sha256=text)
    ).map(tuple),
)


@few
@given(manifests)
def test_round_trip_preserves_manifest(manifest: Manifest) -> None:
    again = Manifest.model_validate_json(manifest.text())
    assert again == manifest
    assert again.sha256 == manifest.sha256
    json.loads(manifest.text())


def test_the_sha256_changes_with_every_field() -> None:
    manifest = _manifest()
    pick = manifest.picks[0]
    changes = {
        "protocol": "paper-2025",
        "domain": "Food",
        "side": "ip",
        "shots": 3,
        "seed": 4,
        "names": ("a", "b"),
        "picks": manifest.picks[::-1],
    }
    others = [manifest.model_copy(update={field: value}) for field, value in changes.items()]
    for field, value in {"part": "test", "path": "x", "label": 9, "sha256": sha("x")}.items():
        other = pick.model_copy(update={field: value})
        others.append(manifest.model_copy(update={"picks": (other, *manifest.picks[1:])}))
    assert len({m.sha256 for m in [manifest, *others]}) == 1 + len(others)
    assert set(changes) | {"format"} == set(Manifest.model_fields)


@few
@given(st.lists(st.integers(1, 13), min_size=1, max_size=4), st.lists(st.integers(1, 13), max_size=4))
def test_clustering_2025_scores_the_images_that_the_release_chooses(oop: list[int], ip: list[int]) -> None:
    """The recipe of the released code in plain words, with the module-level generator as there."""
    counts = {"ip": ip, "oop": oop} if ip else {"oop": oop}
    where = {  # one list of all images, IP classes first
        (side, label): [f"images/name {label}/{i}.jpg" for i in range(count)]
        for side, classes in counts.items()
        for label, count in enumerate(classes)
    }
    wanted = dict.fromkeys(counts, ())
    state = np.random.get_state()
    try:
        np.random.seed(0)
        start = 0
        for (side, _), paths in where.items():
            indices = list(range(start, start + len(paths)))
            np.random.shuffle(indices)
            wanted[side] += tuple(paths[i - start] for i in indices[: int(len(indices) * 5 / 6)])
            start += len(paths)
    finally:
        np.random.set_state(state)

    listed = {side: [p for (s, _), paths in where.items() if s == side for p in paths] for side in counts}
    sides = {side: parts_of(side, {k: paths for (s, k), paths in where.items() if s == side}) for side in counts}
    found = PROTOCOLS["clustering-2025"].scored(sides, listed.__getitem__)
    assert {side: tuple(item.path for item in split.items) for side, split in found.items()} == wanted
    assert all(item.path.startswith(f"images/name {item.label}/") for split in found.values() for item in split.items)
    assert all(split.names == sides[side]["test"].names for side, split in found.items())


def parts_of(side: Side, paths: dict[int, list[str]]) -> dict[Part, Split]:
    """Every third image in each part, in another order than they are listed in."""
    items = [Item(path, label) for label, own in paths.items() for path in reversed(own)]
    names = tuple(f"name {label}" for label in paths)
    parts: tuple[Part, ...] = ("train", "val", "test")
    return {part: Split("Food", side, part, names, tuple(items[i::3]), Path("Food")) for i, part in enumerate(parts)}


@pytest.mark.parametrize("name", ["clean-v1", "paper-2025", "clustering", "discovery"])
def test_other_protocols_score_the_test_parts(name: str) -> None:
    sides: dict[Side, dict[Part, Split]] = {"oop": parts_of("oop", {0: ["a", "b", "c"]}), "ip": parts_of("ip", {0: []})}
    assert PROTOCOLS[name].scored(sides, {}.__getitem__) == {"oop": sides["oop"]["test"]}


BOTH = (make_split([0, 1, 0, 1, 1, 2, 0], ["a", "b", "c"], "train"), make_split([2, 0, 1], ["a", "b", "c"], "val"))
IP_LABELS: dict[Part, list[int]] = {"train": [1, 0, 1], "val": [0]}
IP = tuple(replace(make_split(labels, ["d", "e"], part), side="ip") for part, labels in IP_LABELS.items())


def test_ip_draws_use_the_rule_on_the_ip_parts() -> None:
    for name, rule in (("clean-v1-ip", CLEAN), ("paper-2025-ip", PAPER)):
        made = draw(get_protocol(name), [IP], 2, 1, {})
        assert (made.side, made.names) == ("ip", ("d", "e"))
        picked = rule.pick(*IP, 2, 1)
        assert [(p.path, p.label) for p in made.picks_of_part("train")] == [(i.path, i.label) for i in picked["train"]]


def test_a_draw_of_both_sides_numbers_the_ip_names_after_the_oop_names() -> None:
    made = draw(get_protocol("clean-v1-both"), [BOTH, IP], 2, 1, {})
    assert (made.side, made.names) == ("both", ("a", "b", "c", "d", "e"))
    for part in ("train", "val"):
        of_oop, of_ip = (CLEAN.pick(*sides, 2, 1)[part] for sides in (BOTH, IP))
        wanted = [(item.path, item.label) for item in of_oop] + [(item.path, item.label + 3) for item in of_ip]
        assert [(pick.path, pick.label) for pick in made.picks_of_part(part)] == wanted


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_released_draw_of_both_sides_uses_one_generator(seed: int) -> None:
    made = draw(get_protocol("paper-2025-both"), [BOTH, IP], 2, seed, {})
    state = random.getstate()
    try:
        random.seed(seed)
        wanted: dict[str, list[str]] = {"train": [], "val": []}
        for sides in (BOTH, IP):
            for split in sides:
                for items in split.group_by_label().values():
                    chosen = random.sample(items, 2) if len(items) >= 2 else items
                    wanted[split.part] += [item.path for item in chosen]
    finally:
        random.setstate(state)
    assert {part: [pick.path for pick in made.picks_of_part(part)] for part in ("train", "val")} == wanted


def test_given_draws_of_both_sides_reproduce_the_manifest() -> None:
    made = draw(get_protocol("clean-v1-both"), [BOTH, IP], 2, 1, {})
    rule = GivenDraws("theirs", {("Animals", 2, 1): made}, train_on="both")
    again = draw(rule, [BOTH, IP], 2, 1, {})
    assert (again.picks, again.names, again.side) == (made.picks, made.names, made.side)
