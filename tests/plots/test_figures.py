"""Figures from leaderboard files: what is drawn, what is refused, and that the same rows give the same bytes."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from harness.cli.main import execute
from harness.leaderboard.series import series
from harness.leaderboard.statistics import Interval
from harness.plots import shots, style
from harness.plots.looks import look
from harness.plots.shots import plot_shots
from harness.plots.zero_shot import plot_zero_shot

from .boards import cell, failed, grid, rows, study, write

SVG = "{http://www.w3.org/2000/svg}"


def printed(method: str, shots: int, backbone: str, figures: dict[str, float]) -> dict[str, object]:
    """A published row with figures of Food."""
    return {
        "method": method, "printed_name": method, "dataset": "beyond-mini", "backbone": backbone, "corpus": "x",
        "shots": shots, "domains": {"Food": figures}, "mean": {}, "notes": [],
    }  # fmt: skip


PUBLISHED = {
    "format": "laion-beyond-published/1",
    "source": {"paper": "A paper", "table": "Table 2", "pages": "1", "caption": "of something"},
    "protocol": "paper-2025",
    "rows": [
        printed("fsnl", 4, "beyond-mini/beyond-mini", {"oop_top1": 0.9}),
        printed("zero_shot", 0, "beyond-mini/beyond-mini", {"oop_top1": 0.2, "ip_top1": 0.6}),
        printed("elsewhere", 4, "ViT-B-16/laion400m_e32", {"oop_top1": 0.3}),
    ],
}


def words(figure: Path) -> list[str]:
    """Every text of an SVG."""
    return ["".join(node.itertext()).strip() for node in ElementTree.parse(figure).iter(f"{SVG}text")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(study(), tmp_path / "leaderboard.json")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "paper.json").write_text(json.dumps(PUBLISHED), encoding="utf-8")
    return folder


def test_accuracy_against_shots_has_a_panel_per_domain_and_a_line_per_method(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "figure.svg"
    assert execute(["plot", "shots", str(file), "--out", str(out)]) == 0
    found = words(out)
    assert {"Animals", "Food", "Plants", "fsnl", "zero_shot", "fragile"} <= set(found)
    assert {"1", "4", "16", "OOP top-1 (%)"} <= set(found)
    assert "bands: one standard deviation over seeds" in found
    assert "average of 3" in found
    # A band for each of the two methods that vary with shots, in each of three panels; fragile has no average.
    bands = [g for g in ElementTree.parse(out).iter(f"{SVG}g") if g.get("id", "").startswith("FillBetweenPoly")]
    assert len(bands) == 7


def test_no_panel_cuts_off_what_lies_above_the_first_ones_figures(tmp_path: Path) -> None:
    cells = [cell("fsnl", d, k, 1, v) for d, v in (("Animals", 0.2), ("Food", 0.9)) for k in (1, 4)]
    style.save(plot_shots(rows(cells), "oop_top1"), tmp_path / "figure.svg")
    ticks = [int(text) for text in words(tmp_path / "figure.svg") if text.isdigit()]
    assert max(ticks) >= 75, "the common axis reaches up to the second panel's figures"


def test_methods_of_the_harness_have_a_colour_and_marker_of_their_own() -> None:
    offered = [path.stem for path in (Path(__file__).parents[2] / "plugins").glob("[a-z]*.py")]
    looks = {look(method) for method in offered}
    assert len(looks) == len(offered), "add the new method to KNOWN in harness/plots/looks.py"
    assert look("a_plugin") == look("a_plugin")
    assert look("a_plugin") not in looks


def test_series_of_one_method_differ_by_their_dash_alone() -> None:
    cells = [c for lr in (0.1, 0.2) for c in grid("fsnl", 4, lr, method={"parameters": {"lr": lr}})]
    lines = shots._Line.of(rows(cells + grid("zero_shot", 0, 0.1)))
    assert len({line.dash for line in lines if line.series.needs_shots}) == 2
    assert {line.look for line in lines} == {look("fsnl"), look("zero_shot")}


def test_only_the_methods_that_are_asked_for_are_drawn_and_zero_shot(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "figure.svg"
    assert execute(["plot", "shots", str(file), "--methods", "fsnl", "--out", str(out)]) == 0
    assert {"fsnl", "zero_shot"} <= set(words(out))
    assert "fragile" not in words(out)


@pytest.mark.parametrize(("fit", "inches"), [("column", 3.25), ("page", 6.875)])
def test_a_figure_has_the_width_of_the_paper_and_no_title_unless_one_is_given(
    file: Path, tmp_path: Path, fit: str, inches: float
) -> None:
    out = tmp_path / "figure.svg"
    for title in ([], ["--title", "Our results"]):
        assert execute(["plot", "shots", str(file), "--size", fit, *title, "--out", str(out)]) == 0
        width = ElementTree.parse(out).getroot().get("width", "")
        assert float(width.removesuffix("pt")) == pytest.approx(72 * inches)
        assert ("Our results" in words(out)) == bool(title)


@pytest.mark.parametrize("fit", ["column", "page"])
@pytest.mark.parametrize("name", ["short", "a method with a rather long name"])
def test_nothing_reaches_over_the_edge_of_a_figure(fit: str, name: str) -> None:
    cells = [c for n in range(8) for k in (1, 16) for c in grid(f"{name} {n}", k, 0.1 * n)] + grid("zero_shot", 0, 0.1)
    made = [
        plot_shots(rows(cells), "oop_top1", fit=fit, title=f"{name}: " + "words of a title " * 9),  # type: ignore[arg-type]
        plot_zero_shot(rows(grid("zero_shot", 0, 0.1, backbone={"architecture": "0" * 70})), (), fit, name * 9),  # type: ignore[arg-type]
    ]
    for figure in made:
        FigureCanvasAgg(figure).draw()
        inside, box = figure.bbox, figure.get_tightbbox()
        inches = [box.x0, box.y0, box.x1 - inside.width / figure.dpi, box.y1 - inside.height / figure.dpi]
        assert min(inches[:2]) >= -0.01
        assert max(inches[2:]) <= 0.01


def test_a_band_is_the_interval_where_there_is_one(tmp_path: Path) -> None:
    """Two SVGs of the same rows differ only in the band: from 10 to 90 percent it is taller than one deviation."""
    chosen = rows(grid("fsnl", 1, 0.4) + grid("fsnl", 4, 0.5))
    given = {(row.id, domain): Interval(0.1, 0.9) for row in chosen for domain in row.domains}
    heights = []
    for intervals in ({}, given):
        style.save(plot_shots(chosen, "oop_top1", intervals), tmp_path / "figure.svg")
        tree = ElementTree.parse(tmp_path / "figure.svg")
        *_, band = (g for g in tree.iter(f"{SVG}g") if g.get("id", "").startswith("FillBetweenPoly"))
        path = next(band.iter(f"{SVG}path")).get("d", "")
        ys = [float(y) for y in re.findall(r"[ML] [-\d.]+ ([-\d.]+)", path)]
        heights.append(max(ys) - min(ys))
    assert "bands: 95 % intervals" in words(tmp_path / "figure.svg")
    assert heights[1] > 2 * heights[0] > 0


def test_published_figures_stand_in_the_plot_only_where_the_setting_is_the_same(
    file: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.leaderboard.published.FOLDER", published)
    out = tmp_path / "figure.svg"
    assert execute(["plot", "shots", str(file), "--published", "--out", str(out)]) == 0
    assert "fsnl, published" in words(out)
    assert "elsewhere, published" not in words(out)
    assert execute(["plot", "zero-shot", str(file), "--published", "--out", str(out)]) == 0
    assert {"zero_shot, published, IP", "zero_shot, published, OOP"} <= set(words(out))


@pytest.mark.parametrize("command", ["shots", "zero-shot"])
def test_where_nothing_is_published_for_the_rows_it_is_said(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    words = ["plot", command, str(file), "--out", str(tmp_path / "figure.svg")]
    assert execute([*words, "--published"]) == 0
    assert "no figure is published for " in capsys.readouterr().err
    assert execute(words) == 0
    assert capsys.readouterr().err == ""


def test_one_domain_is_drawn_once_and_without_an_average(tmp_path: Path) -> None:
    cells = [cell(method, "Food", k, 1, 0.1) for method, k in (("fsnl", 1), ("fsnl", 4), ("zero_shot", 0))]
    assert [panel.get_title("left") for panel in plot_shots(rows(cells), "oop_top1").axes] == ["Food"]
    (panel,) = plot_zero_shot(rows(cells[2:])).axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["Food"]


def test_zero_shot_bars_carry_their_figures(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "figure.svg"
    assert execute(["plot", "zero-shot", str(file), "--out", str(out)]) == 0
    # OOP of a domain is 0.1 + 0.1 i + 0.02 seed in the mean of three seeds; IP is one point above.
    assert {"14.0", "24.0", "34.0", "15.0", "25.0", "35.0"} <= set(words(out))
    assert {"in pre-training (IP)", "out of pre-training (OOP)", "Animals", "Food", "Plants"} <= set(words(out))


@pytest.mark.parametrize("command", ["shots", "zero-shot"])
@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_same_rows_give_the_same_bytes(command: str, kind: str, file: Path, tmp_path: Path) -> None:
    twice = [tmp_path / f"{name}.{kind}" for name in ("a", "b")]
    for out in twice:
        assert execute(["plot", command, str(file), "--out", str(out)]) == 0
    first, second = (out.read_bytes() for out in twice)
    assert first == second
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    assert b"Matplotlib" not in first
    assert b"dc:date" not in first


def test_a_name_from_a_plugin_is_text_and_nothing_else(tmp_path: Path) -> None:
    hostile = "</text><script>$\\frac{1}$"
    file, out = write(grid(hostile, 4, 0.3), tmp_path / "board.json"), tmp_path / "figure.svg"
    assert execute(["plot", "shots", str(file), "--out", str(out)]) == 0
    assert not list(ElementTree.parse(out).iter(f"{SVG}script"))
    assert hostile in words(out)


def test_lines_of_one_method_are_labelled_by_the_parameters_that_differ(tmp_path: Path) -> None:
    cells = [c for lr in (0.1, 0.2) for c in grid("fsnl", 4, lr, method={"parameters": {"lr": lr, "epochs": 20}})]
    out = tmp_path / "figure.svg"
    assert execute(["plot", "shots", str(write(cells, tmp_path / "board.json")), "--out", str(out)]) == 0
    assert {"fsnl (lr=0.1)", "fsnl (lr=0.2)"} <= set(words(out))


def test_lines_of_a_setting_are_labelled_by_what_differs() -> None:
    twice = grid("fsnl", 4, 0.3) + grid("fsnl", 4, 0.4, device="cuda (H200)")
    elsewhere = grid("fsnl", 4, 0.3, protocol="paper-2025") + grid("fsnl", 4, 0.3, method={"code": "0" * 64})
    found = [(line.rows[0].protocol, line.label) for line in series(rows(twice + elsewhere))]
    assert sorted(found) == [
        ("clean-v1", "fsnl (device=cpu (x86_64)) #1"),
        ("clean-v1", "fsnl (device=cpu (x86_64)) #2"),
        ("clean-v1", "fsnl (device=cuda (H200))"),
        ("paper-2025", "fsnl"),
    ]


def test_rows_over_other_images_of_a_domain_are_no_line() -> None:
    first, again = grid("fsnl", 1, 0.3), grid("fsnl", 4, 0.4)
    other = grid("fsnl", 4, 0.4, dataset={"fingerprint": "0" * 64})
    assert [[row.shots for row in line.rows] for line in series(rows(first + again))] == [[1, 4]]
    assert [[row.shots for row in line.rows] for line in series(rows(first + other))] == [[1], [4]]


def test_rows_that_do_not_have_the_metric_are_left_out(tmp_path: Path) -> None:
    clusters = [
        one.model_copy(update={"metrics": {"oop_cluster_acc": 0.4}, "per_class": {}})
        for one in grid("kmeans_naming", 0, 0.3, protocol="clustering")
    ]
    file, out = write([*study(), *clusters], tmp_path / "board.json"), tmp_path / "figure.svg"
    assert execute(["plot", "shots", str(file), "--out", str(out)]) == 0
    assert "fsnl" in words(out)
    assert "kmeans_naming" not in words(out)


def test_a_domain_without_figures_is_said_to_have_failed(tmp_path: Path) -> None:
    cells = [cell("zero_shot", "Animals", 0, 1, 0.2), failed("zero_shot", "Food", 0, 1, "no image")]
    out = tmp_path / "figure.svg"
    assert execute(["plot", "zero-shot", str(write(cells, tmp_path / "board.json")), "--out", str(out)]) == 0
    assert "failed" in words(out)
    other = grid("zero_shot", 0, 0.3, backbone={"architecture": "other"})
    assert execute(["plot", "zero-shot", str(write([cells[0], *other], tmp_path / "two.json")), "--out", str(out)]) == 0
    assert "failed" not in words(out)
    assert "not run" in words(out)


def test_ranks_have_a_label_per_method_and_say_who_is_not_ranked(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ranks.svg"
    assert execute(["plot", "ranks", str(file), "--shots", "4", "--metric", "oop_top1", "--out", str(out)]) == 0
    assert "not ranked, without oop_top1 on the same images: fragile" in capfd.readouterr().err
    found = words(out)
    assert {"fsnl  1.0", "2.0  zero_shot", f"critical difference {1.959964 / 3**0.5:.2f}"} <= set(found)
    before = out.read_bytes()
    assert execute(["plot", "ranks", str(file), "--shots", "4", "--metric", "oop_top1", "--out", str(out)]) == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["shots", "BOARD", "--out", "figure.jpg"], "figure.jpg is neither PDF, PNG nor SVG"),
        (["tsne", "--domain", "nowhere", "--out", "figure.gif"], "figure.gif is neither PDF, PNG nor SVG"),
        (["tsne", "--domain", "Food", "--limit", "4"], "Invalid value for '--limit'"),
        (["shots", "nowhere.json"], "nowhere.json cannot be read: no such file"),
        (["shots", "BOARD", "--metric", "h_men"], "no metric named 'h_men'"),
        (["shots", "BOARD", "--protocol", "paper-2025"], "no row matches --protocol paper-2025"),
        (["shots", "BOTH"], "choose one with --protocol"),
        (["shots", "CLUSTERS"], "no few-shot row has oop_top1"),
        (["zero-shot", "BOARD", "--method", "zero_shoot"], "did you mean zero_shot?"),
        (["zero-shot", "BOARD", "--protocol", "clean"], "did you mean clean-v1?"),
        (["shots", "BROKEN"], "is not a valid leaderboard"),
        (["ranks", "BOARD"], "the rows have 1, 4, 16 shots"),
        (["ranks", "CLUSTERS"], "ranks need two methods and two domains; there are 1 row and 3 domains"),
        (["ranks", "BOARD", "--test", "t"], "Invalid value for '--test'"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(
    arguments: list[str], sentence: str, file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    both = write([*study(), *grid("fsnl", 4, 0.3, protocol="paper-2025")], tmp_path / "both.json")
    broken = tmp_path / "broken.json"
    broken.write_text('{"schema_version": 1, "rows": [{}]}', encoding="utf-8")
    clusters = write(grid("kmeans_naming", 0, 0.3), tmp_path / "clusters.json")
    places = {"BOARD": file, "BOTH": both, "BROKEN": broken, "CLUSTERS": clusters}
    assert execute(["plot", *(str(places.get(a, a)) for a in arguments)]) == 2
    assert sentence in capfd.readouterr().err
