"""What an evaluation returns."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import harness
from harness.errors import DataError, HarnessError, UserError

from .nearest_mean import NearestMean


def test_rows_are_records_with_the_figures_of_the_leaderboard(results):
    assert len(results) == len(list(results)) == 4
    for record in results:
        (row,) = (row for row in results.leaderboard.rows if row.id == record["row"])
        stat = row.domains[record["domain"]]["h_mean"]
        assert (record["h_mean"], record["h_mean_std"]) == (stat.mean, stat.std)
        assert (record["method"], record["seeds"]) == (row.method, row.seeds)
        assert record["failure"] is None


def test_rows_are_indexed_as_a_list(results):
    assert (results[0], results[-1], results[1:3]) == (results.rows[0], results.rows[-1], results.rows[1:3])
    with pytest.raises(IndexError):
        results[4]


def test_data_frame_has_the_rows(results):
    pytest.importorskip("pandas")
    frame = results.to_pandas()
    assert frame.to_dict("records") == results.rows


def test_missing_pandas_is_explained(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(HarnessError, match="pip install pandas"):
        results.to_pandas()


@pytest.mark.parametrize(("images", "metric"), [(key, f"{key}_top1") for key in ("oop", "ip", "joint_oop", "joint_ip")])
def test_predictions_sum_up_to_the_metric(results, images, metric):
    for record in results:
        seeds = [1, 2] if record["shots"] else [None]
        found = [results.predictions(record["method"], record["domain"], seed, images=images) for seed in seeds]
        assert np.mean([one.correct.mean() for one in found]) == pytest.approx(record[metric], abs=1e-12)


def test_predictions_name_every_image_once_with_its_class(results):
    found = results.predictions("zero_shot", "Animals", images="joint_ip")
    assert len(set(found.paths)) == len(found.paths) == len(found.label) == len(found.column)
    assert len(found.names) == 9
    for path, label in zip(found.paths, found.label, strict=True):
        assert path.startswith("Animals3_IP/images/")
        assert found.names[label].split() == path.split("/")[2].split()


def test_predictions_are_shown_in_a_line(results):
    found = results.predictions("zero_shot", "Animals", images="joint_ip")
    assert repr(found) == f"Predictions({len(found.paths)} images, 9 names)"


def test_predictions_become_a_data_frame(results):
    pytest.importorskip("pandas")
    found = results.predictions("zero_shot", "Animals")
    frame = found.to_pandas()
    assert list(frame["correct"]) == list(frame["label"] == frame["predicted"]) == list(found.correct)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({}, "there are several such rows"),
        ({"method": "fsnl"}, "there is no row of 'fsnl'"),
        ({"method": "zero_shot"}, "there are several domains"),
        ({"method": "tip_adapter", "domain": "Animals"}, "give seed=, one of 1, 2"),
        ({"method": "zero_shot", "domain": "Animals", "images": "pool"}, "no kind of images named 'pool'"),
    ],
)
def test_an_ambiguous_or_unknown_cell_is_explained(results, wanted, sentence):
    with pytest.raises(UserError) as raised:
        results.predictions(**wanted)
    assert sentence in str(raised.value)


def test_loaded_leaderboard_has_the_same_rows_and_predictions(results):
    loaded = harness.load_leaderboard(results.file.parent)
    assert loaded.rows == results.rows
    first, again = (found.predictions("zero_shot", "Animals") for found in (results, loaded))
    assert first.paths == again.paths
    assert (first.column == again.column).all()


def test_a_file_alone_has_rows_and_no_predictions(results, tmp_path):
    (tmp_path / "board.json").write_bytes(results.file.read_bytes())
    loaded = harness.load_leaderboard(tmp_path / "board.json")
    assert loaded.rows == results.rows
    with pytest.raises(DataError, match="cannot be read"):
        loaded.predictions("zero_shot", "Animals")


def test_shown_as_a_table_of_means(results):
    lines = repr(results).splitlines()
    assert lines[1].split() == ["method", "shots", "OOP", "IP", "H-mean", "joint", "H"]
    for row, line in zip(results.leaderboard.rows, lines[2:], strict=False):
        assert line.startswith(row.method)
        assert f"{100 * row.mean['oop_top1'].mean:.1f}" in line


def test_rows_of_one_method_are_shown_with_the_parameters_that_differ(evaluate):
    text = repr(evaluate([NearestMean, NearestMean(weight=0.25)]))
    assert "nearest_mean (weight=0.25)" in text
    assert "nearest_mean (weight=0.5)" in text


def test_html_is_escaped(results):
    (first, *_) = results.leaderboard.rows
    board = results.leaderboard.model_copy(update={"rows": (first.model_copy(update={"method": "<b>mine</b>"}),)})
    html = harness.load_leaderboard(results.file).__class__(board, results.artifacts, results.file)._repr_html_()
    assert "&lt;b&gt;mine&lt;/b&gt;" in html
    assert "<b>" not in html


def test_best_figures_are_bold_in_a_notebook_unless_rows_differ_in_shots(results, evaluate):
    best = {metric: max(row.mean[metric].mean for row in results.leaderboard.rows) for metric in ("oop_top1", "h_mean")}
    for value in best.values():
        assert f"<td><strong>{100 * value:.1f}</strong></td>" in results._repr_html_()
    assert "<strong>" not in evaluate("tip_adapter", shots=[1, 2])._repr_html_()


def test_plots_are_figures_that_a_notebook_shows(results):
    shots = results.plot_shots("h_mean", "tip_adapter", size="column", title="Mine")
    assert [panel.get_title("left") for panel in shots.axes] == ["average of 2", "Animals", "Insects"]
    labels = [text.get_text() for text in shots.legends[0].get_texts()]
    assert labels == ["tip_adapter", "zero_shot"]
    assert shots._repr_png_().startswith(b"\x89PNG")
    assert len(results.plot_zero_shot().axes) == 1
    with pytest.raises(UserError, match="no method in these files named"):
        results.plot_zero_shot("zero_shoot")
