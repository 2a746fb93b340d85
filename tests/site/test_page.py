"""The page's file: names are escaped as data, and equal rows give equal bytes."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.cli.main import execute
from harness.leaderboard.view import Sources
from harness.results.artifacts import MissingArtifact
from harness.results.costs import FILE, Costs, RowCost
from harness.results.verification_marks import Mark, update_marks
from harness.site import classes, thumbnails
from harness.site.build import build
from harness.site.confusion import pack
from harness.site.page import as_json, page
from harness.site.payload import Payload, payload
from harness.site.reproduce_command import evaluate_command
from harness.site.thumbnails import Thumbnails
from harness.types.labels import ScoredSide

from ..leaderboard.results import Lab
from ..makers import few, words
from ..plots.boards import board, grid, study, write


class Elements(HTMLParser):
    """The elements of a page, the text of its scripts, and every address it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.addresses: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href", "action", "data")]

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


def content(**changes: Any) -> Payload:
    rows = board(grid("fsnl", 4, 0.3, seeds=(1,), **changes)).rows
    return payload(Sources(rows, (Nothing(),) * len(rows), {}, {}))  # type: ignore[arg-type]


class Nothing:
    """Artifacts of a row without stored labels and predictions."""

    def sheet(self, *_: object) -> Any:
        raise MissingArtifact("none")

    labels = predictions = sheet


PLAIN = Elements(page(content()))

awkward = st.text(st.sampled_from(list("<>/!-&\"'`$\\{}\u2028\u2029 scriptSCRIPT=")), max_size=24) | words


@settings(few)
@given(awkward, awkward, awkward)
def test_names_cannot_inject_markup(name: str, value: str, device: str) -> None:
    made = content(
        method={"parameters": {name: value}},
        device=device,
        versions={value: name},
    )
    found = Elements(page(made))
    assert found.tags == PLAIN.tags
    assert found.addresses == PLAIN.addresses
    assert [json.loads(script) for script in found.scripts[:2]] == [
        json.loads(json.dumps(v)) for v in (made.table, made.details)
    ]
    assert found.scripts[2:] == PLAIN.scripts[2:]


@settings(few)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | awkward,
        lambda inner: st.lists(inner) | st.dictionaries(awkward, inner),
        max_leaves=8,
    )
)
@example("\ud800")
def test_inline_json_is_escaped_and_equal(value: Any) -> None:
    text = as_json(value)
    assert json.loads(text) == json.loads(json.dumps(value))
    assert not set("<>&\u2028\u2029") & set(text)
    assert text.encode()


def test_the_same_rows_give_the_same_bytes(site: Callable[..., Path]) -> None:
    assert site(study()).read_bytes() == site(list(reversed(study()))).read_bytes()


def test_page_has_no_external_references(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert Elements(text).addresses == ["#table"]
    assert "@import" not in text
    assert "url(" not in text
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy[1]


def test_payload_has_costs_marks_and_published_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(study(), tmp_path / "leaderboard.json")
    row = next(r for r in board(study()).rows if r.method == "fsnl" and r.shots == 4)
    cost = RowCost(
        cells=9,
        fit_seconds=80,
        score_seconds=10,
        wall_seconds=90,
        peak_host_bytes=None,
        peak_gpu_bytes=None,
        trainable=128,
    )
    (tmp_path / FILE).write_bytes(Costs(rows={row.id: cost}).content())
    update_marks(tmp_path, {row.content_sha256: Mark(against="data", date="2026-03-14")})
    published = tmp_path / "published"
    published.mkdir()
    printed = {
        "format": "laion-beyond-published/1", "protocol": "paper-2025",
        "source": {"paper": "A paper", "table": "Table 9", "pages": "1", "caption": "of something"},
        "rows": [{"method": "fsnl", "printed_name": "FSNL as printed", "dataset": "beyond-mini", "backbone": None,
                  "corpus": "x", "shots": 4, "domains": {"Food": {"h_mean": 0.7}},
                  "mean": {"h_mean": 0.6278}, "notes": ["a note"]}],
    }  # fmt: skip
    (published / "table9.json").write_text(json.dumps(printed), encoding="utf-8")
    monkeypatch.setattr("harness.leaderboard.published.FOLDER", published)
    assert execute(["leaderboard", "build", str(file), "--published", "--out", str(tmp_path / "a")]) == 0
    table = json.loads(Elements((tmp_path / "a" / "index.html").read_text(encoding="utf-8")).scripts[0])
    shown = {one["id"]: one for one in table["rows"]}
    assert shown[row.id]["cost"] == [90.0, 128, None, None]
    assert [one["id"] for one in shown.values() if one["verified"]] == [row.id]
    assert re.fullmatch(r"verified by \S+ on 2026-03-14 against the data", shown[row.id]["verification"])
    assert table["published"][0]["mean"] == {"h_mean": [6278000]}
    assert table["published"][0]["label"] == "FSNL as printed"


def test_payload_figures_match_rows(page: Path) -> None:
    table = json.loads(Elements(page.read_text(encoding="utf-8")).scripts[0])
    rows = {row.id: row for row in board(study()).rows}
    assert {one["id"] for one in table["rows"]} == set(rows)
    for one in table["rows"]:
        row = rows[one["id"]]
        assert one["complete"] == row.complete
        assert bool(one["mean"]) == row.complete
        for domain, stats in row.domains.items():
            for metric, stat in stats.items():
                mean, std, n, *_ = one["domains"][domain][metric]
                assert (mean, std, n) == (round(1e7 * stat.mean), round(1e7 * stat.std), stat.n)


def test_only_rows_over_same_images_share_a_mean(tmp_path: Path) -> None:
    cells = grid("a", 1, 0.2) + grid("b", 1, 0.3) + grid("c", 1, 0.3, dataset={"fingerprint": "0" * 64})
    cells += [one for one in grid("d", 1, 0.3) if one.spec.domain == "Food"]
    boards = [
        write([c for c in cells if c.spec.method.name in names], tmp_path / f"{names}.json") for names in ("abc", "d")
    ]
    assert execute(["leaderboard", "build", *map(str, boards), "--out", str(tmp_path / "a")]) == 0
    table = json.loads(Elements((tmp_path / "a" / "index.html").read_text(encoding="utf-8")).scripts[0])
    images = {one["method"]: one["images"] for one in table["rows"]}
    assert images["a"] == images["b"]
    assert len(set(images.values())) == 3


def test_names_and_confusions_need_stored_predictions(tmp_path: Path) -> None:
    import numpy as np

    from harness.site.classes import Classes
    from harness.types.labels import LabelSheet, ScoredSide

    row = next(r for r in board(study()).rows if r.method == "fsnl")
    data = {d: v.model_copy(update={"predictions": {"1": "p"}}) for d, v in row.data.items()}
    row = row.model_copy(update={"data": data})

    class Kept:
        def sheet(self, fingerprint: str) -> LabelSheet:
            side = ScoredSide(folder="f", names=("a", "b", "c", "d"), paths=(), sha256=(), labels=())
            return LabelSheet(domain="Food", other="", sides={"oop": side})

        def labels(self, fingerprint: str, side: str, unreadable: tuple[str, ...]) -> Any:
            return np.array([0, 0, 0, 0, 1, 3])

        def predictions(self, digest: str) -> Any:
            return {"oop": np.array([0, 2, 2, 1, 1, 0])}

    pool: list[Any] = []

    def place(value: Any) -> int:
        pool.append(value)
        return len(pool) - 1

    sides, joint = Classes().of(row, Kept(), place)  # type: ignore[arg-type]
    found = sides["Food"]
    assert joint == {}
    assert pool[found["oop"]["names"]] == ["a", "b", "c", "d"]
    assert found["oop"]["taken_for"] == [[2, 500], None, None, [0, 1000]]
    assert unpacked(pool[found["oop"]["confusion"]]) == [[1, 1, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert found["ip"]["names"] is None
    assert found["ip"]["taken_for"] == []
    assert found["ip"]["confusion"] is None


def unpacked(packed: dict[str, Any]) -> list[list[int]]:
    """What the page's script makes of a matrix."""
    import numpy as np

    content = zlib.decompress(base64.b64decode(packed["deflated"]))
    values = np.frombuffer(content, dtype=f"<u{packed['bytes']}")
    matrix: list[list[int]] = values.reshape(math.isqrt(len(values)), -1).tolist()
    return matrix


@pytest.mark.parametrize(("highest", "bytes_"), [(255, 1), (256, 2), (65535, 2), (65536, 4)])
def test_packed_matrix_round_trips(highest: int, bytes_: int) -> None:
    import numpy as np

    counts = np.array([[highest, 0], [3, 1]])
    assert unpacked(pack(counts)) == counts.tolist()
    assert pack(counts)["bytes"] == bytes_


def details_of(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Elements(file.read_text(encoding="utf-8")).scripts[1])
    return found


def test_every_row_has_the_matrix_of_its_predictions(lab: Lab, pictured: Path) -> None:
    details = details_of(pictured)
    for row in lab.board.rows:
        for domain, sides in details["rows"][row.id]["classes"].items():
            for side, shown in sides.items():
                matrix = unpacked(details["pool"][shown["confusion"]])
                assert sum(map(sum, matrix)) == len(row.seeds) * row.data[domain].images[side]
                for own, accuracy in zip(matrix, row.per_class[domain][side], strict=True):
                    assert own[matrix.index(own)] / sum(own) == pytest.approx(accuracy)


def test_every_row_has_the_matrix_of_both_sides_among_all_names(lab: Lab, pictured: Path) -> None:
    details = details_of(pictured)
    assert any(details["rows"][row.id]["joint"] for row in lab.board.rows)
    for row in lab.board.rows:
        joint = details["rows"][row.id]["joint"]
        assert joint.keys() == {d for d, stats in row.domains.items() if "joint_top1" in stats}
        for domain, place in joint.items():
            matrix, k = unpacked(details["pool"][place]), len(row.per_class[domain]["oop"])
            assert len(matrix) == k + len(row.per_class[domain]["ip"])
            for side, classes_ in (("oop", range(k)), ("ip", range(k, len(matrix)))):
                images, right = sum(sum(matrix[i]) for i in classes_), sum(matrix[i][i] for i in classes_)
                assert images == len(row.seeds) * row.data[domain].images[side]
                assert right / images == pytest.approx(row.domains[domain][f"joint_{side}_top1"].mean)


def test_a_page_that_would_become_too_large_leaves_matrices_out(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classes, "LIMIT", 150)
    details = details_of(build([lab.out], tmp_path))
    shown = [v for r in details["rows"].values() for sides in r["classes"].values() for v in sides.values()]
    joint = [place for row in details["rows"].values() for place in row["joint"].values()]
    packed = {*(one["confusion"] for one in shown), *joint} - {None}
    assert 0 < len(packed) < len(shown)
    assert None in joint
    assert sum(len(details["pool"][place]["deflated"]) for place in packed) <= 150
    assert all(one["taken_for"] for one in shown)


# -- thumbnails --------------------------------------------------------------------------------------------------------


def images_of(details: dict[str, Any]) -> list[str | None]:
    rows = [sides for row in details["rows"].values() for sides in row["classes"].values()]
    places = {one["thumbnails"] for sides in rows for one in sides.values()} - {None}
    return [image for place in places for image in details["pool"][place]]


def test_every_class_has_a_small_picture_of_the_data(lab: Lab, pictured: Path) -> None:
    found = images_of(details_of(pictured))
    assert len(found) == sum(len(s.names) for d in lab.domains.values() for s in d.sheet.sides.values())
    assert all(found)
    for image in filter(None, found):
        with Image.open(io.BytesIO(base64.b64decode(image))) as picture:
            assert (picture.format, picture.size, picture.mode) == ("JPEG", (40, 40), "RGB")
    assert max(len(image) for image in filter(None, found)) < 3000


def test_without_the_data_there_are_no_pictures(lab: Lab, tmp_path: Path) -> None:
    for root in (None, tmp_path / "nowhere"):
        assert images_of(details_of(build([lab.out], tmp_path / "page", data=root))) == []


def test_only_the_images_that_were_scored_are_shown(lab: Lab, tmp_path: Path) -> None:
    side = lab.domains["Animals"].sheet.sides["oop"]
    assert all(Thumbnails(lab.root).of("x", "oop", side))
    root = tmp_path / "data"
    for path in side.paths:
        (root / side.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (root / side.folder / path).write_bytes((lab.root / side.folder / path).read_bytes() + b" ")
    assert Thumbnails(root).of("x", "oop", side) == [None] * len(side.names)
    # Labels that lead out of the folder, to an image whose hash they know.
    outside = side.model_copy(update={"folder": f"../{lab.root.name}/{side.folder}"})
    inner = lab.root.parent / "inner"
    inner.mkdir()
    assert (inner / outside.folder / side.paths[0]).is_file()
    assert Thumbnails(inner).of("x", "oop", outside) == [None] * len(side.names)


def test_invalid_image_has_no_thumbnail(tmp_path: Path) -> None:
    contents = {"a/0.jpg": b"no image", "b/0.jpg": b""}
    for path, content in contents.items():
        (tmp_path / "F" / path).parent.mkdir(parents=True)
        (tmp_path / "F" / path).write_bytes(content)
    digests = tuple(hashlib.sha256(content).hexdigest() for content in contents.values())
    side = ScoredSide(folder="F", names=("a", "b", "c"), paths=tuple(contents), sha256=digests, labels=(0, 1))
    assert Thumbnails(tmp_path).of("x", "oop", side) == [None] * 3


def test_thumbnails_respect_size_limit(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "LIMIT", 2500)
    found = Thumbnails(lab.root).of("x", "oop", lab.domains["Animals"].sheet.sides["oop"])
    assert 0 < sum(len(image) for image in found if image) <= 2500
    assert None in found


def test_build_takes_thumbnails_from_data(lab: Lab, tmp_path: Path) -> None:
    options = ["--data", str(lab.root), "--out", str(tmp_path)]
    assert execute(["leaderboard", "build", str(lab.out), *options]) == 0
    assert all(images_of(details_of(tmp_path / "index.html")))


def test_reproduce_command_round_trips_through_shell() -> None:
    import shlex

    row = board(
        grid(
            "f's; nl",
            4,
            0.3,
            method={
                "parameters": {
                    "lr": 0.1,
                    "flag": True,
                    "text": "a b",
                    "none": None,
                    "list": (1, "x"),
                    "map": {"a": [2.5]},
                }
            },
            device="cuda (NVIDIA H200)",
        )
    ).rows[0]
    parts = shlex.split(evaluate_command(row))
    options = {part: parts[i + 1] for i, part in enumerate(parts) if part.startswith("--")}
    assert options["--plugin"] == "f's; nl"
    assert options["--device"] == "cuda"
    assert options["--seeds"] == "1,2,3"
    given = [parts[i + 1] for i, part in enumerate(parts) if part == "-p"]
    plain, deep = given[:4], dict(text.split("=", 1) for text in given[4:])
    assert plain == ["lr=0.1", "flag=true", "text=a b", "none=none"]
    assert {name: json.loads(text) for name, text in deep.items()} == {"list": [1, "x"], "map": {"a": [2.5]}}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.json"], "nowhere.json cannot be read: no such file"),
        (["EMPTY"], "these files hold no row"),
        (["BOARD", "--out", "BOARD"], "the page cannot be written to"),
    ],
)
def test_build_failure_is_user_error(
    arguments: list[str], sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text('{"schema_version": 1, "rows": []}', encoding="utf-8")
    places = {"EMPTY": str(empty), "BOARD": str(write(study(), tmp_path / "board.json"))}
    assert execute(["leaderboard", "build", *(places.get(a, a) for a in arguments)]) == 2
    assert sentence in capfd.readouterr().err


def test_the_page_is_built_without_torch() -> None:
    code = (
        "import sys, harness.site.build, harness.cli.site\n"
        "print(*sorted({'torch', 'open_clip', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_part_of_the_page_is_packaged_and_used() -> None:
    import harness.site.page as module

    folder = Path(module.__file__).parent
    assert {path.name for path in folder.glob("*.js")} == set(module.SCRIPTS)
    for path in [*folder.glob("*.js"), *folder.glob("*.css"), *folder.glob("*.html")]:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path.name
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path.name
